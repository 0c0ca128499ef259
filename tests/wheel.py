"""The wheel of the working tree, and environments that have it instead of the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from typing import TYPE_CHECKING

from tests.conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def build_wheel(folder: Path, project: Path = PROJECT) -> Path:
    """Build what is in the working tree, committed or not; the wheel's path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment_with(wheel: Path, folder: Path) -> Path:
    """bin/ of a new environment that has the wheel, and this environment's packages without the checkout."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    # A .pth line adds the folder without reading the .pth files in it: the editable checkout stays out.
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"
