"""What every `ShadowLedger` does: candidates' looks at what is reported, which touch nothing of it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState, Later, Never, Retry
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import LabelScore
from ocunet_pacs.domain.shadow import Candidate, ShadowFrame
from ocunet_pacs.domain.study import ReasonCode
from tests.conformance.jobs.builders import (
    DAY,
    LEASE,
    NOW,
    SECOND,
    claimed,
    closed,
    image,
    output,
    queued,
    reported,
    to,
)

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.job import Job
    from tests.conformance.jobs.builders import Store

ONE = Candidate("a" * 64, "default", "retrained")
OTHER_POINT = Candidate("a" * 64, "screening", "retrained")
TWO = Candidate("b" * 64, "default", "retrained-again")
SCORES = (LabelScore("DR", -1.25, 0.1 + 0.2, 0.5, positive=False), LabelScore("AMD", 3.0, 1.0 - 1e-12, 0.4, True))
FRAMES = (
    ShadowFrame("1.2.1.1.1", None, SCORES),
    ShadowFrame("1.2.1.1.2", 1, SCORES[:1]),
    ShadowFrame("1.2.1.1.2", 2, reason=ReasonCode.UNGRADABLE),
)


def looking(store: Store, candidate: Candidate = ONE, at: datetime = NOW) -> Job:
    """A look at the newest study that the candidate has not seen, claimed."""
    assert store.enlist(candidate, NOW - DAY, at, 2) is not None
    job = store.claim([JobKind.SHADOW], "shadow", at, LEASE)
    assert job is not None
    return job


def studies_seen(store: Store, candidate: Candidate = ONE) -> list[str]:
    return [past.study_instance_uid for past in store.past_looks(candidate, None, 0, 100)]


class TestEnlisting:
    def test_the_newest_report_that_nobody_looked_at_comes_first(self, store: Store) -> None:
        for number in range(3):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}", at=NOW + number * SECOND)
        assert store.unseen(ONE, NOW) == 3
        while store.enlist(ONE, NOW, NOW, 2) is not None:
            pass
        assert studies_seen(store) == ["1.2.2", "1.2.1", "1.2.0"]
        assert store.unseen(ONE, NOW) == 0

    def test_a_look_is_a_job_that_nobody_waits_for(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        assert not store.look_is_due(NOW)
        job_id = store.enlist(ONE, NOW, NOW, 2)
        assert job_id is not None
        assert store.look_is_due(NOW)
        assert not store.look_is_due(NOW - SECOND)
        job = store.get(job_id)
        assert job is not None
        assert (job.kind, job.priority, job.max_attempts) == (JobKind.SHADOW, BACKGROUND, 2)
        look = store.look(job.subject_id)
        assert look.candidate == ONE
        assert store.analysis(look.analysis_id).study_instance_uid == "1.2.1"
        with pytest.raises(KeyError):
            store.look(99)

    def test_a_candidate_is_its_digest_and_its_thresholds(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        for candidate in (ONE, OTHER_POINT, TWO):
            assert store.enlist(candidate, NOW, NOW, 2) is not None
            assert store.enlist(candidate, NOW, NOW, 2) is None
        assert store.candidates() == [TWO, OTHER_POINT, ONE]

    def test_what_was_reported_before_the_window_is_left_alone(self, store: Store) -> None:
        reported(store, ["2.25.1"], at=NOW - SECOND)
        assert store.unseen(ONE, NOW) == 0
        assert store.enlist(ONE, NOW, NOW, 2) is None

    def test_an_analysis_that_is_not_finished_is_not_looked_at(self, store: Store) -> None:
        queued(store)
        assert store.enlist(ONE, NOW - DAY, NOW, 2) is None
        job = claimed(store)
        assert store.enlist(ONE, NOW - DAY, NOW, 2) is None
        store.finish(job, Never("hopeless"), NOW, 0.0)
        assert store.enlist(ONE, NOW - DAY, NOW, 2) is None

    def test_of_a_study_only_its_latest_result_counts(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        store.record_instance(image("1.2.1.1.2", "1.2.1"))
        closed(store, "1.2.1")
        assert store.unseen(ONE, NOW) == 1, "the first, while the second is not finished"
        job = store.claim([JobKind.ANALYSE], "work", NOW, LEASE)
        assert job is not None
        first = store.predecessor(job.subject_id)
        assert first is not None
        how = store.finish_analysis(
            job,
            key="the second",
            result="{}",
            outputs=to(["pacs"], output("2.25.2")),
            expected_predecessor=first[0],
            delivery_attempts=1,
            now=NOW,
        )
        assert how is Finish.APPLIED
        assert store.unseen(ONE, NOW) == 1
        look = store.look(looking(store).subject_id)
        assert store.analysis(look.analysis_id).revision == 2

    def test_the_same_work_again_hides_nothing(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        assert store.request_revision(1, NOW, 1, 0) is not None
        job = store.claim([JobKind.ANALYSE], "work", NOW, LEASE)
        assert job is not None
        store.finish_analysis(
            job,
            key="key of 1.2.1",
            result="{}",
            outputs=[],
            expected_predecessor=1,
            delivery_attempts=1,
            now=NOW + SECOND,
        )
        look = store.look(looking(store).subject_id)
        assert store.analysis(look.analysis_id).revision == 1
        assert store.unseen(ONE, NOW) == 0

    def test_a_study_without_files_is_not_looked_at(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        delivery = store.claim([JobKind.DELIVER], "deliver", NOW, LEASE)
        assert delivery is not None
        store.finish(delivery, Done(), NOW, 0.0)
        assert store.mark_removed(1, NOW)
        assert store.unseen(ONE, NOW) == 0
        assert store.enlist(ONE, NOW, NOW, 2) is None


class TestPatientsFirst:
    def test_an_analysis_that_is_due_or_running(self, store: Store) -> None:
        assert not store.patients_wait(NOW)
        queued(store)
        assert store.patients_wait(NOW)
        assert not store.patients_wait(NOW - SECOND)
        job = claimed(store)
        assert store.patients_wait(NOW)
        store.finish(job, Later("not now", delay=DAY), NOW, 0.0)
        assert not store.patients_wait(NOW), "it may not run before tomorrow"
        store.finish(claimed(store, at=NOW + DAY), Done(), NOW, 0.0)
        assert not store.patients_wait(NOW + DAY)

    def test_a_delivery_or_a_look_is_no_patient(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        looking(store)
        assert not store.patients_wait(NOW)


class TestWhatIsKept:
    def test_frames_come_back_to_the_last_bit(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        job = looking(store)
        assert store.last_look(ONE) is None
        assert store.finish_look(job, FRAMES, NOW + SECOND, "3 images, 2 of them scored")
        assert (store.last_look(ONE), store.last_look(TWO)) == (NOW + SECOND, None)
        [past] = store.past_looks(ONE, None, 0, 10)
        assert past.frames == FRAMES
        assert (past.state, past.note) == (JobState.DONE, "3 images, 2 of them scored")
        assert (past.study_instance_uid, past.revision, past.reported_at, past.result) == ("1.2.1", 1, NOW, "{}")
        assert past.job_id == job.id
        assert store.look_counts(ONE) == {JobState.DONE: 1}
        assert store.past_looks(TWO, None, 0, 10) == []
        assert store.look_counts(TWO) == {}

    def test_only_whoever_has_the_job_keeps_anything(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        late = looking(store)
        assert store.reap(NOW + 2 * LEASE, lambda owner: False) == 1
        assert not store.finish_look(late, FRAMES, NOW)
        again = store.claim([JobKind.SHADOW], "shadow", NOW + 2 * LEASE, LEASE)
        assert again is not None
        assert store.finish_look(again, FRAMES[:1], NOW)
        assert not store.finish_look(again, FRAMES, NOW)
        [past] = store.past_looks(ONE, None, 0, 10)
        assert past.frames == FRAMES[:1]

    def test_a_look_that_fails_keeps_its_reason(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        job = looking(store)
        store.finish(job, Retry("it does not fit the memory"), NOW, 0.0)
        again = store.claim([JobKind.SHADOW], "shadow", NOW + DAY, LEASE)
        assert again is not None
        store.finish(again, Retry("it does not fit the memory"), NOW, 0.0)
        [past] = store.past_looks(ONE, None, 0, 10)
        assert (past.state, past.note, past.frames) == (JobState.DEAD, "it does not fit the memory", ())
        assert store.unseen(ONE, NOW) == 0, "it is not begun again for ever"

    def test_what_is_no_number_is_not_kept(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        wrong = ShadowFrame("1.1", None, (LabelScore("DR", math.nan, 0.5, 0.5, positive=True),))
        with pytest.raises(ValueError, match="JSON"):
            store.finish_look(looking(store), [wrong], NOW)
        assert store.look_counts(ONE) == {JobState.RUNNING: 1}

    def test_another_kind_of_job_is_refused(self, store: Store) -> None:
        queued(store)
        with pytest.raises(ValueError, match="no shadow"):
            store.finish_look(claimed(store), FRAMES, NOW)

    def test_pages_in_order_and_since_a_day(self, store: Store) -> None:
        for number in range(5):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}", at=NOW + number * DAY)
        while store.enlist(ONE, NOW, NOW, 2) is not None:
            pass
        first = store.past_looks(ONE, None, 0, 3)
        rest = store.past_looks(ONE, None, first[-1].id, 3)
        assert [past.id for past in first + rest] == [1, 2, 3, 4, 5]
        since = store.past_looks(ONE, NOW + 3 * DAY, 0, 10)
        assert sorted(past.study_instance_uid for past in since) == ["1.2.3", "1.2.4"]


class TestNothingOfAResultChanges:
    def test_retention_does_not_wait_for_looks(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        delivery = store.claim([JobKind.DELIVER], "deliver", NOW, LEASE)
        assert delivery is not None
        store.finish(delivery, Done(), NOW, 0.0)
        looking(store)
        assert [study.id for study in store.removable_studies(NOW + DAY, None, 10)] == [1]

    def test_outputs_deliveries_and_studies_are_as_before(self, store: Store) -> None:
        reported(store, ["2.25.1"])

        def seen() -> tuple[object, ...]:
            jobs = [job for job in store.find() if job.kind is not JobKind.SHADOW]
            return jobs, store.delivery(1), list(store.output_uids()), store.analysis(1), store.studies_like()

        before = seen()
        job = looking(store)
        assert seen() == before
        store.finish_look(job, FRAMES, NOW)
        assert seen() == before
        store.remove_looks(NOW + DAY, 10)
        assert seen() == before


class TestRemoving:
    def test_old_looks_go_with_their_jobs_the_oldest_first(self, store: Store) -> None:
        for number in range(4):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}")
        jobs = [looking(store, at=NOW + number * SECOND) for number in range(4)]
        for job in jobs:
            store.finish_look(job, FRAMES[:1], NOW + DAY)
        assert store.remove_looks(NOW + 3 * SECOND, 2) == 2
        assert [store.get(job.id) is None for job in jobs] == [True, True, False, False]
        assert store.remove_looks(NOW + 3 * SECOND, 2) == 1
        assert store.remove_looks(NOW + 3 * SECOND, 2) == 0
        [past] = store.past_looks(ONE, None, 0, 10)
        assert past.job_id == jobs[3].id
        assert past.frames == FRAMES[:1]

    def test_what_still_waits_or_runs_stays(self, store: Store) -> None:
        for number in range(3):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}")
        running, waiting, dead = (looking(store) for _ in range(3))
        store.finish(waiting, Later("not now", delay=timedelta(0)), NOW, 0.0)
        store.finish(dead, Never("hopeless"), NOW, 0.0)
        assert store.remove_looks(NOW + DAY, 10) == 1
        assert store.look_counts(ONE) == {JobState.RUNNING: 1, JobState.WAITING: 1}
        assert store.finish_look(running, FRAMES, NOW)

    def test_jobs_that_come_after_it_have_numbers_of_their_own(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        store.finish_look(looking(store), FRAMES, NOW)
        kept = {job.id for job in store.find() if job.kind is not JobKind.SHADOW}
        assert store.remove_looks(NOW + DAY, 10) == 1
        reported(store, ["2.25.2"], study="1.2.2")
        assert kept < {job.id for job in store.find()}
        assert len(store.find()) == 4
