"""The wheel, installed away from the repository: migrations, sample, templates and units travel with it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment that has the wheel, and this environment's packages without the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    pip = [str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    # A .pth line adds the folder without reading the .pth files in it: the editable checkout stays out.
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "env" / "bin"


def run(installed: Path, folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OCUNET"))}
    done = subprocess.run(
        [str(installed / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "python", "-c", "import ocunet_pacs; print(ocunet_pacs.__file__)")
    assert str(installed.parent) in where


def test_a_database_is_made_from_the_migrations_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "ocunet-pacs", "config", "init", "site.yaml")
    text = (tmp_path / "site.yaml").read_text()
    (tmp_path / "site.yaml").write_text(text.replace("/var/lib/ocunet-pacs", str(tmp_path)))
    run(installed, tmp_path, "ocunet-pacs", "config", "check", "--config", "site.yaml")
    run(installed, tmp_path, "ocunet-pacs", "db", "upgrade", "--config", "site.yaml")
    run(installed, tmp_path, "ocunet-pacs", "db", "check", "--config", "site.yaml")
    assert (tmp_path / "ocunet.db").is_file()


def test_what_an_administrator_copies_is_there(installed: Path, tmp_path: Path) -> None:
    script = "import importlib.resources as r; print(*(p.name for d in ('config', 'systemd', 'migrations') "
    script += "for p in (r.files('ocunet_pacs') / '_shipped' / d).iterdir()))"
    names = run(installed, tmp_path, "python", "-c", script).split()
    assert {"ocunet-pacs.yaml", "ocunet-pacs.service", "env.py"} <= set(names)


def test_the_report_template_renders(installed: Path, tmp_path: Path) -> None:
    script = (
        "from jinja2 import Environment, PackageLoader;"
        "print(bool(Environment(loader=PackageLoader('ocunet_pacs.report', 'templates')).get_template('report.html')))"
    )
    assert run(installed, tmp_path, "python", "-c", script).strip() == "True"
