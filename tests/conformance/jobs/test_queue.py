"""What every `JobQueue` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never, Retry, backoff
from tests.conformance.jobs.builders import BOTH, LEASE, NOW, SECOND, claimed, everybody_lives, queued

if TYPE_CHECKING:
    from tests.conformance.jobs.builders import Store

MINUTE = timedelta(minutes=1)


def test_the_job_that_is_due_first_is_claimed_first(store: Store) -> None:
    later = queued(store, "1.1", NOW + SECOND)
    sooner = queued(store, "1.2", NOW)
    assert [claimed(store, at=NOW + SECOND).id, claimed(store, at=NOW + SECOND).id] == [sooner, later]


def test_a_claim_counts_the_attempt_and_leases_the_job(store: Store) -> None:
    job_id = queued(store)
    job = claimed(store, "worker 1")
    assert job.id == job_id
    assert (job.kind, job.state, job.attempt) == (JobKind.ANALYSE, JobState.RUNNING, 1)
    assert (job.lease_owner, job.lease_expires_at) == ("worker 1", NOW + LEASE)
    assert (job.run_at, job.created_at) == (NOW, NOW)
    assert store.get(job_id) == job


def test_a_running_job_is_not_claimed_again(store: Store) -> None:
    queued(store)
    claimed(store)
    assert store.claim(BOTH, "another", NOW + LEASE * 2, LEASE) is None


def test_nothing_is_claimed_before_it_is_due(store: Store) -> None:
    queued(store, at=NOW)
    assert store.claim(BOTH, "early", NOW - SECOND, LEASE) is None


@pytest.mark.parametrize("kinds", [(), (JobKind.DELIVER,)])
def test_only_the_kinds_that_were_asked_for_are_claimed(store: Store, kinds: tuple[JobKind, ...]) -> None:
    queued(store)
    assert store.claim(kinds, "a sender", NOW, LEASE) is None


def test_done_is_final(store: Store) -> None:
    job = claimed(store, at=NOW) if queued(store) else None
    assert job is not None
    assert store.finish(job, Done("was there already"), NOW + SECOND, 0.0)
    done = store.get(job.id)
    assert done is not None
    assert (done.state, done.finished_at, done.reason) == (JobState.DONE, NOW + SECOND, "was there already")
    assert (done.lease_owner, done.lease_expires_at) == (None, None)
    assert not store.retry(job.id, NOW)
    assert not store.discard(job.id, NOW)
    assert store.claim(BOTH, "another", NOW + LEASE * 9, LEASE) is None


def test_a_retry_waits_its_backoff(store: Store) -> None:
    queued(store)
    job = claimed(store)
    assert store.finish(job, Retry("it failed"), NOW, jitter=0.5)
    wait = backoff(1, 0.5)
    assert store.claim(BOTH, "another", NOW + wait - timedelta(microseconds=1), LEASE) is None
    again = claimed(store, at=NOW + wait)
    assert (again.id, again.attempt, again.reason) == (job.id, 2, "it failed")


def test_a_job_that_always_fails_is_dead_after_its_attempts(store: Store) -> None:
    job_id = queued(store, max_attempts=3)
    for day in range(3):
        job = claimed(store, at=NOW + timedelta(days=day))
        assert job.attempt == day + 1
        assert store.finish(job, Retry("it failed"), NOW + timedelta(days=day), 0.0)
    dead = store.get(job_id)
    assert dead is not None
    assert (dead.state, dead.reason, dead.finished_at) == (JobState.DEAD, "it failed", NOW + timedelta(days=2))
    assert store.claim(BOTH, "another", NOW + timedelta(days=9), LEASE) is None


def test_a_job_that_kills_every_worker_is_dead_after_its_attempts(store: Store) -> None:
    job_id = queued(store, max_attempts=3)
    for attempt in (1, 2, 3):
        at = NOW + (attempt - 1) * MINUTE
        assert claimed(store, f"worker {attempt}", at=at).attempt == attempt
        assert store.reap(at, lambda owner: True) == 1
    dead = store.get(job_id)
    assert dead is not None
    assert (dead.state, dead.attempt, dead.finished_at) == (JobState.DEAD, 3, NOW + 2 * MINUTE)
    assert dead.reason == "its worker went away at attempt 3 of 3"


def test_a_machine_that_goes_down_every_few_seconds_does_not_use_up_the_attempts_of_a_job(store: Store) -> None:
    job_id = queued(store, max_attempts=5)
    for losses in range(12):
        at = NOW + 4 * losses * SECOND
        store.claim(BOTH, f"worker {losses}", at, LEASE)
        store.reap(at + SECOND, lambda owner: True)
    waiting = store.get(job_id)
    assert waiting is not None
    assert waiting.state is JobState.WAITING
    assert waiting.attempt < 5


def test_only_a_job_that_lost_its_worker_twice_waits(store: Store) -> None:
    queued(store, max_attempts=5)
    claimed(store)
    store.reap(NOW, lambda owner: True)
    second = claimed(store, at=NOW)
    store.reap(NOW, lambda owner: True)
    assert store.claim(BOTH, "another", NOW + 7 * SECOND, LEASE) is None
    assert claimed(store, at=NOW + 16 * SECOND).id == second.id


def test_jobs_that_lost_their_worker_together_come_back_apart(store: Store) -> None:
    both = [queued(store, study, max_attempts=5) for study in ("1.2.1", "1.2.2")]
    for _ in range(2):
        claimed(store)
        claimed(store)
        store.reap(NOW, lambda owner: True)
    due = [job.run_at for job in map(store.get, both) if job is not None]
    assert abs(due[0] - due[1]) > SECOND


def test_later_costs_no_attempt(store: Store) -> None:
    job_id = queued(store, max_attempts=1)
    for hour in range(24):
        at = NOW + timedelta(hours=hour)
        job = claimed(store, at=at)
        assert job.attempt == 1
        assert store.finish(job, Later("the PACS is down", timedelta(minutes=30)), at, 0.0)
        assert store.claim(BOTH, "another", at + timedelta(minutes=29), LEASE) is None
    waiting = store.get(job_id)
    assert waiting is not None
    assert (waiting.state, waiting.attempt, waiting.reason) == (JobState.WAITING, 0, "the PACS is down")


def test_never_is_dead_at_once_until_a_person_says_retry(store: Store) -> None:
    queued(store)
    job = claimed(store)
    assert store.finish(job, Never("refused for good"), NOW, 0.0)
    assert [dead.reason for dead in store.find(state=JobState.DEAD)] == ["refused for good"]
    assert store.retry(job.id, NOW + SECOND)
    assert not store.retry(job.id, NOW + SECOND)
    again = claimed(store, at=NOW + SECOND)
    assert (again.id, again.attempt, again.finished_at) == (job.id, 1, None)


def test_a_dead_job_can_be_discarded_and_stays_discarded(store: Store) -> None:
    queued(store)
    job = claimed(store)
    store.finish(job, Never("refused for good"), NOW, 0.0)
    assert store.discard(job.id, NOW + SECOND)
    gone = store.get(job.id)
    assert gone is not None
    assert (gone.state, gone.finished_at, gone.reason) == (JobState.DISCARDED, NOW + SECOND, "refused for good")
    assert not store.retry(job.id, NOW)
    assert not store.discard(job.id, NOW)


def test_a_waiting_job_is_neither_retried_nor_discarded(store: Store) -> None:
    job_id = queued(store)
    before = store.get(job_id)
    assert not store.retry(job_id, NOW + SECOND)
    assert not store.discard(job_id, NOW + SECOND)
    assert store.get(job_id) == before


def test_an_expired_lease_is_taken_and_the_late_worker_cannot_finish(store: Store) -> None:
    queued(store)
    slow = claimed(store, "slow")
    assert store.reap(NOW + LEASE - SECOND, everybody_lives) == 0
    assert store.reap(NOW + LEASE, everybody_lives) == 1
    assert not store.finish(slow, Done(), NOW + LEASE, 0.0)
    quick = claimed(store, "quick", NOW + LEASE)
    assert quick.attempt == 2
    assert not store.finish(slow, Done(), NOW + LEASE, 0.0)
    assert not store.renew(slow, NOW + LEASE, LEASE)
    assert store.get(quick.id) == quick
    assert store.finish(quick, Done(), NOW + LEASE, 0.0)


def test_the_same_worker_cannot_finish_its_earlier_attempt(store: Store) -> None:
    queued(store)
    first = claimed(store, "one name")
    store.reap(NOW + LEASE, everybody_lives)
    second = claimed(store, "one name", NOW + LEASE)
    assert not store.finish(first, Never("stale"), NOW + LEASE, 0.0)
    assert store.get(first.id) == second


def test_a_renewed_lease_is_not_taken(store: Store) -> None:
    queued(store)
    job = claimed(store)
    assert store.renew(job, NOW + LEASE - SECOND, LEASE)
    assert store.reap(NOW + LEASE, everybody_lives) == 0
    assert store.reap(NOW + LEASE - SECOND + LEASE, everybody_lives) == 1


def test_a_lease_that_is_renewed_while_the_reaper_looks_is_not_taken(store: Store) -> None:
    queued(store)
    job = claimed(store, "slow")

    def renews_in_the_last_moment(owner: str) -> bool:
        return not store.renew(job, NOW + LEASE, LEASE)

    assert store.reap(NOW + LEASE, renews_in_the_last_moment) == 0
    assert store.finish(job, Done(), NOW + LEASE, 0.0)


def test_only_the_jobs_of_owners_that_are_gone_are_taken_before_their_lease(store: Store) -> None:
    queued(store, "1.1")
    queued(store, "1.2")
    first, second = claimed(store, "dies"), claimed(store, "lives")
    assert store.reap(NOW, lambda owner: owner == "dies") == 1
    taken, kept = store.get(first.id), store.get(second.id)
    assert taken is not None
    assert (taken.state, taken.run_at, taken.attempt) == (JobState.WAITING, NOW, 1)
    assert taken.lease_owner is None
    assert kept == second


def test_a_job_that_does_not_exist(store: Store) -> None:
    assert store.get(1) is None
    assert not store.retry(1, NOW)
    assert not store.discard(1, NOW)


def test_jobs_are_found_newest_first_by_state_and_kind(store: Store) -> None:
    ids = [queued(store, f"1.{number}") for number in range(4)]
    claimed(store)
    assert [job.id for job in store.find()] == ids[::-1]
    assert [job.id for job in store.find(limit=2)] == ids[:1:-1]
    assert [job.id for job in store.find(state=JobState.RUNNING)] == ids[:1]
    assert [job.id for job in store.find(state=JobState.WAITING, kind=JobKind.ANALYSE)] == ids[:0:-1]
    assert store.find(kind=JobKind.DELIVER) == []
    assert store.counts() == {(JobKind.ANALYSE, JobState.RUNNING): 1, (JobKind.ANALYSE, JobState.WAITING): 3}


def test_what_a_peer_wrote_cannot_break_the_row(store: Store) -> None:
    queued(store)
    job = claimed(store)
    assert store.finish(job, Never("refused: \0caf\u00e9 \udc80"), NOW, 0.0)
    dead = store.get(job.id)
    assert dead is not None
    assert dead.reason == "refused: caf\u00e9 ?"


def test_racing_workers_claim_each_job_once(store: Store) -> None:
    jobs = {queued(store, f"1.{number}") for number in range(24)}

    def work(name: str) -> list[int]:
        mine = []
        while (job := store.claim(BOTH, name, NOW, LEASE)) is not None:
            mine.append(job.id)
            assert store.finish(job, Done(), NOW, 0.0)
        return mine

    with ThreadPoolExecutor(6) as pool:
        taken = [job_id for mine in pool.map(work, "abcdef") for job_id in mine]
    assert sorted(taken) == sorted(jobs)
    assert store.counts() == {(JobKind.ANALYSE, JobState.DONE): 24}


def test_racing_reapers_take_each_job_once(store: Store) -> None:
    for number in range(8):
        queued(store, f"1.{number}")
        claimed(store, "gone")
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: store.reap(NOW, lambda owner: True), range(4)))
    assert sum(taken) == 8
    assert store.counts() == {(JobKind.ANALYSE, JobState.WAITING): 8}
