"""Looking back at studies that are reported, and asking for one more report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState, Never
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.ledger import Finish, PastStudy
from ocunet_pacs.domain.upkeep import FileOwner
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
    from tests.conformance.jobs.builders import Store

OLD, NEW = "a" * 64, "b" * 64


def everywhere(store: Store) -> None:
    """Deliver whatever waits."""
    while (job := store.claim([JobKind.DELIVER], "deliver", NOW + DAY, LEASE)) is not None:
        store.finish(job, Done(), NOW + DAY, 0.0)


def ids(found: list[PastStudy]) -> list[int]:
    return [study.id for study in found]


class TestLookingBack:
    def test_a_study_is_seen_with_its_newest_report(self, store: Store) -> None:
        reported(store, ["2.25.1"], urgency=Urgency.SOON, bundle_digest=OLD)
        seen = PastStudy(1, "1.2.1", 1, NOW, NOW, Urgency.SOON, OLD, removed=False)
        assert store.past_study(1) == seen
        assert store.studies_like() == [seen]

    def test_a_study_without_a_revision_is_not_a_past_one(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        assert store.past_study(1) is None
        assert store.past_study(99) is None
        assert store.studies_like() == []

    def test_a_study_that_is_not_reported_yet_says_so(self, store: Store) -> None:
        queued(store)
        assert store.past_study(1) == PastStudy(1, "1.2.1", 1, NOW, None, None, "", removed=False)
        assert store.studies_like(bundle_digest="") == [], "no bundle is behind it"

    def test_the_newest_finished_revision_counts_not_the_newest(self, store: Store) -> None:
        reported(store, ["2.25.1"], urgency=Urgency.SOON, bundle_digest=OLD)
        store.record_instance(image("1.9", at=NOW + SECOND))
        closed(store, "1.2.1", NOW + SECOND)
        seen = store.past_study(1)
        assert seen == PastStudy(1, "1.2.1", 2, NOW + SECOND, NOW, Urgency.SOON, OLD, removed=False)
        job = claimed(store, at=NOW + SECOND)
        while job.kind is not JobKind.ANALYSE:
            job = claimed(store, at=NOW + SECOND)
        store.finish_analysis(
            job,
            key="another key",
            result="{}",
            outputs=to(["pacs"], output("2.25.2")),
            expected_predecessor=1,
            delivery_attempts=3,
            now=NOW + DAY,
            bundle_digest=NEW,
        )
        assert store.past_study(1) == PastStudy(1, "1.2.1", 2, NOW + SECOND, NOW + DAY, None, NEW, removed=False)
        assert ids(store.studies_like(bundle_digest=OLD)) == []

    def test_they_are_found_by_uid_time_and_bundle(self, store: Store) -> None:
        for number in range(1, 7):
            at = NOW + number * SECOND
            digest = OLD if number % 2 else NEW
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}", at=at, bundle_digest=digest)
        assert ids(store.studies_like(study_instance_uid="1.2.3")) == [3]
        assert ids(store.studies_like(study_instance_uid="1.2")) == []
        assert ids(store.studies_like(since=NOW + 4 * SECOND)) == [4, 5, 6]
        assert ids(store.studies_like(bundle_digest="aaaa")) == [1, 3, 5]
        assert ids(store.studies_like(bundle_digest="AAAA")) == []
        assert ids(store.studies_like(bundle_digest="a%")) == []
        assert ids(store.studies_like(bundle_digest=NEW, since=NOW + 4 * SECOND)) == [4, 6]

    def test_two_patients_of_one_study_are_two_studies(self, store: Store) -> None:
        for patient in ("roe", "doe"):
            store.record_instance(image(f"1.{patient}", patient=patient))
        for study in store.studies_due(NOW, DAY):
            store.close_study(study, NOW, 3)
        assert ids(store.studies_like(study_instance_uid="1.2.1")) == [1, 2]

    def test_page_by_page_from_either_end(self, store: Store) -> None:
        for number in range(1, 6):
            queued(store, f"1.2.{number}")
        assert ids(store.studies_like(limit=2)) == [1, 2]
        assert ids(store.studies_like(limit=2, after=2)) == [3, 4]
        assert ids(store.studies_like(limit=2, after=5)) == []
        assert ids(store.studies_like(limit=2, newest_first=True)) == [5, 4]
        assert ids(store.studies_like(limit=2, after=4, newest_first=True)) == [3, 2]
        assert ids(store.studies_like(limit=2, after=1, newest_first=True)) == []

    def test_removed_files_are_said(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        everywhere(store)
        assert store.mark_removed(1, NOW + DAY)
        seen = store.past_study(1)
        assert seen is not None
        assert seen.removed


class TestAskingForAnother:
    def test_it_is_over_the_same_images_and_names_its_predecessor(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        job_id = store.request_revision(1, NOW + DAY, 4, 2)
        assert job_id is not None
        job = store.get(job_id)
        assert job is not None
        assert (job.kind, job.state, job.priority, job.max_attempts) == (JobKind.ANALYSE, JobState.WAITING, 2, 4)
        assert (job.run_at, job.created_at) == (NOW + DAY, NOW + DAY)
        analysis = store.analysis(job.subject_id)
        assert (analysis.revision, analysis.newest_revision, analysis.finished_at) == (2, 2, None)
        assert [row.sop_instance_uid for row in store.analysis_instances(analysis.id)] == ["1.2.1.1.1"]
        assert store.predecessor(analysis.id) == (1, (output("2.25.1"),))
        assert store.studies_due(NOW + 9 * DAY, DAY) == []

    def test_one_at_a_time(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        assert store.request_revision(1, NOW, 3, 0) is not None
        assert store.request_revision(1, NOW, 3, 0) is None
        assert store.newest_revision("1.2.1") == 2

    @pytest.mark.parametrize("until", ["no such study", "open", "open again", "waiting", "running", "dead"])
    def test_not_while_a_revision_is_on_its_way(self, store: Store, until: str) -> None:
        if until != "no such study":
            store.record_instance(image("1.1"))
        if until not in {"no such study", "open"}:
            closed(store, "1.2.1")
        if until in {"running", "dead"}:
            job = claimed(store)
            if until == "dead":
                store.finish(job, Never("hopeless"), NOW, 0.0)
        if until == "open again":
            store.finish(claimed(store), Done(), NOW, 0.0)
            store.record_instance(image("1.2"))
        before = store.find(), store.newest_revision("1.2.1")
        assert store.request_revision(1, NOW, 3, 0) is None
        assert (store.find(), store.newest_revision("1.2.1")) == before

    def test_a_revision_that_a_person_put_away_is_in_nobodys_way(self, store: Store) -> None:
        queued(store)
        job = claimed(store)
        store.finish(job, Never("hopeless"), NOW, 0.0)
        store.discard(job.id, NOW)
        assert store.request_revision(1, NOW, 3, 0) is not None

    def test_not_of_files_that_were_removed(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        everywhere(store)
        assert store.mark_removed(1, NOW + DAY)
        assert store.request_revision(1, NOW + DAY, 3, 0) is None

    def test_not_of_a_part_of_the_images(self, store: Store) -> None:
        """Its report would replace one on all of them, and say less."""
        reported(store, ["2.25.1"])
        everywhere(store)
        store.mark_removed(1, NOW + DAY)
        store.record_instance(image("1.9", at=NOW + DAY))
        closed(store, "1.2.1", NOW + DAY)
        job = claimed(store, at=NOW + DAY)
        store.finish(job, Done(), NOW + DAY, 0.0)
        assert store.request_revision(1, NOW + DAY, 3, 0) is None
        store.record_instance(image("1.2.1.1.1", at=NOW + DAY))
        assert store.request_revision(1, NOW + DAY, 3, 0) is not None, "it was sent again"

    def test_not_of_a_file_that_is_missing(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        kept = store.kept_files(FileOwner.INSTANCES, 0, 10)
        store.mark_missing(FileOwner.INSTANCES, kept, NOW)
        assert store.request_revision(1, NOW, 3, 0) is None
        store.mark_found(FileOwner.INSTANCES, kept)
        assert store.request_revision(1, NOW, 3, 0) is not None

    def test_a_lost_result_of_ours_is_in_nobodys_way(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        store.record_instance(image("2.25.1", opens_study=False))
        kept = [row for row in store.kept_files(FileOwner.INSTANCES, 0, 10) if row.file_key == "key-of-2.25.1"]
        store.mark_missing(FileOwner.INSTANCES, kept, NOW)
        assert store.request_revision(1, NOW, 3, 0) is not None

    def test_while_it_waits_its_files_stay(self, store: Store) -> None:
        reported(store, ["2.25.1"])
        everywhere(store)
        assert store.request_revision(1, NOW, 3, 0) is not None
        assert store.removable_studies(NOW + 9 * DAY, None, 10) == []
        assert store.mark_removed(1, NOW) == []

    def test_the_same_work_again_changes_nothing(self, store: Store) -> None:
        reported(store, ["2.25.1"], urgency=Urgency.SOON, bundle_digest=OLD)
        everywhere(store)
        store.request_revision(1, NOW, 3, 0)
        job = claimed(store)
        how = store.finish_analysis(
            job,
            key="key of 1.2.1",
            result="{}",
            outputs=to(["pacs"], output("2.25.1")),
            expected_predecessor=1,
            delivery_attempts=3,
            now=NOW + DAY,
            urgency=Urgency.SOON,
            bundle_digest=OLD,
        )
        assert how is Finish.APPLIED
        seen = store.past_study(1)
        assert seen == PastStudy(1, "1.2.1", 2, NOW, NOW + DAY, Urgency.SOON, OLD, removed=False)
        assert list(store.output_uids()) == ["2.25.1"]
        assert store.counts()[JobKind.DELIVER, JobState.DONE] == 1

    def test_of_many_who_ask_one_gets_it(self, store: Store) -> None:
        for number in range(1, 7):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}")
        for number in range(1, 7):
            together = Barrier(4)

            def ask(_: int, number: int = number, together: Barrier = together) -> int | None:
                together.wait()
                return store.request_revision(number, NOW, 3, 0)

            with ThreadPoolExecutor(4) as pool:
                made = list(pool.map(ask, range(4)))
            assert sum(job_id is not None for job_id in made) == 1
            assert store.newest_revision(f"1.2.{number}") == 2

    def test_an_image_that_comes_at_that_moment_is_not_lost(self, store: Store) -> None:
        for number in range(1, 9):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}")
        for number in range(1, 9):
            study = f"1.2.{number}"
            together = Barrier(2)

            def ask(number: int = number, together: Barrier = together) -> int | None:
                together.wait()
                return store.request_revision(number, NOW, 3, 0)

            def send(number: int = number, study: str = study, together: Barrier = together) -> bool:
                together.wait()
                return bool(store.record_instance(image(f"1.9.{number}", study, NOW + SECOND)))

            with ThreadPoolExecutor(2) as pool:
                asked, sent = pool.submit(ask), pool.submit(send)
                assert sent.result()
                job_id = asked.result()
            closing = store.get(closed(store, study, NOW + SECOND))
            assert closing is not None
            assert len(store.analysis_instances(closing.subject_id)) == 2
            assert store.newest_revision(study) == (2 if job_id is None else 3)

    def test_files_are_not_removed_under_a_revision(self, store: Store) -> None:
        for number in range(1, 9):
            reported(store, [f"2.25.{number}"], study=f"1.2.{number}")
        everywhere(store)
        for number in range(1, 9):
            together = Barrier(2)

            def ask(number: int = number, together: Barrier = together) -> int | None:
                together.wait()
                return store.request_revision(number, NOW, 3, 0)

            def remove(number: int = number, together: Barrier = together) -> list[str]:
                together.wait()
                return store.mark_removed(number, NOW + timedelta(days=40))

            with ThreadPoolExecutor(2) as pool:
                asked, removed = pool.submit(ask), pool.submit(remove)
                assert (asked.result() is None) is bool(removed.result())
