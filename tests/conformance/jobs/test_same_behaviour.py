"""Any sequence of calls has the same answers and leaves the same rows in SQLite as in memory."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ocunet_pacs.domain.job import Done, Job, JobKind, JobState, Later, Never, Retry
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import Addressed, Commitment, OutputKind
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.invariants import broken
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import NOW, image, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.study import OpenStudy

STUDIES = ("1.2.1", "1.2.2")
IMAGES = tuple(f"1.{number}" for number in range(8))
OWNERS = ("a", "b", "c")
KINDS = (tuple(JobKind), (JobKind.ANALYSE,), (JobKind.DELIVER,))
LEASE = timedelta(seconds=20)

DESTINATIONS = ("pacs", "Viewer", "archive")
TRANSACTIONS = ("T", "U", "V", "W")
DIGESTS = ("ab", "abc", "ABC")

destinations = st.sampled_from(DESTINATIONS)
routes = st.sampled_from([("pacs", "Viewer", "pacs"), ("pacs",), ("archive", "pacs"), ()])
outcomes = st.one_of(
    st.just(Done()),
    st.just(Done("a note")),
    st.just(Retry("it failed")),
    st.just(Never("hopeless")),
    st.integers(0, 30).map(lambda seconds: Later("the PACS is down", timedelta(seconds=seconds))),
)
any_claim = st.integers(0, 100)


class SqliteAndMemory(RuleBasedStateMachine):
    """Every rule does the same to both; every answer and, after each step, everything visible must be equal."""

    def __init__(self, empty: Path) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "queue.sqlite"
        shutil.copy(empty, path)
        self._engine = open_engine(f"sqlite:///{path}")
        self.sql, self.memory = SqlJobs(self._engine), MemoryJobs()
        self.now: datetime = NOW
        self.seen: list[OpenStudy] = []
        self.claims: list[Job] = []
        self.stored: list[int] = []
        self.sent = 0

    def teardown(self) -> None:
        self._engine.dispose()
        self._folder.cleanup()

    def both(self, call: Callable[[SqlJobs | MemoryJobs], Any]) -> Any:
        from_sql, from_memory = call(self.sql), call(self.memory)
        assert from_sql == from_memory
        return from_sql

    @initialize(storing=st.integers(0, 4), routes=routes)
    def begin_with_deliveries(self, storing: int, routes: tuple[str, ...]) -> None:
        """Most histories begin where a short one would hardly get."""
        if storing == 0:
            return
        self.record("1.0", STUDIES[0], True, 0, 0, "roe", True)
        self.look(0)
        self.close(0, 3)
        self.claim("a", (JobKind.ANALYSE,))
        made = [(OutputKind.REPORT, routes), (OutputKind.HEATMAP, ("pacs", "Viewer"))]
        self.finish_analysis(0, "t", made, True, Urgency.SOON, "abc")
        for number in range(storing):
            self.claim("b", (JobKind.DELIVER,))
            if any(job.kind is JobKind.DELIVER for job in self.claims):
                self.answer(number, 0, "", True)

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        uid=st.sampled_from(IMAGES),
        study=st.sampled_from(STUDIES),
        opens=st.booleans(),
        late=st.integers(0, 5),
        quiet=st.integers(0, 30),
        patient=st.sampled_from(["", "roe", "doe"]),
        there=st.booleans(),
    )
    def record(self, uid: str, study: str, opens: bool, late: int, quiet: int, patient: str, there: bool) -> None:
        arrived = self.now - timedelta(seconds=late)
        self.sent += 1
        received = replace(
            image(uid, study, arrived, opens_study=opens, quiet=timedelta(seconds=quiet), patient=patient),
            file_key=f"{uid} sent {self.sent}",
        )
        self.both(lambda store: store.record_instance(received, lambda key: there))

    @rule(old=st.integers(0, 60))
    def remove_files(self, old: int) -> None:
        before = self.now - timedelta(seconds=old)
        for study in self.both(lambda store: store.removable_studies(before, None, 10)):
            self.both(lambda store, study=study: sorted(store.mark_removed(study.id, self.now)))

    @rule(number=any_claim, owner=st.sampled_from(FileOwner), found=st.booleans())
    def lose_a_file(self, number: int, owner: FileOwner, found: bool) -> None:
        rows = self.both(lambda store: store.kept_files(owner, 0, 100))[number % 3 : number % 3 + 2]
        if found:
            self.both(lambda store: store.mark_found(owner, rows))
        else:
            self.both(lambda store: store.mark_missing(owner, rows, self.now))

    @rule(task=st.sampled_from("ab"), succeeded=st.booleans(), late=st.integers(0, 50))
    def housekeeping(self, task: str, succeeded: bool, late: int) -> None:
        started = self.now - timedelta(seconds=late)
        self.both(lambda store: store.record_run(task, started, 0.5, succeeded=succeeded, note="a \0 note"))

    @rule(force=st.integers(0, 60))
    def look(self, force: int) -> None:
        self.seen = self.both(lambda store: store.studies_due(self.now, timedelta(seconds=force)))

    @rule(studies=st.sets(st.sampled_from(STUDIES)))
    def hasten(self, studies: set[str]) -> None:
        self.both(lambda store: store.hasten_studies(studies))

    @precondition(lambda self: self.seen)
    @rule(number=any_claim, attempts=st.integers(1, 3))
    def close(self, number: int, attempts: int) -> None:
        study = self.seen[number % len(self.seen)]
        self.both(lambda store: store.close_study(study, self.now, attempts))

    @rule(owner=st.sampled_from(OWNERS), kinds=st.sampled_from(KINDS))
    def claim(self, owner: str, kinds: tuple[JobKind, ...]) -> None:
        job = self.both(lambda store: store.claim(kinds, owner, self.now, LEASE))
        if job is not None:
            self.claims.append(job)

    @precondition(lambda self: self.claims)
    @rule(number=any_claim, outcome=outcomes, jitter=st.sampled_from([0.0, 0.25, 0.5]))
    def finish(self, number: int, outcome: Any, jitter: float) -> None:
        job = self.claims[number % len(self.claims)]
        self.both(lambda store: store.finish(job, outcome, self.now, jitter))

    @precondition(lambda self: any(job.kind is JobKind.ANALYSE for job in self.claims))
    @rule(
        number=any_claim,
        key=st.sampled_from("uvwxyz"),
        made=st.lists(st.tuples(st.sampled_from(OutputKind), routes), max_size=4),
        names_it=st.sampled_from([True, True, True, False]),
        urgency=st.sampled_from([None, *Urgency]),
        digest=st.sampled_from(DIGESTS),
    )
    def finish_analysis(
        self,
        number: int,
        key: str,
        made: list[tuple[OutputKind, tuple[str, ...]]],
        names_it: bool,
        urgency: Urgency | None,
        digest: str,
    ) -> None:
        analyse = [job for job in self.claims if job.kind is JobKind.ANALYSE]
        job = analyse[number % len(analyse)]
        found = self.both(lambda store: store.predecessor(job.subject_id))
        expected = found[0] if found is not None and names_it else None
        self.sent += 1
        outputs = [
            Addressed(
                replace(output(f"2.25.{key}.{n}", kind), form=f"form {n}", file_key=f"{key}.{n} made {self.sent}"),
                destinations,
            )
            for n, (kind, destinations) in enumerate(made)
        ]
        keys = [one.output.file_key for one in outputs]
        self.both(
            lambda store: store.finish_analysis(
                job,
                key=key,
                result="{}",
                outputs=outputs,
                expected_predecessor=expected,
                delivery_attempts=2,
                now=self.now,
                urgency=urgency,
                bundle_digest=digest,
            )
        )
        self.both(lambda store: store.named_results(keys))

    @rule(study=st.integers(1, 4), priority=st.sampled_from([-1, 0, 5]))
    def reprocess(self, study: int, priority: int) -> None:
        self.both(lambda store: store.request_revision(study, self.now, 2, priority))

    @precondition(lambda self: self.claims)
    @rule(number=any_claim)
    def renew(self, number: int) -> None:
        job = self.claims[number % len(self.claims)]
        self.both(lambda store: store.renew(job, self.now, LEASE))

    @rule(gone=st.sets(st.sampled_from(OWNERS), max_size=2))
    def reap(self, gone: set[str]) -> None:
        self.both(lambda store: store.reap(self.now, gone.__contains__))

    @precondition(lambda self: self.claims)
    @rule(number=any_claim, discard=st.booleans())
    def person(self, number: int, discard: bool) -> None:
        job_id = self.claims[number % len(self.claims)].id
        self.both(lambda store: (store.discard if discard else store.retry)(job_id, self.now))

    @precondition(lambda self: any(job.kind is JobKind.DELIVER for job in self.claims))
    @rule(
        number=any_claim,
        status=st.sampled_from([None, 0, 0xA700]),
        comment=st.sampled_from(["", "full", "\0x"]),
        stored=st.booleans(),
    )
    def answer(self, number: int, status: int | None, comment: str, stored: bool) -> None:
        deliver = [job for job in self.claims if job.kind is JobKind.DELIVER]
        subject = deliver[number % len(deliver)].subject_id
        self.both(lambda store: store.record_delivery(subject, status, comment, self.now, stored=stored))
        if stored and subject not in self.stored:
            self.stored.append(subject)

    @precondition(lambda self: self.stored)
    @rule(numbers=st.lists(any_claim, min_size=1, max_size=3), transaction=st.sampled_from(TRANSACTIONS))
    def ask(self, numbers: list[int], transaction: str) -> None:
        asked = [self.stored[number % len(self.stored)] for number in numbers]
        self.both(lambda store: store.note_asked(transaction, asked, self.now))

    @precondition(lambda self: self.stored)
    @rule(destination=destinations, old=st.integers(0, 60), limit=st.integers(1, 3), transaction=st.sampled_from("VW"))
    def ask_for_all(self, destination: str, old: int, limit: int, transaction: str) -> None:
        before = self.now - timedelta(seconds=old)
        rows = self.both(lambda store: store.uncommitted(destination, before, limit))
        self.both(lambda store: store.note_asked(transaction, [row.id for row in rows], self.now))

    @precondition(lambda self: self.stored)
    @rule(transaction=st.sampled_from(TRANSACTIONS))
    def the_asking_failed(self, transaction: str) -> None:
        self.both(lambda store: store.note_not_asked(transaction))

    @precondition(lambda self: self.stored)
    @rule(transaction=st.sampled_from(TRANSACTIONS), numbers=st.lists(any_claim, max_size=2), keeps=st.booleans())
    def hear(self, transaction: str, numbers: list[int], keeps: bool) -> None:
        """Of each object that is stored, said to be kept or not, but for some of which nothing is said."""
        unsaid = {self.stored[number % len(self.stored)] for number in numbers}
        rows = [self.memory.delivery(subject) for subject in self.stored if subject not in unsaid]
        uids = [row.output.sop_instance_uid for row in rows]
        failed = dict.fromkeys(uids[len(uids) // 2 :] if keeps else uids, 0x0112)
        answer = Commitment(transaction, frozenset(uids) - frozenset(failed), failed)
        self.both(lambda store: store.record_commitment(answer, self.now))

    @rule(destination=destinations, pause=st.integers(0, 30))
    def would_try(self, destination: str, pause: int) -> None:
        self.both(lambda store: store.may_try(destination, self.now, timedelta(seconds=pause)))

    @rule(destination=destinations, longest=st.integers(0, 60), reason=st.sampled_from(["refused", "a \0 reason"]))
    def nobody_answers(self, destination: str, longest: int, reason: str) -> None:
        self.both(lambda store: store.note_down(destination, reason, self.now, timedelta(seconds=longest)))

    @rule(destination=destinations, late=st.sampled_from([0, 0, 5]))
    def somebody_answers(self, destination: str, late: int) -> None:
        self.both(lambda store: store.note_up(destination, self.now - timedelta(seconds=late)))

    @rule(
        uid=st.sampled_from([None, *STUDIES]),
        old=st.sampled_from([None, 0, 30]),
        digest=st.sampled_from([None, "", *DIGESTS]),
        after=st.integers(0, 3),
        newest_first=st.booleans(),
    )
    def look_back(self, uid: str | None, old: int | None, digest: str | None, after: int, newest_first: bool) -> None:
        since = None if old is None else self.now - timedelta(seconds=old)
        self.both(
            lambda store: store.studies_like(
                study_instance_uid=uid,
                since=since,
                bundle_digest=digest,
                after=after,
                limit=2,
                newest_first=newest_first,
            )
        )

    @invariant()
    def same_rows(self) -> None:
        jobs = self.both(lambda store: store.find(limit=1000))
        self.both(lambda store: store.counts())
        self.both(lambda store: list(store.output_uids()))
        self.both(lambda store: [store.newest_revision(study) for study in STUDIES])
        self.both(lambda store: store.studies_due(self.now, timedelta(0)))
        self.both(lambda store: store.upkeep_counts())
        self.both(lambda store: store.task_runs())
        self.both(lambda store: store.destination_states())
        self.both(lambda store: store.studies_like())
        self.both(lambda store: store.past_study(1))
        for name in DESTINATIONS:
            self.both(lambda store, name=name: store.uncommitted(name, self.now, 100))
        self.both(lambda store: store.removable_studies(self.now, None, 100))
        for owner in FileOwner:
            kept = self.both(lambda store, owner=owner: store.kept_files(owner, 0, 100))
            keys = [row.file_key for row in kept]
            self.both(lambda store, owner=owner, keys=keys: store.file_states(owner, [*keys, "a stranger"]))
        self.both(lambda store: [store.find_instance(uid) for uid in IMAGES])
        for job in jobs:
            if job.kind is JobKind.ANALYSE:
                subject = job.subject_id
                self.both(lambda store, subject=subject: (store.analysis(subject), store.analysis_instances(subject)))
                self.both(lambda store, subject=subject: store.predecessor(subject))
            else:
                self.both(lambda store, subject=job.subject_id: store.delivery(subject))

    @invariant()
    def nothing_is_broken(self) -> None:
        """What `db integrity` asks of the rows holds after any sequence of calls."""
        with self._engine.connect() as connection:
            assert list(broken(connection)) == []

    @invariant()
    def attempts_are_bounded(self) -> None:
        for job in self.memory.find(limit=1000):
            assert 0 <= job.attempt <= job.max_attempts
            assert (job.state is JobState.RUNNING) == (job.lease_owner is not None)


@pytest.mark.timeout(400)
def test_sqlite_and_memory_behave_the_same(migrated_file: Path) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: SqliteAndMemory(migrated_file),
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
