"""What every `Upkeep` does: which files may go, which are lost, and who last looked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, Later, Never
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import Addressed, Commitment, OutputKind
from ocunet_pacs.domain.study import Arrival, ReasonCode
from ocunet_pacs.domain.upkeep import FileOwner, KeptFile, TaskRun
from tests.conformance.jobs.builders import DAY, LEASE, NOW, SECOND, claimed, closed, image, output, queued, to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.job import Job, Outcome
    from tests.conformance.jobs.builders import Store

LATER = NOW + 40 * DAY


def removable(store: Store) -> list[int]:
    return [study.id for study in store.removable_studies(LATER, None, 100)]


def finish(
    store: Store, job: Job, made: Sequence[str] = ("2.25.1", "2.25.2"), key: str = "a key", again: str = ""
) -> None:
    kinds = [OutputKind.HEATMAP, OutputKind.REPORT]
    outputs = [output(uid, kind) for uid, kind in zip(made, kinds, strict=False)]
    predecessor = store.predecessor(job.subject_id)
    how = store.finish_analysis(
        job,
        key=key,
        result="{}",
        outputs=to(["pacs"], *(replace(one, file_key=again + one.file_key) for one in outputs)),
        expected_predecessor=None if predecessor is None else predecessor[0],
        delivery_attempts=2,
        now=NOW,
    )
    assert how is Finish.APPLIED


def deliver(store: Store, outcome: Outcome = Done(), count: int = 2) -> None:  # noqa: B008 - frozen
    for _ in range(count):
        job = store.claim([JobKind.DELIVER], "deliver", NOW, LEASE)
        assert job is not None
        assert store.finish(job, outcome, NOW, 0.0)


def delivered(store: Store, study: str = "1.2.1") -> None:
    """A study that is analysed and everywhere."""
    queued(store, study)
    finish(store, claimed(store), [f"2.25.{study}.1", f"2.25.{study}.2"], key=study)
    deliver(store)


class TestRetention:
    def test_a_study_that_is_done_with_may_go(self, store: Store) -> None:
        delivered(store)
        assert removable(store) == [1]
        assert store.removable_studies(NOW, None, 100) == [], "it is not old enough"
        keys = store.mark_removed(1, LATER)
        assert sorted(keys) == ["key-of-1.2.1.1.1", "key-of-2.25.1.2.1.1", "key-of-2.25.1.2.1.2"]
        assert removable(store) == []
        assert store.mark_removed(1, LATER) == []
        stored = store.find_instance("1.2.1.1.1")
        assert stored is not None
        assert stored.gone is ReasonCode.FILE_REMOVED
        assert store.file_states(FileOwner.INSTANCES, keys) == {"key-of-1.2.1.1.1": True}
        assert store.kept_files(FileOwner.INSTANCES, 0, 10) == store.kept_files(FileOwner.RESULTS, 0, 10) == []

    @pytest.mark.parametrize("until", ["open", "waiting", "running", "dead", "delivering", "refused"])
    def test_nothing_goes_that_a_step_still_needs(self, store: Store, until: str) -> None:
        store.record_instance(image("1.1"))
        if until != "open":
            closed(store, "1.2.1")
        if until not in {"open", "waiting"}:
            job = claimed(store)
            if until == "dead":
                store.finish(job, Never("hopeless"), NOW, 0.0)
            elif until != "running":
                finish(store, job)
                deliver(store, count=1)
                if until == "refused":
                    deliver(store, Never("refused"), count=1)
        assert removable(store) == []
        assert store.mark_removed(1, LATER) == []

    def test_what_a_person_put_away_needs_nothing(self, store: Store) -> None:
        queued(store)
        finish(store, claimed(store))
        deliver(store, Never("refused"))
        for job in store.find(kind=JobKind.DELIVER):
            store.discard(job.id, NOW)
        assert removable(store) == [1]

    def test_results_that_nobody_was_to_get_stay(self, store: Store) -> None:
        queued(store)
        store.finish_analysis(
            claimed(store),
            key="a key",
            result="{}",
            outputs=to([], output("2.25.1")),
            expected_predecessor=None,
            delivery_attempts=1,
            now=NOW,
        )
        assert removable(store) == []

    def test_a_result_that_goes_nowhere_by_the_rules_holds_nothing(self, store: Store) -> None:
        queued(store)
        report, heatmap = output("2.25.1"), output("2.25.2", OutputKind.HEATMAP)
        store.finish_analysis(
            claimed(store),
            key="a key",
            result="{}",
            outputs=[Addressed(heatmap, ()), Addressed(report, ("pacs",))],
            expected_predecessor=None,
            delivery_attempts=1,
            now=NOW,
        )
        assert removable(store) == [], "its report is on its way"
        deliver(store, count=1)
        assert removable(store) == [1]
        assert sorted(store.mark_removed(1, LATER)) == ["key-of-1.2.1.1.1", "key-of-2.25.1", "key-of-2.25.2"]

    def test_a_revision_that_nobody_was_to_get_holds_the_others(self, store: Store) -> None:
        delivered(store)
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        store.finish_analysis(
            claimed(store),
            key="another",
            result="{}",
            outputs=to([], output("2.25.8"), output("2.25.9")),
            expected_predecessor=1,
            delivery_attempts=1,
            now=NOW,
        )
        assert removable(store) == []

    def test_what_waits_to_be_committed_holds_its_study(self, store: Store) -> None:
        queued(store)
        finish(store, claimed(store), ["2.25.1"])
        job = claimed(store)
        store.record_delivery(job.subject_id, 0, "", NOW, stored=True)
        store.finish(job, Later("stored; to be committed", DAY), NOW, 0.0)
        store.note_asked("T1", [job.subject_id], NOW)
        assert removable(store) == []
        store.record_commitment(Commitment("T1", frozenset({"2.25.1"})), NOW)
        assert removable(store) == []
        again = claimed(store)
        assert again.id == job.id
        store.finish(again, Done("stored, and committed to"), NOW, 0.0)
        assert removable(store) == [1]

    def test_a_revision_that_was_overtaken_does_not_hold_its_study(self, store: Store) -> None:
        queued(store)
        early = claimed(store, "early")
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        late = store.claim([JobKind.ANALYSE], "late", NOW, LEASE)
        assert late is not None
        finish(store, late)
        deliver(store)
        assert removable(store) == [], "the first is still at work"
        assert (
            store.finish_analysis(
                early,
                key="another",
                result="{}",
                outputs=to(["pacs"], output("2.25.9")),
                expected_predecessor=None,
                delivery_attempts=1,
                now=NOW,
            )
            is Finish.SUPERSEDED
        )
        assert removable(store) == [1]

    def test_a_late_image_makes_its_study_needed_again_and_only_it_has_a_file(self, store: Store) -> None:
        delivered(store)
        store.mark_removed(1, LATER)
        store.record_instance(image("1.9", at=LATER))
        job = store.get(closed(store, "1.2.1", LATER))
        assert job is not None
        assert removable(store) == []
        rows = store.analysis_instances(job.subject_id)
        assert [(row.sop_instance_uid, row.gone) for row in rows] == [
            ("1.2.1.1.1", ReasonCode.FILE_REMOVED),
            ("1.9", None),
        ]
        finish(store, claimed(store, at=LATER), ["2.25.8", "2.25.9"], key="another")
        for _ in range(2):
            again = store.claim([JobKind.DELIVER], "deliver", LATER, LEASE)
            assert again is not None
            store.finish(again, Done(), LATER, 0.0)
        [study] = store.removable_studies(LATER + SECOND, None, 10)
        assert sorted(store.mark_removed(study.id, LATER)) == ["key-of-1.9", "key-of-2.25.8", "key-of-2.25.9"]

    def test_the_oldest_come_first_page_by_page(self, store: Store) -> None:
        for number in (3, 1, 2):
            study = f"1.2.{number}"
            queued(store, study, NOW + number * SECOND)
            finish(store, claimed(store, at=NOW + DAY), [f"2.25.{number}.1", f"2.25.{number}.2"], key=study)
            deliver(store)
        assert removable(store) == [2, 3, 1]
        first = store.removable_studies(LATER, None, 2)
        assert [study.id for study in first] == [2, 3]
        assert [study.id for study in store.removable_studies(LATER, first[-1], 2)] == [1]


class TestLostFiles:
    def test_a_lost_file_is_marked_and_found_again(self, store: Store) -> None:
        queued(store)
        finish(store, claimed(store))
        received = [KeptFile(1, "key-of-1.2.1.1.1", missing=False)]
        assert store.kept_files(FileOwner.INSTANCES, 0, 10) == received
        assert store.mark_missing(FileOwner.INSTANCES, received, NOW) == 1
        made = store.kept_files(FileOwner.RESULTS, 0, 1)
        assert store.mark_missing(FileOwner.RESULTS, made, NOW) == 1
        counts = store.upkeep_counts()
        assert (counts.missing_instances, counts.missing_results) == (1, 1)
        assert [row.missing for row in store.kept_files(FileOwner.RESULTS, 0, 10)] == [True, False]
        assert store.find_instance("1.2.1.1.1").gone is ReasonCode.FILE_MISSING  # type: ignore[union-attr]
        assert store.mark_found(FileOwner.INSTANCES, received) == 1
        assert store.find_instance("1.2.1.1.1").gone is None  # type: ignore[union-attr]
        assert store.upkeep_counts().missing_instances == 0

    def test_a_row_that_names_another_file_by_now_is_not_marked(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        assert store.mark_missing(FileOwner.INSTANCES, [KeptFile(1, "an older key", missing=False)], NOW) == 0
        assert store.upkeep_counts().missing_instances == 0

    def test_what_retention_removed_is_not_missing(self, store: Store) -> None:
        delivered(store)
        kept = store.kept_files(FileOwner.INSTANCES, 0, 10)
        store.mark_removed(1, LATER)
        assert store.mark_missing(FileOwner.INSTANCES, kept, LATER) == 0

    def test_a_resend_heals_a_missing_file_and_has_its_study_read_again(self, store: Store) -> None:
        delivered(store)
        store.mark_missing(FileOwner.INSTANCES, store.kept_files(FileOwner.INSTANCES, 0, 10), NOW)
        again = replace(image("1.2.1.1.1", at=LATER), file_key="sent again")
        assert store.record_instance(again) == Arrival(added=False, healed=True)
        stored = store.find_instance("1.2.1.1.1")
        assert stored is not None
        assert (stored.file_key, stored.gone, stored.ordinal) == ("sent again", None, 1)
        assert len(store.studies_due(LATER, DAY)) == 1
        assert store.record_instance(replace(again, file_key="once more")) == Arrival(added=False)

    def test_a_resend_heals_a_file_that_is_gone_before_anybody_marked_it(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        asked: list[str] = []

        def has_file(key: str) -> bool:
            asked.append(key)
            return False

        assert store.record_instance(replace(image("1.1"), file_key="sent again"), has_file).healed
        assert asked == ["key-of-1.1"]

    def test_a_resend_of_a_removed_file_is_kept_anew_without_another_analysis(self, store: Store) -> None:
        delivered(store)
        store.mark_removed(1, LATER)
        again = replace(image("1.2.1.1.1", at=LATER), file_key="sent again")
        assert store.record_instance(again).healed
        assert store.studies_due(LATER + DAY, DAY) == []
        assert removable(store) == [], "its age starts anew"
        assert [study.id for study in store.removable_studies(LATER + SECOND, None, 10)] == [1]
        assert store.mark_removed(1, LATER) == ["sent again"]

    def test_a_result_that_is_made_again_is_there_again(self, store: Store) -> None:
        delivered(store)
        store.mark_removed(1, LATER)
        store.record_instance(image("1.9", at=LATER))
        closed(store, "1.2.1", LATER)
        finish(store, claimed(store, at=LATER), ["2.25.1.2.1.1", "2.25.9"], key="another", again="again ")
        assert [row.file_key for row in store.kept_files(FileOwner.RESULTS, 0, 10)] == [
            "again key-of-2.25.1.2.1.1",
            "again key-of-2.25.9",
        ]
        first = store.delivery(store.find(kind=JobKind.DELIVER)[-1].subject_id)
        assert first.output.file_key == "again key-of-2.25.1.2.1.1", "whoever sends it once more finds it"

    def test_only_keys_that_rows_name_are_known(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        assert store.file_states(FileOwner.INSTANCES, ["key-of-1.1", "x"]) == {"key-of-1.1": False}
        assert store.file_states(FileOwner.RESULTS, ["key-of-1.1"]) == {}


class TestTaskRuns:
    def test_the_last_run_and_the_last_success_are_kept(self, store: Store) -> None:
        store.record_run("reap", NOW, 0.5, succeeded=True, note="")
        store.record_run("check", NOW, 1.0, succeeded=False, note="no\0 database")
        store.record_run("reap", NOW + DAY, 0.25, succeeded=False, note="it broke")
        ended = NOW + timedelta(seconds=0.5)
        assert store.task_runs() == [
            TaskRun("check", NOW, 1.0, succeeded=False, succeeded_at=None, note="no database"),
            TaskRun("reap", NOW + DAY, 0.25, succeeded=False, succeeded_at=ended, note="it broke"),
        ]

    def test_a_run_that_began_earlier_does_not_hide_a_later_one(self, store: Store) -> None:
        store.record_run("check", NOW, 1.0, succeeded=True, note="new")
        store.record_run("check", NOW - DAY, 1.0, succeeded=False, note="old")
        [run] = store.task_runs()
        assert (run.started_at, run.note) == (NOW, "new")
