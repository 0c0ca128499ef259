"""What is urgent goes first, and what nobody waits for last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState, Later
from ocunet_pacs.domain.labels import Urgency
from tests.conformance.jobs.builders import (
    BOTH,
    LEASE,
    NOW,
    SECOND,
    claimed,
    everybody_lives,
    output,
    queued,
    reported,
    to,
)

if TYPE_CHECKING:
    from tests.conformance.jobs.builders import Store


def claims(store: Store) -> list[int]:
    """Whatever is due, in the order in which workers get it."""
    ids = []
    while (job := store.claim(BOTH, "a worker", NOW, LEASE)) is not None:
        ids.append(job.id)
    return ids


def test_the_most_urgent_is_claimed_first_and_then_the_oldest(store: Store) -> None:
    levels = [Urgency.ROUTINE, Urgency.EMERGENCY, None, Urgency.SOON, Urgency.EMERGENCY, Urgency.NONE]
    ids = {
        number: reported(store, [f"2.25.{number}"], study=f"1.2.{number}", at=NOW - number * SECOND, urgency=level)[0]
        for number, level in enumerate(levels)
    }
    waiting = queued(store, "1.2.99", NOW - 100 * SECOND)
    assert claims(store) == [ids[4], ids[1], ids[3], ids[0], waiting, ids[5], ids[2]]


def test_what_is_not_due_does_not_hold_up_what_is(store: Store) -> None:
    urgent, routine = (
        reported(store, [f"2.25.{level}"], study=f"1.2.{level.rank}", urgency=level)[0]
        for level in (Urgency.EMERGENCY, Urgency.ROUTINE)
    )
    job = claimed(store)
    assert job.id == urgent
    store.finish(job, Later("the PACS is down", 60 * SECOND), NOW, 0.0)
    assert claims(store) == [routine]


@pytest.mark.parametrize("urgency", [None, *Urgency])
def test_a_delivery_has_the_rank_of_its_studys_urgency(store: Store, urgency: Urgency | None) -> None:
    [job_id] = reported(store, ["2.25.1"], urgency=urgency)
    job = store.get(job_id)
    assert job is not None
    assert job.priority == (0 if urgency is None else urgency.rank)
    analysis = store.get(1)
    assert analysis is not None
    assert store.analysis(analysis.subject_id).urgency is urgency


def test_the_priority_is_seen_in_every_answer(store: Store) -> None:
    [job_id] = reported(store, ["2.25.1"], urgency=Urgency.URGENT)
    rank = Urgency.URGENT.rank
    job = claimed(store)
    assert job.priority == rank
    assert [one.priority for one in store.find()] == [rank, 0]
    assert store.reap(NOW + LEASE, everybody_lives) == 1
    taken = store.get(job_id)
    assert taken is not None
    assert (taken.state, taken.priority) == (JobState.WAITING, rank)


def test_background_work_stays_in_the_background(store: Store) -> None:
    first = reported(store, ["2.25.1"])
    for job_id in first:
        job = claimed(store)
        assert job.id == job_id
        assert store.finish(job, Done(), NOW, 0.0)
    again = store.request_revision(1, NOW, 3, BACKGROUND)
    today = queued(store, "1.2.9", NOW + SECOND)
    assert store.claim([JobKind.ANALYSE], "work", NOW + SECOND, LEASE) == store.get(today)
    last = store.claim([JobKind.ANALYSE], "work", NOW + SECOND, LEASE)
    assert last is not None
    assert (last.id, last.priority) == (again, BACKGROUND)
    store.finish_analysis(
        last,
        key="another key",
        result="{}",
        outputs=to(["pacs"], output("2.25.2")),
        expected_predecessor=1,
        delivery_attempts=3,
        now=NOW,
        urgency=Urgency.EMERGENCY,
    )
    assert store.find(limit=1)[0].priority == BACKGROUND
