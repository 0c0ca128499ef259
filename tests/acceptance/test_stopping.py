"""SIGTERM in the middle of everything: it ends in time, nothing failed, the work resumes. A second one: at once."""

from __future__ import annotations

import signal
import subprocess
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pynetdicom import evt

from ocunet_pacs.domain.job import Job, JobKind, JobState
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.store.files import Files
from tests import units
from tests.acceptance.conftest import wrap_study
from tests.daemon import Daemon, wait_until
from tests.dcmtk import HOST, storescu
from tests.faults import Faults
from tests.integration.faulty_pacs import FaultyPacs, running
from tests.integration.ledgers import FileLedger, open_database
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.raw_sender import association, send_beginning, send_bytes
from tests.integration.waiting_results import queue_results
from tests.notices import Notices

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]
UNITS = {
    "serve": "ocunet-pacs.service",
    "listen": "ocunet-pacs-listener.service",
    "work": "ocunet-pacs-worker@.service",
    "deliver": "ocunet-pacs-deliver.service",
}
KILLED = 128 + signal.SIGTERM


@dataclass
class SlowPacs(FaultyPacs):
    """Answers no object before its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def store(self, event: evt.Event) -> int:
        self.asked.set()
        self.gate.wait()
        return super().store(event)


class Site:
    """A daemon with one destination and a service manager's ear."""

    def __init__(self, folder: Path, bundle: Path, pacs: FaultyPacs, environment: dict[str, str], *roles: str) -> None:
        self.roles = roles
        self.notices = Notices(folder / "notify")
        destination = {"name": "pacs", "ae_title": "FAULTY", "host": HOST, "port": pacs.port}
        environment = {**environment, "NOTIFY_SOCKET": str(self.notices.path)}
        self.daemon = Daemon(folder / "site", bundle, [destination], environment=environment)
        open_database(self.daemon.folder / "ocunet.db").dispose()  # roles do not upgrade a schema

    def start(self) -> None:
        self.daemon.start(*self.roles)

    def terminate(self) -> list[subprocess.Popen[bytes]]:
        """SIGTERM to all; their processes, once every one has heard it."""
        self.notices.said.clear()
        processes = list(self.daemon.processes.values())
        for process in processes:
            process.send_signal(signal.SIGTERM)
        wait_until(lambda: self.notices.said.count("STOPPING=1") >= len(processes), "all to hear the signal")
        return processes

    def ended(self) -> list[int]:
        """Wait for all, each for as long as systemd would; their exit statuses."""
        statuses = []
        for role, process in zip(self.roles, self.daemon.processes.values(), strict=True):
            (stop,) = units.values(UNITS[role], "TimeoutStopSec")
            statuses.append(process.wait(units.seconds(stop)))
        self.daemon.processes.clear()
        return statuses

    def jobs(self, kind: JobKind) -> list[Job]:
        engine = open_database(self.daemon.folder / "ocunet.db")
        try:
            return SqlJobs(engine).find(kind=kind)
        finally:
            engine.dispose()

    def is_gone(self) -> bool:
        """Whether no process has this site's settings any more."""
        mark = str(self.daemon.config).encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in path.read_bytes():
                    return False
            except OSError:
                continue
        return True

    def close(self) -> None:
        self.daemon.kill()
        self.notices.close()


@pytest.mark.parametrize(
    ("roles", "point"),
    [(("serve",), "pass"), (("listen", "work", "deliver"), "decoding")],
    ids=["serve in a pass", "roles in a decoder"],
)
def test_an_analysis_is_put_back_by_a_stop_and_done_once_after_it(
    roles: tuple[str, ...], point: str, untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs, tmp_path / "study")
    faults = Faults(tmp_path / "faults")
    with running(FaultyPacs()) as pacs:
        site = Site(tmp_path, untrained_bundle, pacs, faults.environment, *roles)
        try:
            faults.hold(point)
            site.start()
            site.daemon.wait_for_listener()
            assert storescu(site.daemon.port, *files, options=("-R", "-xy")).status == 0
            faults.wait_until_held(point)
            site.terminate()
            faults.release(point)
            assert site.ended() == [0] * len(roles)
            (job,) = site.jobs(JobKind.ANALYSE)
            assert (job.state, job.attempt) == (JobState.WAITING, 0), "a stop is no failure, and costs no attempt"
            assert pacs.acknowledged == {}

            faults.hold(point)
            site.start()
            faults.wait_until_held(point)
            held = [process for process in site.terminate() if process.poll() is None]
            for process in held:
                process.send_signal(signal.SIGTERM)
            assert KILLED in site.ended(), "the second one is at once, whatever it is at"
            wait_until(site.is_gone, "all processes to be gone", 10)
            (job,) = site.jobs(JobKind.ANALYSE)
            assert (job.state, job.attempt) == (JobState.RUNNING, 1)

            faults.release(point)
            site.start()
            site.daemon.wait_until_idle(1)
            assert site.daemon.stop() == [0] * len(roles)
            (job,) = site.jobs(JobKind.ANALYSE)
            assert (job.state, job.attempt) == (JobState.DONE, 2)
            assert len(pacs.kept) > 1
            assert set(pacs.acknowledged.values()) == {1}, "every object once"
        finally:
            site.close()


def test_what_is_on_its_way_in_and_out_arrives_once_whatever_the_stop(tmp_path: Path) -> None:
    roles = ("listen", "deliver")
    large = photograph(rows=512, columns=512)
    with running(SlowPacs()) as pacs:
        assert isinstance(pacs, SlowPacs)
        site = Site(tmp_path, tmp_path / "no bundle", pacs, {}, *roles)
        ledger = FileLedger(site.daemon.folder / "ocunet.db")
        files = Files(site.daemon.folder / "store")
        results = queue_results(ledger, files, tmp_path / "made", 3, ["pacs"], datetime.now(UTC))
        port = site.daemon.port
        try:
            for signals, statuses in ((1, [0, 0]), (2, [KILLED, KILLED])):
                site.start()
                site.daemon.wait_for_listener()
                assert pacs.asked.wait(60)
                with association(port, OP_8_BIT) as sender:
                    send_beginning(sender, OP_8_BIT, large.SOPInstanceUID, encoded(large), pieces=3)
                    wait_until(lambda: list(files.incoming.iterdir()), "half an object to be here")
                    processes = site.terminate()
                    if signals == 2:
                        for process in processes:
                            process.send_signal(signal.SIGTERM)
                    else:
                        pacs.gate.set()
                    assert site.ended() == statuses
                assert len(ledger.rows()) == len(results) // 2, "of half an object there is nothing"
                deliveries = ledger.find(kind=JobKind.DELIVER)
                assert {job.state for job in deliveries} <= {JobState.WAITING, JobState.DONE, JobState.RUNNING}
                if signals == 1:
                    assert list(files.incoming.iterdir()) == []
                    assert pacs.acknowledged.total() == sum(job.state is JobState.DONE for job in deliveries) > 0
                    assert {job.attempt for job in deliveries if job.state is JobState.WAITING} == {0}
                pacs.gate.clear()
                pacs.asked.clear()

            pacs.gate.set()
            site.start()
            site.daemon.wait_for_listener()
            with association(port, OP_8_BIT) as sender:
                assert send_bytes(sender, OP_8_BIT, large.SOPInstanceUID, encoded(large))[0] == 0x0000
            wait_until(lambda: len(ledger.find(state=JobState.DONE, kind=JobKind.DELIVER)) == len(results), "all to go")
            assert site.daemon.stop() == [0, 0]
            assert pacs.kept.keys() == results.keys()
            assert pacs.changed == set()
            assert len(ledger.rows()) == len(results) // 2 + 1
        finally:
            pacs.gate.set()
            site.close()
            ledger.close()
