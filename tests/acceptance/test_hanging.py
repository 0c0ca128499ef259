"""What hangs is noticed, ended and started again, and its job is tried again: whoever watches, wherever it hangs."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ocunet_pacs.app.loops import EXIT_HUNG
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.sql import SqlJobs
from tests.acceptance.conftest import wrap_study
from tests.daemon import CLEAN_ENVIRONMENT, Daemon
from tests.dcmtk import HOST, storescu
from tests.faults import Faults
from tests.integration.faulty_pacs import FaultyPacs, running
from tests.integration.ledgers import open_database
from tests.service_manager import ServiceManager

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]
SILENCE = 12.0
"""Seconds; an idle worker speaks every second."""
ROLES = {
    "listen": "ocunet-pacs-listener.service",
    "work": "ocunet-pacs-worker@.service",
    "deliver": "ocunet-pacs-deliver.service",
}


class Site:
    """A daemon in which an analysis hangs at each of these points once."""

    def __init__(self, folder: Path, bundle: Path, pacs: FaultyPacs, *points: str) -> None:
        faults = Faults(folder / "faults")
        for point in points:
            faults.hang(point)
        self.tries = len(points) + 1
        destination = {"name": "pacs", "ae_title": "FAULTY", "host": HOST, "port": pacs.port}
        more = {"model": {"hung_after": "3s"}}
        self.daemon = Daemon(folder / "site", bundle, [destination], more=more, environment=faults.environment)

    def analyse(self, files: list[Path]) -> None:
        """Have the study analysed and delivered, at the first try that does not hang."""
        self.daemon.wait_for_listener()
        assert storescu(self.daemon.port, *files, options=("-R", "-xy")).status == 0
        self.daemon.wait_until_idle(1, seconds=480)
        engine = open_database(self.daemon.folder / "ocunet.db")
        try:
            (job,) = SqlJobs(engine).find(kind=JobKind.ANALYSE)
        finally:
            engine.dispose()
        assert (job.state, job.attempt) == (JobState.DONE, self.tries)

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.daemon.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


@pytest.fixture
def study(drawn_photographs: list[Path], tmp_path: Path) -> list[Path]:
    return wrap_study(drawn_photographs[:2], tmp_path / "study")


def test_serve_starts_again_a_worker_whose_device_hangs(
    untrained_bundle: Path, study: list[Path], tmp_path: Path
) -> None:
    with running(FaultyPacs()) as pacs:
        site = Site(tmp_path, untrained_bundle, pacs, "pass")
        site.daemon.start()
        try:
            site.analyse(study)
        finally:
            stopped = site.daemon.stop()
        assert stopped == [0]
        assert [event["code"] for event in site.events("role_died")] == [EXIT_HUNG]
        assert len(site.events("device_hung")) == 1
        (retried,) = [event for event in site.events("job_finished") if event["kind"] == "analyse"]
        assert str(retried["reason"]).startswith("DeviceHung")
        assert set(pacs.acknowledged.values()) == {1}


def test_the_service_manager_starts_again_what_hangs_in_the_device_and_outside_it(
    untrained_bundle: Path, study: list[Path], tmp_path: Path
) -> None:
    with running(FaultyPacs()) as pacs, ExitStack() as ending:
        site = Site(tmp_path, untrained_bundle, pacs, "analysis", "pass")
        open_database(site.daemon.folder / "ocunet.db").dispose()
        managers = {}
        for role, unit in ROLES.items():
            command = [sys.executable, "-m", "ocunet_pacs", role, "--config", str(site.daemon.config)]
            environment = {**CLEAN_ENVIRONMENT, **site.daemon.environment}
            silence = SILENCE if role == "work" else 0.0
            managers[role] = ServiceManager(unit, command, environment, tmp_path / role, silence)
            ending.callback(managers[role].stop)
        site.analyse(study)
        ending.close()
        ends = {role: manager.ended for role, manager in managers.items()}
        assert ends == {"listen": [0], "work": [-signal.SIGABRT, EXIT_HUNG, 0], "deliver": [0]}
        assert set(pacs.acknowledged.values()) == {1}
