"""Several listeners on one port under `serve`: both receive, one answers for what all counted, one that dies is missed
by nobody; and `status` finds them behind TLS."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.conftest import wrap_study
from tests.acceptance.test_serve import events, pid_of
from tests.certificates import self_signed
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import free_port, storescu
from tests.integration.requests import echo_once

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


def accepted(port: int) -> float:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
    found = re.findall(r'^ocunet_associations_total\{outcome="accepted".*\} (\S+)$', text, re.MULTILINE)
    return sum(map(float, found))


def test_two_listeners_share_a_port_and_a_count(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    metrics = free_port()
    more = {"dicom": {"processes": 2}, "metrics": {"port": metrics}}
    daemon = Daemon(tmp_path / "site", untrained_bundle, [], more=more)
    daemon.start()
    try:
        wait_until(lambda: events(daemon, "ready"), "the daemon to be ready")
        pids = {role: pid_of(daemon, role) for role in ("listen-0", "listen-1")}
        assert all(pids.values())
        # The kernel deals connections out by their ports: both get some of twenty, but for one run in half a million.
        for _ in range(20):
            echo_once(daemon.port)
        wait_until(lambda: accepted(metrics) == 20, "all associations to be counted", 20)
        counted = {path.name for path in (tmp_path / "site" / "store" / "metrics").rglob("counter_*.db")}
        for pid in pids.values():
            assert f"counter_{pid}.db" in counted
        os.kill(pids["listen-1"], signal.SIGKILL)
        wait_until(lambda: pid_of(daemon, "listen-1") != pids["listen-1"], "the listener to be started again")
        wait_until(lambda: len(events(daemon, "listening")) == 3, "it to listen")
        files = wrap_study(drawn_photographs[:2], tmp_path / "study")
        assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
        wait_until(lambda: accepted(metrics) == 21, "those of the dead one not to be forgotten", 20)
        daemon.wait_until_idle(1)
        assert daemon.status()["ready"] is True
    finally:
        assert daemon.stop() == [0]


def test_status_finds_a_listener_that_speaks_tls_and_knows_no_sender(untrained_bundle: Path, tmp_path: Path) -> None:
    pair, port = self_signed(tmp_path, "localhost"), free_port()
    more = {
        "dicom": {"only_listed_sources": True},
        "tls": {"enabled": True, "port": port, "certificate": str(pair.certificate), "key": str(pair.key)},
    }
    daemon = Daemon(tmp_path / "site", untrained_bundle, [], more=more)
    cli("db", "upgrade", "--config", daemon.config)
    daemon.start("listen")
    try:
        wait_until(lambda: '"event": "listening"' in daemon.log_text(), "the listener to be ready")
        assert daemon.status()["problems"] == []
        lines = [json.loads(line) for line in daemon.log_text().splitlines() if line.startswith("{")]
        assert "anybody_may_send" not in {line["event"] for line in lines}
    finally:
        assert daemon.stop() == [0]


def test_tls_files_that_cannot_be_used_end_the_listener_with_the_reason(untrained_bundle: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    more = {"tls": {"enabled": True, "certificate": str(missing), "key": str(missing)}}
    daemon = Daemon(tmp_path / "site", untrained_bundle, [], more=more)
    cli("db", "upgrade", "--config", daemon.config)
    done = cli("listen", "--config", daemon.config, check=False)
    assert done.returncode == 2
    assert "tls.certificate" in done.stderr
    assert str(missing) in done.stderr
