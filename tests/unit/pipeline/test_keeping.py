"""Patients that are kept apart and files that are gone, through the whole product in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.pipeline.steps import AssemblyRule, assemble
from tests.unit.pipeline.fakes import received
from tests.unit.pipeline.test_steps import RULE, House


def take(house: House, number: int, patient: str = "roe") -> None:
    house.jobs.record_instance(replace(received(number, house.clock), patient_digest=patient))


def work(house: House) -> None:
    """Close and analyse whatever there is."""
    for _ in range(house.close()):
        house.analyse()


def deliver_all(house: House) -> None:
    while (job := house.jobs.claim([JobKind.DELIVER], "deliver", house.clock(), timedelta(minutes=5))) is not None:
        house.jobs.finish(job, Done(), house.clock(), 0.0)


def test_two_patients_get_a_report_each_that_says_so() -> None:
    house = House("pacs")
    take(house, 1, "roe")
    take(house, 2, "doe")
    take(house, 3, "roe")
    work(house)
    first, second = house.reporter.results
    assert [[i.sop_instance_uid for i in r.images] for r in (first, second)] == [["1.2.1.1", "1.2.1.3"], ["1.2.1.2"]]
    assert first.patient_conflict
    assert second.patient_conflict
    assert first.key != second.key
    assert (first.predecessor, second.predecessor) == (None, None)


def test_a_conflict_that_comes_late_makes_one_revision_of_the_report_that_went_out() -> None:
    house = House("pacs")
    take(house, 1, "roe")
    work(house)
    take(house, 2, "doe")
    work(house)
    take(house, 3, "doe")
    work(house)
    told = [(r.revision, len(r.images), r.patient_conflict, r.predecessor is not None) for r in house.reporter.results]
    assert told == [
        (1, 1, False, False),
        (2, 1, True, True),
        (1, 1, True, False),
        (2, 2, True, True),
    ]
    assert len({r.key for r in house.reporter.results}) == 4, "the same images, but not the same report"


def test_a_corrected_patient_is_told_in_a_revision_and_once() -> None:
    house = House("pacs")
    take(house, 1, "roe")
    work(house)
    take(house, 1, "doe")
    work(house)
    take(house, 1, "doe")
    work(house)
    assert [r.patient_conflict for r in house.reporter.results] == [False, True]


def test_a_conflict_is_told_of_a_study_in_which_nothing_could_be_assessed_too() -> None:
    house = House("pacs")
    house.reader.broken["1.2.1.1"] = ReasonCode.UNREADABLE_PIXELS
    take(house, 1, "roe")
    work(house)
    take(house, 1, "doe")
    work(house)
    assert [r.patient_conflict for r in house.reporter.results] == [False, True]


@pytest.mark.parametrize(("seconds", "cause"), [(5, "released"), (11, "quiet")])
def test_why_a_study_was_closed_is_counted(seconds: int, cause: str) -> None:
    house = House()
    take(house, 1)
    if cause == "released":
        house.jobs.hasten_studies({"1.2"})
    assemble(house.jobs, RULE, house.clock.forward(seconds), house.count)
    assert house.counted["studies_closed", cause] == 1


def test_a_forced_end_is_counted_as_one() -> None:
    house = House()
    take(house, 1)
    assemble(house.jobs, AssemblyRule(timedelta(seconds=3), 3), house.clock.forward(5), house.count)
    assert house.counted["studies_closed", "forced"] == 1


def removed(house: House) -> None:
    """Analysed, delivered, and its files removed."""
    work(house)
    deliver_all(house)
    for study in house.jobs.removable_studies(house.clock.forward(60), None, 10):
        for key in house.jobs.mark_removed(study.id, house.clock()):
            house.files.content.pop(key, None)


def test_a_late_image_after_removal_is_reported_and_the_others_are_named() -> None:
    house = House("pacs")
    take(house, 1)
    removed(house)
    take(house, 2)
    work(house)
    first, second = house.reporter.results
    assert [(image.assessed, [r.code for r in image.reasons]) for image in second.images] == [
        (False, [ReasonCode.FILE_REMOVED]),
        (True, []),
    ]
    assert second.predecessor is not None
    assert first.key != second.key


def test_a_late_object_that_is_no_photograph_does_not_replace_the_report_of_removed_ones() -> None:
    house = House("pacs")
    take(house, 1)
    removed(house)
    house.verdicts["1.2.1.2"] = Verdict(stop=Reason(ReasonCode.CONTEXT, "an OCT"))
    take(house, 2)
    work(house)
    assert len(house.reporter.results) == 1
    assert house.jobs.find(limit=1)[0].reason is not None


def test_a_missing_file_does_not_stop_the_others_and_its_resend_completes_the_report() -> None:
    house = House("pacs")
    take(house, 1)
    take(house, 2)
    house.jobs.mark_missing(FileOwner.INSTANCES, house.jobs.kept_files(FileOwner.INSTANCES, 0, 1), house.clock())
    work(house)
    take(house, 1)
    work(house)
    told = [[[r.code for r in image.reasons] for image in r.images] for r in house.reporter.results]
    assert told == [[[ReasonCode.FILE_MISSING], []], [[], []]]
