"""After the clock was put back nothing waits for the times that it showed, on every adapter."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never
from ocunet_pacs.domain.upkeep import LongestWaits
from tests.conformance.jobs.builders import (
    DAY,
    LEASE,
    NOW,
    QUIET,
    SECOND,
    claimed,
    everybody_lives,
    image,
    queued,
    reported,
)

if TYPE_CHECKING:
    from tests.conformance.jobs.builders import Store

HOUR = timedelta(hours=1)
BACK = NOW - HOUR
"""What the clock shows after it was put back."""
LONGEST = LongestWaits(job=timedelta(minutes=16), lease=LEASE + timedelta(minutes=1), quiet=QUIET)


def test_a_job_that_waits_is_due_at_once(store: Store) -> None:
    queued(store)
    assert store.claim([JobKind.ANALYSE], "a worker", BACK, LEASE) is None
    assert store.mend_times(BACK, LONGEST) == 1
    assert store.claim([JobKind.ANALYSE], "a worker", BACK, LEASE) is not None


def test_a_backoff_that_an_honest_clock_wrote_stays(store: Store) -> None:
    queued(store)
    assert store.finish(claimed(store), Later("stopping", timedelta(minutes=15)), NOW, 0.0)
    assert store.mend_times(NOW, LONGEST) == 0
    assert store.claim([JobKind.ANALYSE], "a worker", NOW, LEASE) is None


def test_a_lease_runs_out_as_long_after_the_jump_as_it_would_have_before(store: Store) -> None:
    queued(store)
    claimed(store)
    assert store.mend_times(BACK, LONGEST) == 1
    assert store.reap(BACK + LEASE, everybody_lives) == 0, "its worker may live, and renew it"
    assert store.reap(BACK + LONGEST.lease, everybody_lives) == 1


def test_a_worker_finishes_a_job_whose_lease_was_mended(store: Store) -> None:
    queued(store)
    job = claimed(store)
    store.mend_times(BACK, LONGEST)
    assert store.renew(job, BACK, LEASE)
    assert store.finish(job, Done(), BACK, 0.0)


def test_an_open_study_is_complete_after_its_quiet_period(store: Store) -> None:
    store.record_instance(image("1.2.1.1", quiet=QUIET))
    assert store.studies_due(BACK + QUIET, DAY) == []
    assert store.mend_times(BACK, LONGEST) == 1
    (due,) = store.studies_due(BACK + QUIET, DAY)
    assert due.open_since == due.last_received_at == BACK
    assert store.mend_times(BACK, LONGEST) == 0, "once is enough"
    store.record_instance(image("1.2.1.2", at=BACK + SECOND, quiet=QUIET))
    assert store.studies_due(BACK + QUIET, DAY) == [], "another image makes it wait for as long as ever"
    assert store.studies_due(BACK + SECOND + QUIET, DAY)


def test_a_destination_that_is_down_is_tried_and_comes_up(store: Store) -> None:
    reported(store, ["2.25.1"])
    store.note_down("pacs", "nobody answers", NOW, timedelta(minutes=2))
    assert store.may_try("pacs", BACK, SECOND) is not None
    assert store.mend_times(BACK, LONGEST) >= 1
    assert store.may_try("pacs", BACK, SECOND) is None
    assert store.note_up("pacs", BACK + SECOND) is not None
    (state,) = store.destination_states()
    assert state.down_since is None
    assert store.claim([JobKind.DELIVER], "deliver", BACK + SECOND, LEASE) is not None


def test_a_commitment_that_was_asked_for_is_asked_for_again_in_time(store: Store) -> None:
    reported(store, ["2.25.1"])
    job = store.claim([JobKind.DELIVER], "deliver", NOW, LEASE)
    assert job is not None
    store.record_delivery(job.subject_id, 0, "", NOW, stored=True)
    assert store.mend_times(BACK, LONGEST) >= 1
    stored_at = store.delivery(job.subject_id).stored_at
    assert stored_at == BACK


@pytest.mark.parametrize("state", [JobState.DONE, JobState.DEAD])
def test_what_has_ended_stays_as_it_is(store: Store, state: JobState) -> None:
    queued(store)
    job = claimed(store)
    assert store.finish(job, Done() if state is JobState.DONE else Never("broken"), NOW, 0.0)
    assert store.mend_times(BACK, LONGEST) == 0
    (found,) = store.find()
    assert found.finished_at == NOW
