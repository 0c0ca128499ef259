"""The process tree: one at a time, what dies is restarted, nothing outlives the supervisor."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import wrap_study
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import storescu

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


def events(daemon: Daemon, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in daemon.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def pid_of(daemon: Daemon, role: str) -> int:
    started = [line for line in events(daemon, "role_started") if line["role_name"] == role]
    return int(str(started[-1]["pid"])) if started else 0


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_role_that_dies_is_started_again_and_the_work_goes_on(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    daemon.start()
    try:
        wait_until(lambda: events(daemon, "ready"), "the daemon to be ready")
        for role in ("listen", "work", "deliver"):
            os.kill(pid_of(daemon, role), signal.SIGKILL)
        wait_until(lambda: len(events(daemon, "role_started")) == 6, "the roles to be started again")
        daemon.wait_for_listener()
        files = wrap_study(drawn_photographs[:2], tmp_path / "study")
        assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
        daemon.wait_until_idle(1)

        second = cli("serve", "--config", daemon.config, check=False)
        assert second.returncode == 2
        assert "another `ocunet-pacs serve`" in second.stderr
    finally:
        assert daemon.stop() == [0]


def test_nothing_outlives_a_killed_supervisor(untrained_bundle: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    daemon.start()
    try:
        wait_until(lambda: len(events(daemon, "role_started")) == 3, "the roles to be started")
        roles = [pid_of(daemon, role) for role in ("listen", "work", "deliver")]
    finally:
        daemon.kill()
    wait_until(lambda: not any(is_running(pid) for pid in roles), "the roles to be gone", 10)


def test_settings_that_cannot_work_end_the_service_instead_of_a_restart_loop(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", tmp_path / "no-bundle", [])
    done = cli("serve", "--config", daemon.config, check=False)
    assert done.returncode == 2
    assert "no-bundle" in done.stderr


def test_status_without_a_daemon_says_what_is_missing(untrained_bundle: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    done = cli("status", "--json", "--config", daemon.config, check=False)
    assert done.returncode == 1
    status = json.loads(done.stdout)
    assert status["ready"] is False
    said = " ".join(status["problems"])
    for part in ("listener", "database", "store"):
        assert f"{part}:" in said
