"""Destinations where nobody answers: told once, tried by one at a time, and all goes out when somebody does."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, TypeVar

from ocunet_pacs.domain.job import Done, JobKind, JobState, Later
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.ledger import DestinationState
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import DAY, LEASE, NOW, SECOND, claimed, queued, reported
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Engine

    from ocunet_pacs.domain.job import Job
    from tests.conformance.jobs.builders import Store

Answer = TypeVar("Answer")

PAUSE = timedelta(seconds=30)
LONGEST = timedelta(minutes=2)
FIRST = timedelta(seconds=5)


def state(store: Store, name: str = "pacs") -> DestinationState:
    [found] = [one for one in store.destination_states() if one.name == name]
    return found


def may(store: Store, at: datetime) -> bool:
    return store.may_try("pacs", at, PAUSE) is None


def due(store: Store, at: datetime, destination: str = "pacs") -> list[int]:
    """Ids of the jobs for the destination that a worker could claim."""
    return sorted(
        job.id
        for job in store.find(state=JobState.WAITING, kind=JobKind.DELIVER, limit=1000)
        if job.run_at <= at and store.delivery(job.subject_id).destination == destination
    )


def at_once(call: Callable[[int], Answer], threads: int = 6) -> list[Answer]:
    """What every thread was answered."""
    together = Barrier(threads)

    def run(number: int) -> Answer:
        together.wait()
        return call(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


class TestCircuit:
    def test_a_destination_that_was_never_tried_may_be(self, store: Store) -> None:
        assert store.destination_states() == []
        assert may(store, NOW)
        assert may(store, NOW), "any number of callers"
        assert store.note_up("pacs", NOW) is None
        assert state(store) == DestinationState("pacs", None, 0, None, "", NOW)

    def test_the_first_who_finds_nobody_there_is_to_tell(self, store: Store) -> None:
        assert store.note_down("pacs", "connection\0 refused", NOW, LONGEST)
        assert state(store) == DestinationState("pacs", NOW, 0, NOW + FIRST, "connection refused", None)
        assert not store.note_down("pacs", "connection refused", NOW + SECOND, LONGEST)
        assert store.note_down("viewer", "no route", NOW, LONGEST), "each destination on its own"
        assert [one.name for one in store.destination_states()] == ["pacs", "viewer"]

    def test_who_failed_beside_the_first_does_not_make_the_wait_longer(self, store: Store) -> None:
        store.note_down("pacs", "connection refused", NOW, LONGEST)
        for second in range(1, 5):
            store.note_down("pacs", "a straggler", NOW + second * SECOND, LONGEST)
        assert state(store) == DestinationState("pacs", NOW, 0, NOW + FIRST, "connection refused", None)

    def test_nobody_tries_before_the_probe_and_then_one(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert store.may_try("pacs", NOW + FIRST - SECOND, PAUSE) == NOW + FIRST
        assert store.may_try("pacs", NOW + FIRST, PAUSE) is None
        assert store.may_try("pacs", NOW + FIRST, PAUSE) == NOW + FIRST + PAUSE
        assert store.may_try("viewer", NOW + FIRST, PAUSE) is None

    def test_a_probe_that_is_never_heard_of_again_is_followed_by_another(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert may(store, NOW + FIRST)
        assert not may(store, NOW + FIRST + PAUSE - SECOND)
        assert may(store, NOW + FIRST + PAUSE)

    def test_each_probe_that_fails_waits_twice_as_long_up_to_the_longest(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        waits = []
        for probe in range(1, 9):
            at = state(store).probe_at
            assert at is not None
            assert may(store, at)
            assert not store.note_down("pacs", f"refused at probe {probe}", at + SECOND, LONGEST), "it was told"
            found = state(store)
            assert (found.failures, found.down_since, found.reason) == (probe, NOW, f"refused at probe {probe}")
            assert found.probe_at is not None
            waits.append((found.probe_at - at - SECOND).total_seconds())
        assert waits == [10, 20, 40, 80, 120, 120, 120, 120]

    def test_a_short_longest_wait_is_also_the_first(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, 2 * SECOND)
        assert state(store).probe_at == NOW + 2 * SECOND

    def test_an_outage_of_years_does_not_overflow(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        for day in range(1, 80):
            assert may(store, NOW + day * DAY)
            store.note_down("pacs", "refused", NOW + day * DAY, LONGEST)
        assert state(store).failures == 79

    def test_a_failure_that_nobody_was_sent_to_find_counts_when_a_probe_was_due(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert not store.note_down("pacs", "refused again", NOW + FIRST, LONGEST)
        assert (state(store).failures, state(store).probe_at) == (1, NOW + 3 * FIRST)

    def test_an_answer_closes_it_and_says_once_how_long_it_took(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert may(store, NOW + FIRST)
        assert store.note_up("pacs", NOW + 6 * SECOND) == 6 * SECOND
        assert store.note_up("pacs", NOW + 7 * SECOND) is None
        assert state(store) == DestinationState("pacs", None, 0, None, "", NOW + 6 * SECOND)
        assert may(store, NOW + 7 * SECOND)
        assert store.note_down("pacs", "refused", NOW + 8 * SECOND, LONGEST), "another outage, told again"

    def test_an_answer_from_before_the_outage_does_not_end_it(self, store: Store) -> None:
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert store.note_up("pacs", NOW - SECOND) is None
        assert state(store).down_since == NOW
        assert may(store, NOW + FIRST)
        assert store.note_up("pacs", NOW - SECOND) == timedelta(0), "a probe's answer counts, whatever its clock says"

    def test_when_it_last_answered_is_known_to_the_minute(self, store: Store) -> None:
        for second in (0, 59, 60, 100, 121):
            store.note_up("pacs", NOW + second * SECOND)
        assert state(store).answered_at == NOW + 120 * SECOND + SECOND
        store.note_up("pacs", NOW)
        assert state(store).answered_at == NOW + 121 * SECOND, "it does not go back"


class TestWhatWaits:
    def test_it_is_put_off_until_the_next_probe(self, store: Store) -> None:
        mine = reported(store, ["2.25.1", "2.25.2"], ["pacs"])
        others = reported(store, ["2.25.3"], ["viewer"], study="1.2.2")
        analysis = queued(store, "1.2.3")
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert due(store, NOW + FIRST - SECOND) == []
        assert due(store, NOW + FIRST) == mine
        assert due(store, NOW, "viewer") == others
        waiting = store.get(analysis)
        assert waiting is not None
        assert waiting.run_at == NOW
        assert all(store.get(job_id).attempt == 0 for job_id in mine)  # type: ignore[union-attr]

    def test_what_waits_longer_for_another_reason_goes_on_waiting(self, store: Store) -> None:
        [job_id] = reported(store, ["2.25.1"])
        store.finish(claimed(store), Later("stored; to be committed", DAY), NOW, 0.0)
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert store.get(job_id).run_at == NOW + DAY  # type: ignore[union-attr]

    def test_beside_a_probe_nothing_is_due(self, store: Store) -> None:
        first, *rest = reported(store, ["2.25.1", "2.25.2", "2.25.3"])
        store.note_down("pacs", "refused", NOW, LONGEST)
        probe = claimed(store, at=NOW + FIRST)
        assert (probe.id, may(store, NOW + FIRST)) == (first, True)
        assert due(store, NOW + FIRST + PAUSE - SECOND) == []
        assert due(store, NOW + FIRST + PAUSE) == rest

    def test_all_of_it_is_due_at_once_in_order_of_urgency(self, store: Store) -> None:
        levels = [Urgency.ROUTINE, Urgency.EMERGENCY, Urgency.SOON, Urgency.EMERGENCY]
        for number, level in enumerate(levels):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}", urgency=level, at=NOW - number * SECOND)
        store.note_down("pacs", "refused", NOW, LONGEST)
        probe = claimed(store, at=NOW + FIRST)
        assert may(store, NOW + FIRST)
        assert store.note_up("pacs", NOW + FIRST + SECOND) is not None
        assert store.finish(probe, Done(), NOW + FIRST + SECOND, 0.0)
        went = [probe.priority]
        while (job := store.claim([JobKind.DELIVER], "deliver", NOW + FIRST + SECOND, LEASE)) is not None:
            went.append(job.priority)
        assert went == [5, 5, 3, 2]

    def test_what_waited_to_be_committed_looks_again_too(self, store: Store) -> None:
        [job_id] = reported(store, ["2.25.1"])
        store.finish(claimed(store), Later("stored; to be committed", DAY), NOW, 0.0)
        store.note_down("pacs", "refused", NOW, LONGEST)
        assert store.note_up("pacs", NOW + SECOND) == SECOND
        assert due(store, NOW + SECOND) == [job_id]

    def test_a_step_that_still_believes_it_is_down_does_not_wait(self, store: Store) -> None:
        reported(store, ["2.25.1", "2.25.2"], ["pacs"])
        reported(store, ["2.25.3"], ["viewer"], study="1.2.2")
        store.note_down("pacs", "refused", NOW - FIRST, LONGEST)
        jobs = [claimed(store, at=NOW) for _ in range(3)]
        assert may(store, NOW)
        again = store.may_try("pacs", NOW, PAUSE)
        assert again == NOW + PAUSE
        assert store.note_up("pacs", NOW + SECOND) is not None
        for job in jobs:
            assert store.finish(job, Later("down", PAUSE), NOW + SECOND, 0.0)
        assert len(due(store, NOW + SECOND)) == 2
        assert due(store, NOW + SECOND, "viewer") == [], "it waits for another"

    def test_an_answer_in_good_times_hurries_nothing(self, store: Store) -> None:
        [job_id] = reported(store, ["2.25.1"])
        store.finish(claimed(store), Later("stored; to be committed", DAY), NOW, 0.0)
        store.note_up("pacs", NOW)
        assert store.get(job_id).run_at == NOW + DAY  # type: ignore[union-attr]


class TestRaces:
    def test_of_many_who_find_nobody_one_tells(self, store: Store) -> None:
        reported(store, [f"2.25.{number}" for number in range(20)])
        for outage in range(5):
            at = NOW + outage * DAY
            told = at_once(lambda number, at=at: store.note_down("pacs", f"{number}", at, LONGEST))
            assert sorted(told) == [False] * 5 + [True]
            assert (state(store).down_since, state(store).failures) == (at, 0)
            lasted = at_once(lambda number, at=at: store.note_up("pacs", at + SECOND))
            assert sorted(lasted, key=str) == [SECOND, *[None] * 5]

    def test_of_many_who_would_try_one_may(self, store: Store) -> None:
        reported(store, [f"2.25.{number}" for number in range(20)])
        store.note_down("pacs", "refused", NOW, LONGEST)
        for probe in range(8):
            at = NOW + FIRST + probe * PAUSE
            answers = at_once(lambda number, at=at: store.may_try("pacs", at, PAUSE))
            assert sorted(answers, key=str) == [at + PAUSE] * 5 + [None]

    def test_an_outage_with_many_workers_sends_everything_once(self, store: Store) -> None:
        """Workers, a clock that they share, and a destination that is away from its tenth second to its ninetieth."""
        levels = list(Urgency)
        for number in range(40):
            reported(
                store, [f"2.25.{number}"], study=f"1.2.{number}", urgency=levels[number % 6], at=NOW - number * SECOND
            )
        told: list[bool] = []
        sent: list[str] = []
        ended: list[timedelta] = []

        def one(job: Job, at: datetime) -> None:
            again = store.may_try("pacs", at, PAUSE)
            if again is not None:
                store.finish(job, Later("down", again - at), at, 0.0)
            elif at >= NOW + 90 * SECOND:
                lasted = store.note_up("pacs", at)
                ended.extend([] if lasted is None else [lasted])
                sent.append(store.delivery(job.subject_id).output.sop_instance_uid)
                store.finish(job, Done(), at, 0.0)
            else:
                told.append(store.note_down("pacs", "refused", at, LONGEST))
                store.finish(job, Later("refused", FIRST), at, 0.0)

        def tick(worker: int, at: datetime) -> None:
            for _ in range(3):
                job = store.claim([JobKind.DELIVER], f"worker {worker}", at, LEASE)
                if job is not None:
                    one(job, at)

        with ThreadPoolExecutor(4) as pool:
            for second in range(10, 200, 5):
                list(pool.map(tick, range(4), [NOW + second * SECOND] * 4))
        assert sorted(sent) == sorted(f"2.25.{number}" for number in range(40))
        assert told.count(True) == 1
        assert len(ended) == 1
        assert store.counts()[JobKind.DELIVER, JobState.DONE] == 40
        assert all(job.attempt == 1 for job in store.find(kind=JobKind.DELIVER, limit=100)), "it cost no attempt"

    def test_answers_failures_and_commitments_at_once_never_block_each_other(self, store: Store) -> None:
        """On PostgreSQL two who change the same jobs in different orders would: one of them is killed."""
        jobs = reported(store, [f"2.25.{number}" for number in range(60)])
        deliveries = [store.get(job_id).subject_id for job_id in jobs]  # type: ignore[union-attr]
        for delivery in deliveries:
            store.record_delivery(delivery, 0, "", NOW, stored=True)

        def stir(worker: int) -> None:
            for round_ in range(8):
                at = NOW + round_ * SECOND
                mine = deliveries[:: -1 if worker % 2 else 1]
                if worker < 2:
                    store.note_asked(f"T{worker}.{round_}", mine, at)
                    store.note_not_asked(f"T{worker}.{round_}")
                    for delivery in mine[:5]:
                        store.record_delivery(delivery, 0, "", at, stored=True)
                elif worker < 4:
                    store.note_down("pacs", "refused", at, LONGEST)
                    store.note_up("pacs", at)
                else:
                    job = store.claim([JobKind.DELIVER], f"worker {worker}", at + DAY, LEASE)
                    assert job is None or store.finish(job, Later("busy", FIRST), at + DAY, 0.0)

        at_once(stir)
        assert store.counts()[JobKind.DELIVER, JobState.WAITING] == 60


def test_processes_tell_once_and_probe_one_at_a_time(engine: Engine) -> None:
    store = SqlJobs(engine)
    reported(store, [f"2.25.{number}" for number in range(10)])
    for number in range(20):
        store.note_down(f"down {number}", "refused", NOW, SECOND)
    command = [sys.executable, "-m", "tests.conformance.jobs.worker_process", "probe"]
    url = engine.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen([*command, url], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    rounds = list(zip(*said, strict=True))
    assert len(rounds) == 20
    for answers in rounds:
        assert sorted(answer["told"] for answer in answers) == [False, False, True]
        assert sorted(answer["may"] for answer in answers) == [False, False, True]
