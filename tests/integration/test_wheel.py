"""The wheel, installed away from the repository: migrations, sample, templates and units travel with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.conftest import program
from tests.wheel import environment_with

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def installed(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment that has the wheel, and this environment's packages without the checkout."""
    return environment_with(built_wheel, tmp_path_factory.mktemp("wheel") / "env")


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


@pytest.mark.peers
@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to an account of its own")
def test_install_puts_an_empty_host_in_order(installed: Path, tmp_path: Path) -> None:
    """What docs/install.md says to do, in a root of its own, up to what needs a running systemd."""
    root = tmp_path / "root"
    run(installed, tmp_path, "ocunet-pacs", "install", "--prefix", str(installed.parent), "--root", str(root))
    for tool in (["systemd-sysusers"], ["systemd-tmpfiles", "--create", "ocunet-pacs.conf"]):
        subprocess.run([program(tool[0]), f"--root={root}", *tool[1:]], check=True, capture_output=True)
    (entry,) = [line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("ocunet-pacs:")]
    account = int(entry.split(":")[2])
    rights = {
        "etc/ocunet-pacs": (0, 0o750),
        "etc/ocunet-pacs/ocunet-pacs.yaml": (0, 0o640),
        "var/lib/ocunet-pacs": (account, 0o700),
        "var/lib/ocunet-pacs/bundles": (account, 0o700),
        "run/ocunet-pacs/metrics": (account, 0o700),
    }
    for path, (owner, mode) in rights.items():
        found = (root / path).stat()
        assert (found.st_uid, S_IMODE(found.st_mode)) == (owner, mode), path
    assert (root / "etc/ocunet-pacs/ocunet-pacs.yaml").stat().st_gid == account

    roles = ["ocunet-pacs.target", "ocunet-pacs-listener", "ocunet-pacs-deliver"]
    workers = ["ocunet-pacs-worker@0", "ocunet-pacs-worker@1"]
    enable = [program("systemctl"), f"--root={root}", "enable", *roles, *workers]
    subprocess.run(enable, check=True, capture_output=True)
    wanted = root / "etc/systemd/system/ocunet-pacs.target.wants"
    assert {link.name.removesuffix(".service") for link in wanted.iterdir()} == {*roles[1:], *workers}
    for unit in (root / "usr/local/lib/systemd/system").glob("*.service"):
        (start,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        name, *words = start.removeprefix("ExecStart=").split()
        assert Path(name) == installed / "ocunet-pacs"
        run(installed, tmp_path, "ocunet-pacs", *words[: words.index("--config")], "--help")


def test_the_report_template_renders(installed: Path, tmp_path: Path) -> None:
    script = (
        "from jinja2 import Environment, PackageLoader;"
        "print(bool(Environment(loader=PackageLoader('ocunet_pacs.report', 'templates')).get_template('report.html')))"
    )
    assert run(installed, tmp_path, "python", "-c", script).strip() == "True"
