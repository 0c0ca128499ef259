"""Wheel and source archive, so that whoever builds the same commit gets the same bytes.

They are built in a clone of their own: what lies in the checkout beside the commit does not get in. Times are the
commit's. The build backend sorts files and sets their owners and permissions by itself.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGESTS = "SHA256SUMS"


class NotBuilt(Exception):
    """The commit cannot be built, or must not be; the text says why."""


def build(checkout: Path, out: Path) -> list[Path]:
    """Build the checkout's commit into `out`; the paths of the wheel and the source archive. NotBuilt.

    Nothing is fetched: the build backend is this environment's, in the version of constraints.txt.
    """
    changed = _said(["git", "status", "--porcelain", "--untracked-files=no"], checkout)
    if changed:
        raise NotBuilt(f"these files differ from the commit: commit them or put them away\n{changed}")
    if out.is_dir() and any(out.iterdir()):
        raise NotBuilt(f"{out} is not empty: a release is built into a folder of its own")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        # Not linked to the checkout's own objects: those may belong to somebody else.
        _said(["git", "clone", "--quiet", "--no-local", "--no-tags", str(checkout), str(clone)], Path(folder))
        _said(["git", "checkout", "--quiet", "--detach", _said(["git", "rev-parse", "HEAD"], checkout)], clone)
        command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(out.absolute()), str(clone)]
        _said(command, Path(folder), SOURCE_DATE_EPOCH=str(committed(clone)))
    return sorted(out.iterdir())


def committed(checkout: Path) -> int:
    """When the checkout's commit was made, in seconds since 1970."""
    return int(_said(["git", "log", "-1", "--format=%ct"], checkout))


def write_digests(out: Path, files: Iterable[Path]) -> Path:
    """Write `SHA256SUMS` beside the files, as `sha256sum --check` reads it; its path."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out)}\n" for path in sorted(files)]
    digests = out / DIGESTS
    digests.write_text("".join(lines), "utf-8")
    return digests


def _said(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **environment}
    )
    if done.returncode:
        raise NotBuilt(f"{' '.join(command[:4])} ... ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
