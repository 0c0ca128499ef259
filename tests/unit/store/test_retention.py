"""Whatever happened, nothing that a job still needs is removed."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.domain.job import Done, JobKind, JobState, Never, Retry
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.store.retention import RetentionRule, remove_files
from tests.conformance.jobs.builders import DAY, NOW, image, output, to

STUDIES = ("1.2.1", "1.2.2", "1.2.3")
LEASE = timedelta(minutes=5)
FINAL = (JobState.DONE, JobState.DISCARDED)


class Shelf:
    """Files by name; each takes one byte of a hundred."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.stuck: set[str] = set()

    def remove(self, key: str) -> None:
        if key in self.stuck:
            raise StoreError("it is stuck")
        self.names.discard(key)

    def free_bytes(self) -> int:
        return 100 - len(self.names)


class Histories(RuleBasedStateMachine):
    """Images come, studies are closed, analysed and delivered in any order, jobs die, and retention runs in between."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs, self.shelf = MemoryJobs(), Shelf()
        self.now, self.number = NOW, 0

    @rule(
        study=st.sampled_from(STUDIES),
        patient=st.sampled_from(["roe", "roe", "doe"]),
        ours=st.sampled_from([False, False, False, True]),
        hours=st.integers(1, 48),
        close=st.sampled_from([True, True, False]),
    )
    def receive(self, study: str, patient: str, ours: bool, hours: int, close: bool) -> None:
        self.number += 1
        received = image(f"1.{self.number}", study, self.now, patient=patient, opens_study=not ours)
        if self.jobs.record_instance(received, self.shelf.names.__contains__):
            self.shelf.names.add(received.file_key)
        self.now += timedelta(hours=hours)
        for due in self.jobs.studies_due(self.now, DAY) if close else ():
            self.jobs.close_study(due, self.now, 2)

    @rule(
        outcome=st.sampled_from(["finish"] * 6 + [Never("no"), Retry("again"), None]),
        reports=st.sampled_from([True, True, True, False]),
    )
    def analyse(self, outcome: object, reports: bool) -> None:
        job = self.jobs.claim([JobKind.ANALYSE], "work", self.now, LEASE)
        if job is None or outcome is None:
            return
        for row in self.jobs.analysis_instances(job.subject_id):
            assert (row.file_key in self.shelf.names) is (row.gone is None), "it is told what it can read"
        if outcome != "finish":
            self.jobs.finish(job, outcome, self.now, 0.0)  # type: ignore[arg-type]
            return
        predecessor = self.jobs.predecessor(job.subject_id)
        made = [output(f"2.25.{job.id}.{n}", kind) for n, kind in enumerate(OutputKind)] if reports else []
        self.shelf.names.update(one.file_key for one in made)
        self.jobs.finish_analysis(
            job,
            key=f"key {job.id}",
            result="{}",
            outputs=to(["pacs", "viewer"], *made),
            expected_predecessor=None if predecessor is None else predecessor[0],
            delivery_attempts=2,
            now=self.now,
        )

    @rule(outcomes=st.lists(st.sampled_from([Done(), Done(), Done(), Never("no"), None]), min_size=1, max_size=8))
    def deliver(self, outcomes: list[Done | Never | None]) -> None:
        for outcome in outcomes:
            job = self.jobs.claim([JobKind.DELIVER], "deliver", self.now, LEASE)
            if job is not None:
                assert self.jobs.delivery(job.subject_id).output.file_key in self.shelf.names
                if outcome is not None:
                    self.jobs.finish(job, outcome, self.now, 0.0)

    @rule()
    def reap(self) -> None:
        self.jobs.reap(self.now, lambda owner: True)

    @precondition(lambda self: self.jobs.find(state=JobState.DEAD))
    @rule(discard=st.booleans())
    def person(self, discard: bool) -> None:
        for job in self.jobs.find(state=JobState.DEAD):
            (self.jobs.discard if discard else self.jobs.retry)(job.id, self.now)

    @rule(days=st.sampled_from([0, 0, 1, 5]), keep_free=st.sampled_from([0, 90, 98, 100]))
    def retain(self, days: int, keep_free: int) -> None:
        remove_files(self.shelf, self.jobs, RetentionRule(timedelta(days=days), keep_free), now=self.now)

    @invariant()
    def what_is_needed_is_there(self) -> None:
        for job in self.jobs.find(limit=10_000):
            if job.state in FINAL:
                continue
            if job.kind is JobKind.DELIVER:
                assert self.jobs.delivery(job.subject_id).output.file_key in self.shelf.names
            else:
                rows = self.jobs.analysis_instances(job.subject_id)
                assert all(row.file_key in self.shelf.names for row in rows if row.gone is None)
        for owner in FileOwner:
            kept = {row.file_key for row in self.jobs.kept_files(owner, 0, 10_000)}
            assert kept <= self.shelf.names, "no row claims a file that is gone"


def test_no_history_loses_a_file_that_is_needed() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Histories,
        settings=settings(
            max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def finished(jobs: MemoryJobs, shelf: Shelf, number: int) -> None:
    """A study of one image, analysed and delivered on day `number`."""
    now = NOW + number * DAY
    study = f"1.2.{number}"
    jobs.record_instance(image(f"1.{number}", study, now))
    [due] = jobs.studies_due(now, DAY)
    jobs.close_study(due, now, 2)
    job = jobs.claim([JobKind.ANALYSE], "work", now, LEASE)
    assert job is not None
    how = jobs.finish_analysis(
        job,
        key=study,
        result="{}",
        outputs=to(["pacs"], output(f"2.25.{number}")),
        expected_predecessor=None,
        delivery_attempts=2,
        now=now,
    )
    assert how is Finish.APPLIED
    deliver = jobs.claim([JobKind.DELIVER], "deliver", now, LEASE)
    assert deliver is not None
    jobs.finish(deliver, Done(), now, 0.0)
    shelf.names |= {f"key-of-1.{number}", f"key-of-2.25.{number}"}


def ten_days() -> tuple[MemoryJobs, Shelf]:
    jobs, shelf = MemoryJobs(), Shelf()
    for number in range(10):
        finished(jobs, shelf, number)
    return jobs, shelf


def test_files_go_by_age() -> None:
    jobs, shelf = ten_days()
    assert remove_files(shelf, jobs, RetentionRule(5 * DAY, 0), now=NOW + 9 * DAY) == 8
    assert "key-of-1.3" not in shelf.names
    assert {"key-of-1.4", "key-of-2.25.4"} <= shelf.names, "it is five days old, not older"


def test_the_oldest_go_until_there_is_room() -> None:
    jobs, shelf = ten_days()
    counted: list[tuple[str, int, str]] = []
    removed = remove_files(
        shelf,
        jobs,
        RetentionRule(100 * DAY, 85),
        now=NOW + 10 * DAY,
        count=lambda name, amount=1, /, **labels: counted.append((name, amount, labels["cause"])),
    )
    assert removed == 6
    assert shelf.free_bytes() == 86
    assert "key-of-1.2" not in shelf.names
    assert "key-of-1.3" in shelf.names
    assert counted == [("files_removed", 2, "space")] * 3


def test_a_file_that_cannot_be_removed_is_marked_all_the_same() -> None:
    """The next consistency check removes it: better a file too many than a row that claims one that is gone."""
    jobs, shelf = ten_days()
    shelf.stuck = {"key-of-1.0"}
    assert remove_files(shelf, jobs, RetentionRule(5 * DAY, 0), now=NOW + 9 * DAY) == 7
    stored = jobs.find_instance("1.0")
    assert stored is not None
    assert stored.gone is ReasonCode.FILE_REMOVED


def test_a_stop_ends_it_between_two_studies() -> None:
    jobs, shelf = ten_days()
    asked = iter([False, False, True])
    assert remove_files(shelf, jobs, RetentionRule(DAY, 0), now=NOW + 9 * DAY, stopping=lambda: next(asked)) == 4
