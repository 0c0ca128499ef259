"""The console beside a daemon that works: it shows the study, and when it is killed it comes back and nobody else."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance.conftest import wrap_study
from tests.acceptance.test_serve import events, pid_of
from tests.daemon import Daemon, wait_until
from tests.dcmtk import HOST, free_port, storescp, storescu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]
OTHERS = ("listen", "work", "deliver")


def test_a_console_that_is_killed_answers_again_and_the_daemon_works_on(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    first, second = (
        wrap_study(drawn_photographs[2 * n : 2 * n + 2], tmp_path / f"study-{n}", patient=f"P{n}") for n in range(2)
    )
    archive = tmp_path / "archive"
    archive.mkdir()
    with storescp(archive, ae_title="ARCHIVE") as port:
        destination = {"name": "archive", "ae_title": "ARCHIVE", "host": HOST, "port": port}
        console = {"enabled": True, "port": free_port()}
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination], more={"console": console})
        with httpx.Client(base_url=f"http://{HOST}:{console['port']}", timeout=60) as browser:

            def page(path: str) -> str:
                try:
                    answer = browser.get(path)
                except httpx.TransportError:
                    return ""
                return answer.text if answer.status_code == 200 else ""

            daemon.start()
            try:
                daemon.wait_for_listener()
                assert storescu(daemon.port, *first, options=("-R", "-xy")).status == 0
                daemon.wait_until_idle(1)
                wait_until(lambda: "review:" in page("/studies/1"), "the console to show what was found")
                pids = {role: pid_of(daemon, role) for role in OTHERS}
                killed = pid_of(daemon, "console")
                os.kill(killed, signal.SIGKILL)
                assert storescu(daemon.port, *second, options=("-R", "-xy")).status == 0
                daemon.wait_until_idle(2)
                wait_until(lambda: "review:" in page("/studies/2"), "the console to show what came meanwhile")
                assert pid_of(daemon, "console") != killed
                assert browser.get("/pictures/received/1/small").headers["content-type"] == "image/jpeg"
                assert {role: pid_of(daemon, role) for role in OTHERS} == pids, "nobody else was started again"
            finally:
                stopped = daemon.stop()
        assert stopped == [0]
        assert [event["role_name"] for event in events(daemon, "role_died")] == ["console"]
        assert len(list(archive.iterdir())) == 6
