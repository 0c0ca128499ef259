"""Stored, asked, committed: answers that come late, twice, for other transactions, or for a copy that is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never
from ocunet_pacs.domain.result import Commitment
from tests.conformance.jobs.builders import DAY, LEASE, NOW, SECOND, claimed, reported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.ledger import DeliveryRow
    from tests.conformance.jobs.builders import Store

NO_SUCH_OBJECT = 0x0112
LONG = timedelta(hours=6)


def yes(transaction: str, *uids: str) -> Commitment:
    return Commitment(transaction, frozenset(uids))


def no(transaction: str, *uids: str) -> Commitment:
    return Commitment(transaction, frozenset(), dict.fromkeys(uids, NO_SUCH_OBJECT))


def stored(store: Store, uids: Sequence[str] = ("2.25.1",), destinations: Sequence[str] = ("pacs",)) -> list[int]:
    """Objects that their destinations have, one a second, each job waiting for the commitment: delivery ids."""
    job_ids = reported(store, uids, destinations)
    ids = []
    for number in range(len(job_ids)):
        job = claimed(store)
        store.record_delivery(job.subject_id, 0, "", NOW + number * SECOND, stored=True)
        assert store.finish(job, Later("stored; to be committed", LONG), NOW, 0.0)
        ids.append(job.subject_id)
    return ids


def job_of(store: Store, delivery: int) -> Job:
    [job] = [job for job in store.find(kind=JobKind.DELIVER) if job.subject_id == delivery]
    return job


def ask(store: Store, transaction: str, *deliveries: int, at: int = 100) -> None:
    store.note_asked(transaction, deliveries, NOW + at * SECOND)


class TestAsking:
    def test_what_is_stored_is_to_be_asked_for_the_oldest_first(self, store: Store) -> None:
        ids = stored(store, ["2.25.1", "2.25.2", "2.25.3"])
        store.record_delivery(ids[0], 0, "", NOW + 9 * SECOND, stored=True)
        rows = store.uncommitted("pacs", NOW, 10)
        assert [row.id for row in rows] == [ids[1], ids[2], ids[0]]
        assert rows == [store.delivery(row.id) for row in rows]
        assert [row.id for row in store.uncommitted("pacs", NOW, 2)] == [ids[1], ids[2]]
        assert rows[0].stored_at == NOW + SECOND
        assert (rows[0].transaction_uid, rows[0].asked_at, rows[0].asks) == (None, None, 0)

    def test_each_destination_is_asked_for_its_own(self, store: Store) -> None:
        ids = stored(store, destinations=["pacs", "viewer"])
        assert [row.id for row in store.uncommitted("viewer", NOW, 10)] == [ids[1]]
        assert store.uncommitted("elsewhere", NOW, 10) == []

    def test_what_is_not_stored_yet_is_not_asked_for(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        assert store.uncommitted("pacs", NOW, 10) == []
        store.record_delivery(1, 0xA700, "full", NOW)
        assert store.uncommitted("pacs", NOW, 10) == []
        ask(store, "T1", 1)
        assert store.delivery(1).transaction_uid is None

    def test_what_was_asked_is_asked_again_after_a_while(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one, at=100)
        row = store.delivery(one)
        assert (row.transaction_uid, row.asked_at, row.asks) == ("T1", NOW + 100 * SECOND, 1)
        assert store.uncommitted("pacs", NOW + 99 * SECOND, 10) == []
        assert store.uncommitted("pacs", NOW + 100 * SECOND, 10) == [row]
        ask(store, "T2", one, at=200)
        row = store.delivery(one)
        assert (row.transaction_uid, row.asked_at, row.asks) == ("T2", NOW + 200 * SECOND, 2)

    @pytest.mark.parametrize("how", [Done(), Never("no"), "discarded"])
    def test_what_is_no_longer_waited_for_is_not_asked_for(self, store: Store, how: Done | Never | str) -> None:
        [one] = stored(store)
        job = claimed(store, at=NOW + LONG)
        assert [row.id for row in store.uncommitted("pacs", NOW, 10)] == [one], "its own step may ask"
        store.finish(job, Never("no") if isinstance(how, str) else how, NOW, 0.0)
        if how == "discarded":
            store.discard(job.id, NOW)
        assert store.uncommitted("pacs", NOW, 10) == []

    def test_an_asking_that_failed_does_not_count(self, store: Store) -> None:
        one, other = stored(store, ["2.25.1", "2.25.2"])
        ask(store, "T1", one, other, at=100)
        store.note_not_asked("T1")
        store.note_not_asked("T1")
        for delivery in (one, other):
            row = store.delivery(delivery)
            assert (row.asked_at, row.asks) == (None, 0)
        assert [row.id for row in store.uncommitted("pacs", NOW, 10)] == [one, other]

    def test_an_asking_that_failed_leaves_the_next_one_alone(self, store: Store) -> None:
        one, other = stored(store, ["2.25.1", "2.25.2"])
        ask(store, "T1", one, other, at=100)
        ask(store, "T2", one, at=200)
        store.note_not_asked("T1")
        assert (store.delivery(one).asked_at, store.delivery(one).asks) == (NOW + 200 * SECOND, 2)
        assert store.delivery(other).asked_at is None
        store.note_not_asked("a stranger")

    @pytest.mark.parametrize("answer", [yes, no])
    def test_an_answer_to_an_asking_that_seemed_to_fail_counts(
        self, store: Store, answer: Callable[..., Commitment]
    ) -> None:
        [one] = stored(store)
        ask(store, "T1", one)
        store.note_not_asked("T1")
        assert store.record_commitment(answer("T1", "2.25.1"), NOW) == 1


class TestAnswers:
    def test_a_yes_commits_and_lets_the_job_go_on_now(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one)
        heard = NOW + 200 * SECOND
        assert store.record_commitment(yes("T1", "2.25.1"), heard) == 1
        row = store.delivery(one)
        assert (row.committed_at, row.failure) == (heard, None)
        assert job_of(store, one).run_at == heard
        assert store.uncommitted("pacs", NOW + DAY, 10) == []
        assert store.record_commitment(yes("T1", "2.25.1"), heard + SECOND) == 0, "it was heard already"
        assert store.delivery(one) == row

    def test_a_no_says_why_and_lets_the_job_go_on_now(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one)
        assert store.record_commitment(no("T1", "2.25.1"), NOW + 200 * SECOND) == 1
        row = store.delivery(one)
        assert (row.committed_at, row.failure) == (None, NO_SUCH_OBJECT)
        assert job_of(store, one).run_at == NOW + 200 * SECOND
        assert store.uncommitted("pacs", NOW + DAY, 10) == [], "it is to be stored again, not asked for"
        ask(store, "T2", one)
        assert store.delivery(one) == row

    def test_one_answer_says_yes_and_no_and_nothing(self, store: Store) -> None:
        one, other, third = stored(store, ["2.25.1", "2.25.2", "2.25.3"])
        ask(store, "T1", one, other, third)
        mixed = Commitment("T1", frozenset({"2.25.1", "2.25.99"}), {"2.25.2": NO_SUCH_OBJECT, "2.25.98": 1})
        assert store.record_commitment(mixed, NOW + 200 * SECOND) == 2
        assert store.delivery(one).committed_at == NOW + 200 * SECOND
        assert store.delivery(other).failure == NO_SUCH_OBJECT
        assert (store.delivery(third).committed_at, store.delivery(third).failure) == (None, None)
        assert job_of(store, third).run_at == NOW + LONG

    def test_an_answer_to_nothing_that_was_asked_changes_nothing(self, store: Store) -> None:
        [one] = stored(store)
        before = store.delivery(one), store.find()
        assert store.record_commitment(yes("T1", "2.25.1"), NOW) == 0
        ask(store, "T1", one)
        asked = store.delivery(one)
        for answer in (yes("T2", "2.25.1"), yes("T1", "2.25.2"), no("T1", "2.25.2"), yes("%", "2.25.1"), yes("T1")):
            assert store.record_commitment(answer, NOW) == 0
        assert store.delivery(one) == asked
        assert store.find() == before[1]

    def test_one_destination_does_not_speak_for_another(self, store: Store) -> None:
        pacs, viewer = stored(store, destinations=["pacs", "viewer"])
        ask(store, "T1", pacs)
        ask(store, "T2", viewer)
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + DAY) == 1
        assert store.delivery(pacs).committed_at == NOW + DAY
        assert store.delivery(viewer).committed_at is None

    def test_a_late_yes_to_an_earlier_asking_is_about_the_same_copy(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one, at=100)
        ask(store, "T2", one, at=200)
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + 300 * SECOND) == 1
        row = store.delivery(one)
        assert (row.committed_at, row.transaction_uid) == (NOW + 300 * SECOND, "T2")
        assert store.record_commitment(no("T2", "2.25.1"), NOW + 400 * SECOND) == 0, "it has said that it keeps it"
        assert store.delivery(one) == row

    def test_a_late_no_to_an_earlier_asking_changes_nothing(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one, at=100)
        ask(store, "T2", one, at=200)
        before = store.delivery(one), job_of(store, one)
        assert store.record_commitment(no("T1", "2.25.1"), NOW + 300 * SECOND) == 0
        assert (store.delivery(one), job_of(store, one)) == before
        assert store.record_commitment(yes("T2", "2.25.1"), NOW + 400 * SECOND) == 1

    def test_after_a_no_to_the_last_asking_an_earlier_yes_is_too_late(self, store: Store) -> None:
        """It was asked later and did not have it then."""
        [one] = stored(store)
        ask(store, "T1", one, at=100)
        ask(store, "T2", one, at=200)
        assert store.record_commitment(no("T2", "2.25.1"), NOW + 300 * SECOND) == 1
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + 400 * SECOND) == 0
        assert store.delivery(one).committed_at is None

    @pytest.mark.parametrize("answer", [yes, no])
    def test_what_is_said_of_a_copy_that_was_replaced_means_nothing(
        self, store: Store, answer: Callable[..., Commitment]
    ) -> None:
        [one] = stored(store)
        ask(store, "T1", one, at=100)
        ask(store, "T2", one, at=200)
        assert store.record_commitment(no("T2", "2.25.1"), NOW + 250 * SECOND) == 1
        store.record_delivery(one, 0, "again", NOW + 300 * SECOND, stored=True)
        row = store.delivery(one)
        assert (row.stored_at, row.failure, row.transaction_uid, row.asked_at, row.asks) == (
            NOW + 300 * SECOND,
            None,
            None,
            None,
            0,
        )
        for earlier in ("T1", "T2"):
            assert store.record_commitment(answer(earlier, "2.25.1"), NOW + 400 * SECOND) == 0
        assert store.delivery(one) == row
        assert store.uncommitted("pacs", NOW, 10) == [row]
        ask(store, "T3", one, at=500)
        assert store.record_commitment(yes("T3", "2.25.1"), NOW + 600 * SECOND) == 1

    def test_a_refusal_of_a_second_copy_forgets_nothing(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one)
        store.record_delivery(one, 0xA700, "full", NOW + 300 * SECOND)
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + 400 * SECOND) == 1

    def test_a_job_that_a_person_put_away_stays_there(self, store: Store) -> None:
        [one] = stored(store)
        ask(store, "T1", one)
        job = claimed(store, at=NOW + LONG)
        store.finish(job, Never("asked too often"), NOW + LONG, 0.0)
        store.discard(job.id, NOW + LONG)
        before = store.get(job.id)
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + DAY) == 1
        assert store.get(job.id) == before


class TestAnswersThatOvertakeTheStep:
    def test_a_step_that_does_not_know_yet_does_not_wait(self, store: Store) -> None:
        """The archive may answer on an association of its own before the step has put its job off."""
        [one] = stored(store)
        job = claimed(store, at=NOW + LONG)
        ask(store, "T1", one)
        assert store.record_commitment(yes("T1", "2.25.1"), NOW + LONG) == 1
        assert store.get(job.id) == job
        assert store.finish(job, Later("asked", LONG), NOW + LONG + SECOND, 0.0)
        assert job_of(store, one).run_at == NOW + LONG + SECOND

    def test_only_the_attempt_that_was_overtaken_is_hurried(self, store: Store) -> None:
        [one] = stored(store)
        job = claimed(store, at=NOW + LONG)
        ask(store, "T1", one)
        store.record_commitment(no("T1", "2.25.1"), NOW + LONG)
        store.finish(job, Later("asked", LONG), NOW + LONG, 0.0)
        again = claimed(store, at=NOW + LONG)
        assert again.id == job.id
        store.finish(again, Later("down", LONG), NOW + LONG, 0.0)
        assert job_of(store, one).run_at == NOW + 2 * LONG

    def test_whoever_was_reaped_hurries_nobody(self, store: Store) -> None:
        [one] = stored(store)
        slow = claimed(store, "slow", NOW + LONG)
        ask(store, "T1", one)
        store.record_commitment(yes("T1", "2.25.1"), NOW + LONG)
        store.reap(NOW + LONG + LEASE, lambda owner: False)
        assert not store.finish(slow, Later("asked", LONG), NOW + LONG + LEASE, 0.0)
        job = job_of(store, one)
        assert (job.state, job.run_at) == (JobState.WAITING, NOW + LONG + LEASE)


class TestRaces:
    def test_one_of_many_copies_of_an_answer_counts(self, store: Store) -> None:
        uids = [f"2.25.{number}" for number in range(6)]
        ids = stored(store, uids)
        for round_ in range(6):
            transaction = f"T{round_}"
            store.record_delivery(ids[round_], 0, "", NOW, stored=True)
            ask(store, transaction, *ids)
            together = Barrier(4)

            def hear(_: int, transaction: str = transaction, together: Barrier = together) -> int:
                together.wait()
                return store.record_commitment(yes(transaction, *uids), NOW + DAY)

            with ThreadPoolExecutor(4) as pool:
                settled = list(pool.map(hear, range(4)))
            assert sum(settled) == (len(ids) if round_ == 0 else 1)
            for delivery in ids:
                assert store.delivery(delivery).committed_at == NOW + DAY

    def test_a_yes_never_speaks_for_a_copy_that_is_stored_at_the_same_moment(self, store: Store) -> None:
        uids = [f"2.25.{number}" for number in range(12)]
        for number, delivery in enumerate(stored(store, uids)):
            ask(store, f"T{number}", delivery)
            together = Barrier(2)

            def hear(number: int = number, together: Barrier = together) -> int:
                together.wait()
                return store.record_commitment(yes(f"T{number}", uids[number]), NOW + DAY)

            def store_again(delivery: int = delivery, together: Barrier = together) -> None:
                together.wait()
                store.record_delivery(delivery, 0, "again", NOW + DAY, stored=True)

            with ThreadPoolExecutor(2) as pool:
                answer, again = pool.submit(hear), pool.submit(store_again)
                again.result()
                assert answer.result() in {0, 1}
            row: DeliveryRow = store.delivery(delivery)
            assert (row.stored_at, row.committed_at, row.transaction_uid) == (NOW + DAY, None, None)

    def test_no_answer_is_lost_between_a_running_step_and_a_waiting_job(self, store: Store) -> None:
        uids = [f"2.25.{number}" for number in range(12)]
        for number, delivery in enumerate(stored(store, uids)):
            job = claimed(store, at=NOW + LONG)
            assert job.subject_id == delivery
            ask(store, f"T{number}", delivery)
            together = Barrier(2)

            def hear(number: int = number, together: Barrier = together) -> int:
                together.wait()
                return store.record_commitment(yes(f"T{number}", uids[number]), NOW + LONG)

            def put_off(job: Job = job, together: Barrier = together) -> bool:
                together.wait()
                return store.finish(job, Later("asked", LONG), NOW + LONG, 0.0)

            with ThreadPoolExecutor(2) as pool:
                answer, ended = pool.submit(hear), pool.submit(put_off)
                assert (answer.result(), ended.result()) == (1, True)
            assert job_of(store, delivery).run_at == NOW + LONG, "due, whichever came first"
            assert store.finish(claimed(store, at=NOW + LONG), Done(), NOW + LONG, 0.0)
