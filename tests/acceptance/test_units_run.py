"""The roles as their units run them: with no more rights than the unit leaves, heard by a service manager."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml

from tests import units
from tests.acceptance.conftest import wrap_study
from tests.conftest import PROJECT
from tests.daemon import CLEAN_ENVIRONMENT, Daemon, wait_until
from tests.dcmtk import HOST, free_port, storescp, storescu
from tests.integration.web import TOKEN
from tests.notices import Notices

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
PORTS = {
    "ocunet-pacs-listener.service": "dicom",
    "ocunet-pacs-stow.service": "stow",
    "ocunet-pacs-console.service": "console",
}
ROLES = [unit for unit in units.SERVICES if unit not in {"ocunet-pacs.service", "ocunet-pacs-migrate.service"}]


@dataclass
class Running:
    unit: str
    process: subprocess.Popen[bytes]
    notices: Notices

    def wait_for(self, line: str) -> None:
        self.notices.wait_for(line, alive=self.check)

    def check(self) -> None:
        assert self.process.poll() is None, f"{self.unit} ended with status {self.process.returncode}"

    def reload(self) -> None:
        """SIGHUP; return when it is ready again."""
        self.process.send_signal(signal.SIGHUP)
        self.notices.wait_for("RELOADING=1", alive=self.check)
        wait_until(lambda: self.notices.said.count("READY=1") == 2, f"{self.unit} to be ready again")

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.notices.wait_for("STOPPING=1")
        return self.process.wait(60)


@dataclass
class Services:
    """What a site runs, each in its unit's sandbox."""

    site: Daemon
    folder: Path
    running: list[Running] = field(default_factory=list)

    def start(self, unit: str) -> Running:
        """What the unit's ExecStart= says, with this site's settings."""
        notices = Notices(self.folder / f"{len(self.running)}.sock")
        environment = {**CLEAN_ENVIRONMENT, "NOTIFY_SOCKET": str(notices.path)}
        with self.site.log.open("ab") as log:
            process = subprocess.Popen(
                in_sandbox(unit, self.site.config), env=environment, stdout=log, stderr=log, cwd=PROJECT
            )
        self.running.append(Running(unit, process, notices))
        return self.running[-1]

    def end(self) -> None:
        for service in self.running:
            service.process.kill()
            service.process.wait(10)
            service.notices.close()


def in_sandbox(unit: str, config: Path) -> list[str]:
    (line,) = units.values(unit, "ExecStart")
    python = [sys.executable, "-m"]
    return [*python, "tests.sandbox", unit, *python, "ocunet_pacs", *line.split()[1:-1], str(config)]


@pytest.fixture
def services(untrained_bundle: Path, tmp_path: Path) -> Iterator[Services]:
    """A site without destinations, of which nothing runs yet; nothing is left running."""
    site = Daemon(tmp_path / "site", untrained_bundle, [])
    services = Services(site, tmp_path)
    yield services
    services.end()


def test_the_roles_do_their_work_with_what_their_units_leave_them(
    services: Services, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    from ocunet_pacs.model.untrained import write_untrained_bundle

    candidate, folder, archive = tmp_path / "candidate", tmp_path / "export", tmp_path / "archive"
    write_untrained_bundle(candidate, datetime(2026, 2, 2, tzinfo=UTC))
    folder.mkdir()
    archive.mkdir()
    site = services.site
    tree = yaml.safe_load(site.config.read_text())
    tree["watch"] = [
        {"name": "export", "path": str(folder), "pattern": "(?P<patient_id>[^_]+)_(?P<laterality>[RL])", "settle": "1s"}
    ]
    tree["stow"] = {"enabled": True, "port": free_port(), "token": TOKEN}
    tree["console"] = {"enabled": True, "port": free_port()}
    tree["shadow"] = {"bundle": str(candidate), "allow_untrained": True}
    with storescp(archive) as port:
        tree["destinations"] = [{"name": "archive", "ae_title": "ARCHIVE", "host": HOST, "port": port}]
        site.config.write_text(yaml.safe_dump(tree))
        migrate = in_sandbox("ocunet-pacs-migrate.service", site.config)
        assert subprocess.run(migrate, check=False, cwd=PROJECT).returncode == 0

        running = [services.start(unit) for unit in ROLES]
        for role in running:
            role.wait_for("READY=1")
            assert any(line.startswith("STATUS=") for line in role.notices.said)
            if role.unit in PORTS:
                socket.create_connection((HOST, tree[PORTS[role.unit]]["port"]), timeout=5).close()
        files = wrap_study(drawn_photographs[:1], tmp_path / "study")
        assert storescu(site.port, *files, options=("-R", "-xy")).status == 0
        (folder / "P9_R.jpg").write_bytes(drawn_photographs[2].read_bytes())
        site.wait_until_idle(2)
        assert len(list(archive.iterdir())) >= 4
        wait_until(lambda: site.status()["shadow"]["done"] == 2, "the candidate to look at both studies")
        console = f"http://{HOST}:{tree['console']['port']}"
        assert "review:" in httpx.get(f"{console}/studies/1", timeout=30).text
        assert httpx.get(f"{console}/pictures/received/1/small", timeout=60).status_code == 200
        for role in running:
            role.wait_for("WATCHDOG=1")
        for role in running:
            role.reload()
        assert [role.stop() for role in running] == [0] * len(ROLES)
    assert "Operation not permitted" not in site.log_text()


def test_serve_speaks_for_all_its_roles(services: Services) -> None:
    serve = services.start("ocunet-pacs.service")
    serve.wait_for("READY=1")
    socket.create_connection((HOST, services.site.port), timeout=5).close()
    assert "STATUS=receiving, analysing and delivering" in serve.notices.said
    serve.wait_for("WATCHDOG=1")
    assert serve.stop() == 0
