"""Archives that are down, busy, cut off, killed or forgetful: every result arrives once, or a person is told why not.

Real reports, a real queue on SQLite, real associations. The clock of the delivering loop jumps to what is due next, so
that days of waiting pass in seconds; what comes from outside (an archive's events) keeps the real time.
"""

from __future__ import annotations

import random
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from ocunet_pacs.delivery.commitment import CommitmentRequestor
from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import jobs
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.pipeline.delivering import CommitmentRule, DeliveryTools, deliver
from ocunet_pacs.store.files import Files
from tests.daemon import Daemon, wait_until
from tests.dcmtk import HOST, free_port
from tests.integration.faulty_pacs import FaultyPacs, cutting, running
from tests.integration.ledgers import open_database
from tests.integration.waiting_results import queue_results
from tests.listening import listening
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.labels import Urgency

START = datetime.now(UTC) + timedelta(days=1)
"""Ahead of the real time, in which a listener beside it takes back jobs whose lease is over."""
LEASE = timedelta(minutes=5)


class Delivering:
    """One delivering loop whose clock jumps."""

    def __init__(self, folder: Path, database: Path, port: int, *, ae_title: str = "FAULTY", commits: bool) -> None:
        self.engine = open_database(database)
        self.jobs = SqlJobs(self.engine)
        self.files = Files(folder / "store")
        self.time = START
        destination = Destination("pacs", ae_title, HOST, port, timedelta(seconds=10))
        self.sender = CStoreSender(destination, calling_ae_title="OCUNET")
        rule = CommitmentRule(CommitmentRequestor(destination, "OCUNET", timedelta(0)), timedelta(hours=1), 24)
        self.serial = 0
        self.tools = DeliveryTools(
            ledger=self.jobs,
            files=self.files,
            senders={"pacs": self.sender},
            commitment={"pacs": rule} if commits else {},
            pause=timedelta(minutes=1),
            longest_pause=timedelta(minutes=15),
            clock=lambda: self.time,
            new_uid=self._new_uid,
        )

    def _new_uid(self) -> str:
        self.serial += 1
        return derive_uid("transaction", str(self.serial))

    def deliver_due(self) -> None:
        while (job := self.jobs.claim([JobKind.DELIVER], "me", self.time, LEASE)) is not None:
            assert self.jobs.finish(job, deliver(job, self.tools, lambda: None), self.time, 0.5)

    def deliver_for(self, span: timedelta, listen: float = 0.0) -> None:
        """Until nothing waits, or the span is over; `listen`: seconds that events get before the clock jumps."""
        end = self.time + span
        while self.time < end:
            self.deliver_due()
            time.sleep(listen)
            due = self._next_due()
            if due is None:
                return
            self.time = max(self.time, min(due, end))

    def _next_due(self) -> datetime | None:
        waiting = (jobs.c.state == JobState.WAITING, jobs.c.kind == JobKind.DELIVER)
        with transaction(for_reading(self.engine)) as connection:
            return connection.execute(select(func.min(jobs.c.run_at)).where(*waiting)).scalar_one()

    def states(self) -> dict[JobState, int]:
        return {state: number for (kind, state), number in self.jobs.counts().items() if kind is JobKind.DELIVER}

    def queue(self, folder: Path, studies: int) -> dict[str, Urgency]:
        return queue_results(self.jobs, self.files, folder, studies, ["pacs"], START)


@pytest.mark.timeout(300)
def test_five_hundred_results_wait_for_a_pacs_that_is_down_for_a_day(tmp_path: Path) -> None:
    port = free_port()
    house = Delivering(tmp_path, tmp_path / "rows.db", port, commits=False)
    urgency = house.queue(tmp_path / "made", 250)
    assert len(urgency) == 500
    with capture_logs() as logs:
        house.deliver_for(timedelta(days=1))
        assert house.states() == {JobState.WAITING: 500}
        with running(FaultyPacs(), port) as pacs:
            house.deliver_for(timedelta(minutes=20))
            house.sender.close()
    assert house.states() == {JobState.DONE: 500}
    assert set(pacs.kept) == set(urgency)
    assert set(pacs.acknowledged.values()) == {1}
    ranks = [urgency[uid].rank for uid in pacs.order]
    assert ranks == sorted(ranks, reverse=True)
    assert all(job.attempt == 1 for job in house.jobs.find(kind=JobKind.DELIVER, limit=1000))
    assert [e["event"] for e in logs if e["event"].startswith("destination_")] == ["destination_down", "destination_up"]


@pytest.mark.timeout(300)
def test_an_archive_that_does_everything_wrong_ends_with_every_object_committed_or_with_a_reason(
    tmp_path: Path,
) -> None:
    destination = {"name": "pacs", "ae_title": "FAULTY", "host": HOST, "port": 1, "commitment": True}
    with (
        listening(tmp_path / "listener", destinations=[destination]) as listener,
        running(FaultyPacs(busy=0.5, forgets=0.25)) as pacs,
    ):
        pacs.event_port = listener.port
        with cutting(pacs.port, chance=0.3) as way:
            house = Delivering(tmp_path, listener.rows, way, commits=True)
            uids = house.queue(tmp_path / "made", 25)
            house.deliver_for(timedelta(days=7), listen=0.3)
            house.sender.close()
    states = house.states()
    assert set(states) <= {JobState.DONE, JobState.DEAD}
    for job in house.jobs.find(kind=JobKind.DELIVER, limit=1000):
        row = house.jobs.delivery(job.subject_id)
        if job.state is JobState.DONE:
            assert row.committed_at is not None
            assert row.output.sop_instance_uid in pacs.kept
        else:
            assert job.reason
    assert states[JobState.DONE] > len(uids) // 2
    assert set(pacs.kept) <= set(uids)
    assert pacs.changed == set()


@pytest.mark.peers
def test_orthanc_commits_to_what_it_was_sent(tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "orthanc", modalities={"us": ("OCUNET", HOST, port)}) as pacs:
        destination = {"name": "pacs", "ae_title": "ORTHANC", "host": HOST, "port": pacs.dicom_port, "commitment": True}
        with listening(tmp_path / "listener", dicom={"port": port}, destinations=[destination]) as listener:
            house = Delivering(tmp_path, listener.rows, pacs.dicom_port, ae_title="ORTHANC", commits=True)
            uids = house.queue(tmp_path / "made", 5)
            house.deliver_for(timedelta(hours=2), listen=0.5)
            house.sender.close()
        assert house.states() == {JobState.DONE: 10}
        rows = [house.jobs.delivery(job.subject_id) for job in house.jobs.find(kind=JobKind.DELIVER)]
        assert all(row.committed_at is not None for row in rows)
        assert pacs.sop_instance_uids() == set(uids)


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_a_pacs_that_is_killed_again_and_again_has_everything_once(tmp_path: Path) -> None:
    port, dice = free_port(), random.Random(5)
    daemon = Daemon(
        tmp_path / "daemon",
        tmp_path / "no-bundle",
        [{"name": "pacs", "ae_title": "ORTHANC", "host": HOST, "port": port}],
        more={"jobs": {"unavailable_delay": "500ms"}},
    )
    queue = SqlJobs(open_database(daemon.folder / "ocunet.db"))
    uids = queue_results(queue, Files(daemon.folder / "store"), tmp_path / "made", 40, ["pacs"], datetime.now(UTC))
    daemon.start("deliver")
    try:
        for _ in range(6):
            with orthanc(tmp_path / "orthanc", dicom_port=port) as pacs:
                time.sleep(dice.uniform(0.05, 0.6))
                pacs.process.send_signal(signal.SIGKILL)
                pacs.process.wait(10)
        with orthanc(tmp_path / "orthanc", dicom_port=port) as pacs:

            def delivered() -> bool:
                counts = queue.counts()
                return counts.get((JobKind.DELIVER, JobState.DONE), 0) == len(uids)

            wait_until(delivered, "every result to be delivered", 120)
            assert sorted(i["MainDicomTags"]["SOPInstanceUID"] for i in pacs.get("/instances?expand")) == sorted(uids)
    finally:
        assert daemon.stop() == [0]
