"""Objects of one Study Instance UID that name different patients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Arrival
from ocunet_pacs.domain.upkeep import FileOwner
from tests.conformance.jobs.builders import DAY, NOW, SECOND, claimed, closed, image, output, to

if TYPE_CHECKING:
    from ocunet_pacs.domain.study import OpenStudy
    from tests.conformance.jobs.builders import Store

STUDY = "1.2.1"


def due(store: Store) -> list[OpenStudy]:
    return store.studies_due(NOW + DAY, DAY)


def reported(store: Store, uid: str, patient: str) -> int:
    """One image, closed and finished with a report: the analysis's id."""
    store.record_instance(image(uid, STUDY, patient=patient))
    closed(store, STUDY)
    job = claimed(store)
    store.finish_analysis(
        job,
        key=f"key of {uid}",
        result="{}",
        outputs=to([], output(f"2.25.{uid}")),
        expected_predecessor=None,
        delivery_attempts=1,
        now=NOW,
    )
    return job.subject_id


def test_an_analysis_and_its_deliveries_name_their_study_and_its_patient(store: Store) -> None:
    store.record_instance(image("1.1", STUDY, patient="roe"))
    closed(store, STUDY)
    job = claimed(store)
    assert store.analysis(job.subject_id).patient_digest == "roe"
    store.finish_analysis(
        job,
        key="key",
        result="{}",
        outputs=to(["pacs"], output("2.25.1")),
        expected_predecessor=None,
        delivery_attempts=1,
        now=NOW,
    )
    row = store.delivery(claimed(store).subject_id)
    assert (row.study_instance_uid, row.patient_digest) == (STUDY, "roe")


def images_of(store: Store, analysis_id: int) -> list[str]:
    return [row.sop_instance_uid for row in store.analysis_instances(analysis_id)]


def test_two_patients_are_two_studies_each_with_its_own_revisions(store: Store) -> None:
    assert store.record_instance(image("1.1", patient="roe")) == Arrival(added=True)
    assert store.record_instance(image("1.2", patient="doe")) == Arrival(added=True, conflict=True)
    assert store.record_instance(image("1.3", patient="roe")) == Arrival(added=True)
    assert store.record_instance(image("1.4", patient="doe")) == Arrival(added=True, conflict=True)
    first, second = due(store)
    assert first.study_instance_uid == second.study_instance_uid == STUDY
    jobs = [store.get(store.close_study(study, NOW, 3) or 0) for study in (first, second)]
    rows = [store.analysis(job.subject_id) for job in jobs if job]
    assert [images_of(store, row.id) for row in rows] == [["1.1", "1.3"], ["1.2", "1.4"]]
    assert [(row.revision, row.newest_revision, row.patient_conflict) for row in rows] == [(1, 1, True)] * 2
    assert [row.ordinal for row in store.analysis_instances(rows[1].id)] == [1, 2], "numbers start anew"
    assert store.upkeep_counts().patient_conflicts == 2


def test_one_patient_makes_no_conflict(store: Store) -> None:
    analysis = reported(store, "1.1", "roe")
    store.record_instance(image("1.2", patient="roe"))
    assert not store.analysis(analysis).patient_conflict
    assert store.upkeep_counts().patient_conflicts == 0


def test_no_report_names_the_other_patients_as_its_predecessor(store: Store) -> None:
    first = reported(store, "1.1", "roe")
    store.record_instance(image("1.2", patient="doe"))
    other = next(study for study in due(store) if study.id != store.analysis(first).study_id)
    job = store.get(store.close_study(other, NOW, 3) or 0)
    assert job is not None
    assert store.predecessor(job.subject_id) is None
    assert store.analysis(job.subject_id).newest_revision == 1


def test_a_study_that_was_reported_is_opened_once_to_tell_of_the_conflict(store: Store) -> None:
    first = reported(store, "1.1", "roe")
    store.record_instance(image("1.2", patient="doe", at=NOW + SECOND))
    assert {study.id for study in due(store)} == {1, 2}
    for study in due(store):
        store.close_study(study, NOW, 3)
    row = store.analysis(first)
    assert (row.newest_revision, row.patient_conflict) == (2, True)
    store.record_instance(image("1.3", patient="doe", at=NOW + SECOND))
    assert [study.id for study in due(store)] == [2], "the first study was told already"


def test_a_resend_with_another_patient_is_not_stored_but_flagged(store: Store) -> None:
    """A corrected patient: the report in the archive names the earlier one."""
    analysis = reported(store, "1.1", "roe")
    corrected = replace(image("1.1", patient="doe", at=NOW + SECOND), file_key="another")
    assert store.record_instance(corrected) == Arrival(added=False, conflict=True)
    stored = store.find_instance("1.1")
    assert stored is not None
    assert stored.file_key == "key-of-1.1"
    assert store.analysis(analysis).patient_conflict
    assert len(due(store)) == 1, "its report has to say so"
    assert store.record_instance(corrected) == Arrival(added=False, conflict=True)
    assert store.upkeep_counts().patient_conflicts == 1


def test_a_study_without_files_is_not_opened_for_a_conflict(store: Store) -> None:
    """Nothing could be read for the new report: the flag stays for a person to see."""
    analysis = reported(store, "1.1", "roe")
    store.mark_missing(FileOwner.INSTANCES, store.kept_files(FileOwner.INSTANCES, 0, 10), NOW)
    store.record_instance(image("1.1", patient="doe"))
    assert due(store) == []
    assert store.analysis(analysis).patient_conflict


def test_our_own_results_make_no_conflict_whomever_they_name(store: Store) -> None:
    """An archive may change the patient of what it was sent, and send it back."""
    reported(store, "1.1", "roe")
    assert store.record_instance(image("1.2", opens_study=False, patient="doe")) == Arrival(added=True)
    assert due(store) == []
    assert store.record_instance(image("1.3", patient="roe")) == Arrival(added=True)


def test_our_own_result_that_comes_first_does_not_say_whose_the_study_is(store: Store) -> None:
    store.record_instance(image("1.2", opens_study=False, patient="doe"))
    assert store.record_instance(image("1.3", patient="roe")) == Arrival(added=True)
    assert store.upkeep_counts().patient_conflicts == 0


def test_a_study_of_which_no_patient_is_noted_belongs_to_the_next(store: Store) -> None:
    """What schema 0001 left: rows without a digest."""
    analysis = reported(store, "1.1", "")
    assert store.record_instance(image("1.2", patient="roe")) == Arrival(added=True)
    [study] = due(store)
    assert study.id == store.analysis(analysis).study_id
    assert store.record_instance(image("1.3", patient="doe")).conflict


def test_of_two_patients_who_come_at_once_the_conflict_is_seen(store: Store) -> None:
    for number in range(8):
        together = Barrier(4)

        def send(patient: str, number: int = number, together: Barrier = together) -> Arrival:
            together.wait()
            return store.record_instance(image(f"1.{number}.{patient}", f"1.2.{number}", patient=patient[:3]))

        with ThreadPoolExecutor(4) as pool:
            arrivals = list(pool.map(send, ["roe1", "roe2", "doe1", "doe2"]))
        assert any(arrival.conflict for arrival in arrivals)
        assert store.upkeep_counts().patient_conflicts == 2 * (number + 1)
