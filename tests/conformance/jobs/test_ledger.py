"""What every `Ledger` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import Addressed, OutputKind
from tests.conformance.jobs.builders import (
    BOTH,
    DAY,
    LEASE,
    NOW,
    QUIET,
    SECOND,
    claimed,
    closed,
    everybody_lives,
    image,
    output,
    queued,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.result import Output
    from ocunet_pacs.domain.study import Arrival, OpenStudy
    from tests.conformance.jobs.builders import Store


FORCE = timedelta(minutes=10)


def finish(
    store: Store,
    job: Job,
    key: str = "a key",
    outputs: Sequence[Output] = (),
    destinations: Sequence[str] = ("pacs",),
    expected_predecessor: int | None = None,
) -> Finish:
    return store.finish_analysis(
        job,
        key=key,
        result='{"images": []}',
        outputs=to(destinations, *outputs),
        expected_predecessor=expected_predecessor,
        delivery_attempts=7,
        now=NOW,
    )


def test_a_finished_analysis_keeps_its_note(store: Store) -> None:
    queued(store)
    job = claimed(store)
    how = store.finish_analysis(
        job,
        key="a key",
        result="{}",
        outputs=(),
        expected_predecessor=None,
        delivery_attempts=1,
        now=NOW,
        note="3 of 5 images assessed; not assessed: 1 angiography, 1 child",
    )
    assert how is Finish.APPLIED
    done = store.get(job.id)
    assert done is not None
    assert done.state is JobState.DONE
    assert done.reason == "3 of 5 images assessed; not assessed: 1 angiography, 1 child"


def everything(store: Store) -> tuple[object, ...]:
    """All that a caller can see of jobs and outputs."""
    return store.find(), list(store.output_uids()), store.counts()


def due(store: Store) -> list[OpenStudy]:
    return store.studies_due(NOW + DAY, DAY)


class TestArrival:
    def test_an_instance_is_found_again(self, store: Store) -> None:
        received = image("1.2.1.1.7")
        assert store.find_instance("1.2.1.1.7") is None
        assert store.record_instance(received)
        stored = store.find_instance("1.2.1.1.7")
        assert stored is not None
        assert stored.ordinal == 1
        for name in ("study_instance_uid", "series_instance_uid", "sop_class_uid", "transfer_syntax_uid", "file_key"):
            assert getattr(stored, name) == getattr(received, name)
        assert stored.source_ae_title == "CAMERA"

    def test_a_resend_changes_nothing(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        before = due(store), store.find_instance("1.1")
        assert not store.record_instance(replace(image("1.1", at=NOW + SECOND), file_key="another"))
        assert (due(store), store.find_instance("1.1")) == before

    def test_a_resend_after_the_analysis_does_not_open_the_study(self, store: Store) -> None:
        queued(store, "1.2.1")
        assert not store.record_instance(image("1.2.1.1.1", at=NOW + SECOND))
        assert due(store) == []
        assert store.newest_revision("1.2.1") == 1

    def test_an_instance_of_another_study_is_still_a_duplicate(self, store: Store) -> None:
        store.record_instance(image("1.1", "1.2.1"))
        assert not store.record_instance(image("1.1", "1.2.2"))
        assert [study.study_instance_uid for study in due(store)] == ["1.2.1"]
        stored = store.find_instance("1.1")
        assert stored is not None
        assert stored.study_instance_uid == "1.2.1"

    def test_ordinals_count_each_study_in_order_of_arrival(self, store: Store) -> None:
        for number, study in enumerate(["1.2.1", "1.2.2", "1.2.1", "1.2.1", "1.2.2"]):
            store.record_instance(image(f"1.{number}", study, opens_study=number != 2))
            store.record_instance(image("1.0", study))
        found = [store.find_instance(f"1.{number}") for number in range(5)]
        assert [stored.ordinal for stored in found if stored] == [1, 1, 2, 3, 2]

    def test_our_own_results_do_not_open_a_study(self, store: Store) -> None:
        assert store.record_instance(image("1.1", opens_study=False))
        assert due(store) == []
        assert store.record_instance(image("1.2", at=NOW + SECOND))
        [study] = due(store)
        assert (study.open_since, study.last_received_at) == (NOW + SECOND, NOW + SECOND)
        assert store.record_instance(image("1.3", at=NOW + 2 * SECOND, opens_study=False))
        assert due(store) == [study]

    def test_a_listener_whose_clock_is_behind_does_not_end_the_quiet_period(self, store: Store) -> None:
        store.record_instance(image("1.1", at=NOW, quiet=QUIET))
        store.record_instance(image("1.2", at=NOW - QUIET, quiet=QUIET))
        assert store.studies_due(NOW + SECOND, FORCE) == []

    def test_two_associations_with_the_same_object_make_one_row(self, store: Store) -> None:
        for number in range(8):
            together = Barrier(4)

            def send(study: str, uid: str = f"1.{number}", together: Barrier = together) -> Arrival:
                together.wait()
                return store.record_instance(image(uid, study))

            with ThreadPoolExecutor(4) as pool:
                added = list(map(bool, pool.map(send, ["1.2.1", "1.2.1", "1.2.2", "1.2.2"])))
            assert sorted(added) == [False, False, False, True]

    def test_images_of_one_study_on_many_associations_get_distinct_ordinals(self, store: Store) -> None:
        uids = [f"1.{number}" for number in range(24)]
        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(lambda uid: store.record_instance(image(uid)), uids))
        found = [store.find_instance(uid) for uid in uids]
        assert sorted(stored.ordinal for stored in found if stored) == list(range(1, 25))


class TestAssembly:
    def test_a_study_is_due_after_its_quiet_period(self, store: Store) -> None:
        store.record_instance(image("1.1", at=NOW, quiet=QUIET))
        store.record_instance(image("1.2", at=NOW + 30 * SECOND, quiet=QUIET))
        assert store.studies_due(NOW + QUIET, FORCE) == []
        [study] = store.studies_due(NOW + 30 * SECOND + QUIET, FORCE)
        assert (study.study_instance_uid, study.open_since) == ("1.2.1", NOW)
        assert study.last_received_at == NOW + 30 * SECOND

    def test_a_study_that_never_rests_is_due_after_the_forced_limit(self, store: Store) -> None:
        for second in range(0, 600, 30):
            assert store.studies_due(NOW + second * SECOND, FORCE) == []
            store.record_instance(image(f"1.{second}", at=NOW + second * SECOND, quiet=QUIET))
        assert len(store.studies_due(NOW + FORCE, FORCE)) == 1

    def test_the_study_that_is_open_longest_comes_first(self, store: Store) -> None:
        for number in (3, 1, 2):
            store.record_instance(image(f"1.{number}", f"1.2.{number}", NOW + number * SECOND))
        assert [study.study_instance_uid for study in due(store)] == ["1.2.1", "1.2.2", "1.2.3"]

    def test_closing_makes_a_revision_and_its_job(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        store.record_instance(image("1.2"))
        store.record_instance(image("1.3", opens_study=False))
        job_id = closed(store, "1.2.1", NOW + SECOND, max_attempts=5)
        job = store.get(job_id)
        assert job is not None
        assert (job.kind, job.state, job.attempt, job.max_attempts) == (JobKind.ANALYSE, JobState.WAITING, 0, 5)
        assert (job.run_at, job.created_at) == (NOW + SECOND, NOW + SECOND)
        analysis = store.analysis(job.subject_id)
        assert (analysis.study_instance_uid, analysis.revision) == ("1.2.1", 1)
        assert (analysis.key, analysis.finished_at, analysis.result) == (None, None, None)
        assert [row.sop_instance_uid for row in store.analysis_instances(analysis.id)] == ["1.1", "1.2"]
        assert store.newest_revision("1.2.1") == 1
        assert due(store) == []

    def test_a_study_is_closed_once(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        [study] = due(store)
        assert store.close_study(study, NOW, 3) is not None
        assert store.close_study(study, NOW, 3) is None
        assert len(store.find()) == 1

    def test_an_image_that_comes_meanwhile_keeps_the_study_open(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        [seen] = due(store)
        store.record_instance(image("1.2", at=NOW + SECOND))
        assert store.close_study(seen, NOW, 3) is None
        assert store.find() == []
        assert store.newest_revision("1.2.1") == 0
        [again] = due(store)
        assert again.last_received_at == NOW + SECOND

    def test_a_late_image_makes_a_new_revision_with_all_images(self, store: Store) -> None:
        first = store.get(queued(store, "1.2.1"))
        store.record_instance(image("1.9", at=NOW + FORCE))
        second = store.get(closed(store, "1.2.1", NOW + FORCE))
        assert first is not None
        assert second is not None
        assert store.analysis(second.subject_id).revision == store.newest_revision("1.2.1") == 2
        assert [row.sop_instance_uid for row in store.analysis_instances(first.subject_id)] == ["1.2.1.1.1"]
        assert [row.sop_instance_uid for row in store.analysis_instances(second.subject_id)] == ["1.2.1.1.1", "1.9"]

    def test_racing_closers_make_one_revision(self, store: Store) -> None:
        store.record_instance(image("1.1"))
        [study] = due(store)
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: store.close_study(study, NOW, 3), range(4)))
        assert sum(job_id is not None for job_id in made) == 1

    def test_no_image_is_lost_between_arrival_and_closing(self, store: Store) -> None:
        uids = [f"1.{number}" for number in range(60)]

        def send(number: int) -> None:
            assert store.record_instance(image(uids[number], at=NOW + number * SECOND))

        def close() -> None:
            for _ in range(40):
                for study in due(store):
                    store.close_study(study, NOW, 3)

        with ThreadPoolExecutor(4) as pool:
            closer = pool.submit(close)
            list(pool.map(send, range(60)))
            closer.result()
        close()
        newest = store.find(limit=1)[0]
        assert {row.sop_instance_uid for row in store.analysis_instances(newest.subject_id)} == set(uids)
        assert due(store) == []

    def test_what_does_not_exist(self, store: Store) -> None:
        with pytest.raises(KeyError):
            store.analysis(1)
        with pytest.raises(KeyError):
            store.delivery(1)
        with pytest.raises(KeyError):
            store.record_delivery(1, 0, "", NOW)
        assert store.newest_revision("1.2.1") == 0
        assert store.analysis_instances(1) == []
        assert store.predecessor(1) is None
        assert not store.is_output("1.2")


class TestFinish:
    def test_the_result_its_outputs_and_their_deliveries(self, store: Store) -> None:
        queued(store)
        job = claimed(store)
        made = [output("2.25.1", OutputKind.HEATMAP), output("2.25.2")]
        assert finish(store, job, outputs=made, destinations=["pacs", "viewer"]) is Finish.APPLIED
        done = store.get(job.id)
        assert done is not None
        assert (done.state, done.finished_at, done.lease_owner) == (JobState.DONE, NOW, None)
        analysis = store.analysis(job.subject_id)
        assert (analysis.key, analysis.finished_at, analysis.result) == ("a key", NOW, '{"images": []}')
        assert list(store.output_uids()) == ["2.25.1", "2.25.2"]
        assert store.is_output("2.25.2")
        deliver = store.find(kind=JobKind.DELIVER)[::-1]
        assert {(one.state, one.attempt, one.max_attempts, one.run_at) for one in deliver} == {
            (JobState.WAITING, 0, 7, NOW)
        }
        rows = [store.delivery(one.subject_id) for one in deliver]
        assert [(row.output, row.destination) for row in rows] == [
            (made[0], "pacs"),
            (made[0], "viewer"),
            (made[1], "pacs"),
            (made[1], "viewer"),
        ]
        assert {(row.status, row.comment) for row in rows} == {(None, None)}

    def test_each_output_goes_to_its_own_destinations(self, store: Store) -> None:
        queued(store)
        made = [output(f"2.25.{kind}", kind) for kind in OutputKind]
        made[1] = replace(made[1], form="jpeg")
        routes = {made[0]: ("pacs", "archive", "pacs"), made[1]: ("pacs",), made[4]: ("record",)}
        outputs = [Addressed(one, routes.get(one, ())) for one in made]
        how = store.finish_analysis(
            claimed(store),
            key="a key",
            result="{}",
            outputs=outputs,
            expected_predecessor=None,
            delivery_attempts=3,
            now=NOW,
        )
        assert how is Finish.APPLIED
        assert list(store.output_uids()) == [one.sop_instance_uid for one in made]
        rows = [store.delivery(job.subject_id) for job in store.find(kind=JobKind.DELIVER)[::-1]]
        assert [(row.output, row.destination) for row in rows] == [
            (made[0], "pacs"),
            (made[0], "archive"),
            (made[1], "pacs"),
            (made[4], "record"),
        ]

    def test_a_destination_that_did_not_get_an_output_gets_it_with_a_later_revision(self, store: Store) -> None:
        queued(store)
        heatmap = output("2.25.1", OutputKind.HEATMAP)
        first = claimed(store)
        finish(store, first, "key 1", [heatmap], ["pacs"])
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        second = store.claim([JobKind.ANALYSE], "another", NOW, LEASE)
        assert second is not None
        finish(store, second, "key 2", [replace(heatmap, file_key="elsewhere")], ["pacs", "viewer", "viewer"])
        rows = [store.delivery(job.subject_id) for job in store.find(kind=JobKind.DELIVER)[::-1]]
        assert [(row.output, row.destination) for row in rows] == [(heatmap, "pacs"), (heatmap, "viewer")]

    def test_no_destination_makes_no_delivery(self, store: Store) -> None:
        queued(store)
        assert finish(store, claimed(store), outputs=[output("2.25.1")], destinations=[]) is Finish.APPLIED
        assert store.is_output("2.25.1")
        assert store.find(kind=JobKind.DELIVER) == []

    def test_an_output_that_is_there_already_is_left_as_it_is(self, store: Store) -> None:
        """The heatmap of an image is the same in every revision: it is sent once."""
        queued(store)
        heatmap = output("2.25.1", OutputKind.HEATMAP)
        first = claimed(store)
        finish(store, first, "key 1", [heatmap, output("2.25.2")])
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        second = store.claim([JobKind.ANALYSE], "another", NOW, LEASE)
        assert second is not None
        again = [replace(heatmap, file_key="elsewhere"), output("2.25.3")]
        assert finish(store, second, "key 2", again, expected_predecessor=first.subject_id) is Finish.APPLIED
        assert list(store.output_uids()) == ["2.25.1", "2.25.2", "2.25.3"]
        sent = [store.delivery(job.subject_id).output for job in store.find(kind=JobKind.DELIVER)[::-1]]
        assert sent == [heatmap, output("2.25.2"), output("2.25.3")]
        keys = ["elsewhere", "key-of-2.25.1", "key-of-2.25.3", "a stranger's"]
        assert store.named_results(keys) == {"key-of-2.25.1", "key-of-2.25.3"}

    def test_a_worker_that_lost_its_job_changes_nothing(self, store: Store) -> None:
        queued(store)
        slow = claimed(store, "slow")
        store.reap(NOW + LEASE, everybody_lives)
        quick = claimed(store, "quick", NOW + LEASE)
        before = everything(store)
        assert finish(store, slow, outputs=[output("2.25.1")]) is Finish.LOST
        assert everything(store) == before
        assert store.analysis(slow.subject_id).finished_at is None
        assert finish(store, quick, outputs=[output("2.25.1")]) is Finish.APPLIED
        assert finish(store, quick, outputs=[output("2.25.2")]) is Finish.LOST
        assert list(store.output_uids()) == ["2.25.1"]

    def test_only_an_analysis_can_be_finished_as_one(self, store: Store) -> None:
        queued(store)
        finish(store, claimed(store), outputs=[output("2.25.1")])
        with pytest.raises(ValueError, match="deliver"):
            finish(store, claimed(store), key="another key")

    def test_a_finished_later_revision_supersedes(self, store: Store) -> None:
        queued(store)
        late = claimed(store, "slow")
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        assert finish(store, claimed(store, "quick"), "key 2", [output("2.25.2")]) is Finish.APPLIED
        assert finish(store, late, "key 1", [output("2.25.1")]) is Finish.SUPERSEDED
        job, analysis = store.get(late.id), store.analysis(late.subject_id)
        assert job is not None
        assert (job.state, job.reason) == (JobState.DONE, "a later revision is finished already")
        assert (analysis.key, analysis.result) == (None, None)
        assert list(store.output_uids()) == ["2.25.2"]

    def test_a_revision_that_finished_meanwhile_must_be_named(self, store: Store) -> None:
        queued(store)
        first = claimed(store, "one")
        store.record_instance(image("1.9"))
        closed(store, "1.2.1")
        second = claimed(store, "two")
        assert store.predecessor(second.subject_id) is None
        assert finish(store, first, "key 1", [output("2.25.1")]) is Finish.APPLIED
        before = everything(store)
        assert finish(store, second, "key 2", [output("2.25.2")]) is Finish.PREDECESSOR_CHANGED
        assert everything(store) == before
        assert store.get(second.id) == second
        assert store.predecessor(second.subject_id) == (first.subject_id, (output("2.25.1"),))
        assert (
            finish(store, second, "key 2", [output("2.25.2")], expected_predecessor=first.subject_id) is Finish.APPLIED
        )

    def test_the_predecessor_is_the_latest_finished_revision_with_a_report(self, store: Store) -> None:
        queued(store)
        jobs = [claimed(store)]
        finish(store, jobs[0], "key 1", [output("2.25.1", OutputKind.HEATMAP), output("2.25.2")])
        for number in (2, 3, 4):
            store.record_instance(image(f"1.{number}"))
            closed(store, "1.2.1")
            job = store.claim([JobKind.ANALYSE], f"worker {number}", NOW, LEASE)
            assert job is not None
            jobs.append(job)
        named = jobs[0].subject_id
        finish(store, jobs[1], "key 2", [output("2.25.3", OutputKind.HEATMAP)], expected_predecessor=named)
        assert store.analysis(jobs[1].subject_id).finished_at == NOW
        assert store.predecessor(jobs[3].subject_id) == (named, (output("2.25.2"),))
        assert store.predecessor(jobs[0].subject_id) is None

    def test_a_predecessor_has_a_report_in_each_form(self, store: Store) -> None:
        queued(store)
        first = claimed(store)
        reports = (output("2.25.2"), replace(output("2.25.1"), form="enhanced/jpeg"))
        others = [output("2.25.3", OutputKind.HEATMAP), output("2.25.4", OutputKind.PDF)]
        finish(store, first, "key 1", [others[0], *reports, others[1]])
        for number in (2, 3):
            store.record_instance(image(f"1.{number}"))
            closed(store, "1.2.1")
        second, third = (job.subject_id for job in store.find(kind=JobKind.ANALYSE)[1::-1])
        assert store.predecessor(second) == store.predecessor(third) == (first.subject_id, reports)

    def test_the_same_work_gives_its_result_once(self, store: Store) -> None:
        queued(store, "1.2.1")
        queued(store, "1.2.2")
        first, second = claimed(store), claimed(store)
        assert finish(store, first, "one key", [output("2.25.1")]) is Finish.APPLIED
        assert finish(store, second, "one key", [output("2.25.2")]) is Finish.APPLIED
        job = store.get(second.id)
        assert job is not None
        assert job.state is JobState.DONE
        assert list(store.output_uids()) == ["2.25.1"]

    def test_of_two_revisions_that_finish_at_once_the_report_chain_is_whole(self, store: Store) -> None:
        for number in range(6):
            study = f"1.2.{number}"
            queued(store, study)
            early = claimed(store, "early")
            store.record_instance(image(f"1.{number}", study))
            closed(store, study)
            late = store.claim([JobKind.ANALYSE], "late", NOW, LEASE)
            assert late is not None
            together = Barrier(2)

            def end(job: Job, together: Barrier = together) -> Finish:
                together.wait()
                return finish(store, job, f"key {job.id}", [output(f"2.25.{job.id}")], destinations=[])

            with ThreadPoolExecutor(2) as pool:
                how = tuple(pool.map(end, [early, late]))
            assert how in {
                (Finish.APPLIED, Finish.PREDECESSOR_CHANGED),
                (Finish.SUPERSEDED, Finish.APPLIED),
            }


class TestDelivery:
    def test_the_last_answer_is_kept(self, store: Store) -> None:
        queued(store)
        finish(store, claimed(store), outputs=[output("2.25.1")])
        job = claimed(store)
        store.record_delivery(job.subject_id, None, "nobody answered", NOW)
        assert store.delivery(job.subject_id).status is None
        store.record_delivery(job.subject_id, 0xB000, "coerced \0", NOW)
        row = store.delivery(job.subject_id)
        assert (row.status, row.comment) == (0xB000, "coerced ")
        assert store.finish(job, Done(), NOW, 0.0)
        assert store.claim(BOTH, "another", NOW + DAY, LEASE) is None

    def test_every_output_is_listed_however_many(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ocunet_pacs.jobs.sql_results._PAGE", 2)
        queued(store)
        finish(store, claimed(store), outputs=[output(f"2.25.{number}") for number in range(5)])
        assert list(store.output_uids()) == [f"2.25.{number}" for number in range(5)]
