"""The soak's judge: each way in which a photograph may be lost, doubled or forgotten is found."""

from __future__ import annotations

import copy

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ocunet_pacs.app.process import EXIT_AGAIN
from tests.soak.faults import Happened
from tests.soak.photographs import Photograph, Study
from tests.soak.services import Ended
from tests.soak.verdict import Evidence, judge, unexplained

HEATMAP = "1.2.840.10008.5.1.4.1.1.7"


def report(uid: str, study: str, photographs: list[str], heatmaps: list[str], *, replaces: str = "") -> Dataset:
    """As much of a report as the judge reads."""
    ds = Dataset()
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.Modality = uid, study, "SR"
    library = Dataset()
    library.ConceptNameCodeSequence = Sequence([Dataset()])
    library.ConceptNameCodeSequence[0].CodeValue = "111028"
    library.ContentSequence = Sequence([_image(photograph) for photograph in photographs])
    said = Dataset()
    said.TextValue = "no_pixel_data: there are none"
    ds.ContentSequence = Sequence([library, said])
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([_series([(HEATMAP, one) for one in heatmaps])])
    if replaces:
        ds.PredecessorDocumentsSequence = Sequence([_series([("", replaces)])])
    return ds


def _image(photograph: str) -> Dataset:
    item = Dataset()
    item.ValueType = "IMAGE"
    item.ReferencedSOPSequence = Sequence([Dataset()])
    item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = photograph
    return item


def _series(references: list[tuple[str, str]]) -> Dataset:
    study, series = Dataset(), Dataset()
    series.ReferencedSOPSequence = Sequence([])
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        series.ReferencedSOPSequence.append(item)
    study.ReferencedSeriesSequence = Sequence([series])
    return study


def said(*reasons: str) -> dict[str, object]:
    return {"scores": [] if reasons else [0.5], "reasons": [{"code": code} for code in reasons]}


@pytest.fixture
def studies() -> list[Study]:
    """A study with a late image, and one with an object without pixels."""
    good = [Photograph(uid, "1", "", b"", acknowledged=True) for uid in ("1.1", "1.2")]
    bad = Photograph("2.1", "2", "", b"", "no pixels", acknowledged=True)
    refused = Photograph("2.2", "2", "", b"", "noise", refused="0xc000 cannot be read")
    return [Study(good[:1], good[1:]), Study([bad, refused])]


@pytest.fixture
def evidence() -> Evidence:
    """As it should be."""
    reports = [
        report("9.1", "1", ["1.1"], ["7.1"]),
        report("9.2", "1", ["1.1", "1.2"], ["7.1", "7.2"], replaces="9.1"),
        report("9.3", "2", ["2.1"], []),
    ]
    results = {"1": [{"1.1": said()}, {"1.1": said(), "1.2": said()}], "2": [{"2.1": said("no_pixel_data")}]}
    addressed = {"pacs": {"7.1", "7.2", "9.1", "9.2", "9.3"}, "committing": {"8.1", "8.2"}}
    return Evidence(reports, {"7.1": "1.1", "7.2": "1.2"}, results, [], addressed, {"8.1", "8.2"}, set())


def wrong(studies: list[Study], evidence: Evidence) -> list[str]:
    return [finding.what for finding in judge(studies, evidence) if not finding.holds]


def test_what_is_as_it_should_be_holds(studies: list[Study], evidence: Evidence) -> None:
    assert wrong(studies, evidence) == []


def test_a_lost_photograph_is_found(studies: list[Study], evidence: Evidence) -> None:
    studies[0].photographs.append(Photograph("1.3", "1", "", b"", acknowledged=True))
    assert any("none is lost" in what for what in wrong(studies, evidence))
    studies[0].photographs[-1].acknowledged = False
    assert any("was acknowledged" in what for what in wrong(studies, evidence))


def test_two_current_reports_are_found(studies: list[Study], evidence: Evidence) -> None:
    del evidence.reports[1].PredecessorDocumentsSequence
    found = wrong(studies, evidence)
    assert any("none is doubled" in what for what in found)
    assert any("one current report" in what for what in found)


def test_heatmaps_that_are_missing_left_over_or_doubled_are_found(studies: list[Study], evidence: Evidence) -> None:
    for change in ({"7.1": "1.1"}, {**evidence.heatmaps, "7.3": "1.1"}, {"7.1": "1.1", "7.2": "1.1"}):
        changed = copy.copy(evidence)
        changed.heatmaps = change
        assert any("heatmaps" in what for what in wrong(studies, changed)), change


def test_a_good_photograph_that_was_not_assessed_is_found(studies: list[Study], evidence: Evidence) -> None:
    evidence.results["1"][-1]["1.1"] = said("file_removed")
    assert wrong(studies, evidence) == [], "an earlier revision assessed it"
    evidence.results["1"][-1]["1.2"] = said("file_removed")
    assert any("good photograph was assessed" in what for what in wrong(studies, evidence))
    evidence.results["1"][-1]["1.2"] = said("decoder_failed")
    assert any("good photograph was assessed" in what for what in wrong(studies, evidence))


def test_a_bad_object_without_a_reason_is_found(studies: list[Study], evidence: Evidence) -> None:
    for change in (said(), said("too_large")):
        evidence.results["2"][-1]["2.1"] = change
        assert any("bad object" in what for what in wrong(studies, evidence)), change
    evidence.results["2"][-1]["2.1"] = said("no_pixel_data")
    studies[1].photographs[1].refused = "0xc000"
    assert any("bad object" in what for what in wrong(studies, evidence)), "a status without a comment"


def test_jobs_that_are_not_done_and_archives_that_differ_are_found(studies: list[Study], evidence: Evidence) -> None:
    evidence.jobs.append((1, "analyse", "dead", "its worker went away"))
    evidence.committed.discard("8.2")
    found = wrong(studies, evidence)
    assert any("job is done" in what for what in found)
    assert any("archives hold" in what for what in found)


def test_a_service_may_ask_to_be_started_again_only_where_a_fault_took_what_it_needs() -> None:
    began = 1000.0
    faults = [
        Happened("database away", "", 100.0, 160.0),
        Happened("archive stopped", "", 300.0, 340.0),
        Happened("disk full", "", 400.0),
    ]
    ends = [
        Ended(began + at, f"serve at {at:g}", status)
        for at, status in (
            (130.0, EXIT_AGAIN),
            (165.0, EXIT_AGAIN),
            (420.0, EXIT_AGAIN),
            (99.0, EXIT_AGAIN),
            (200.0, EXIT_AGAIN),
            (320.0, EXIT_AGAIN),
            (131.0, 1),
            (132.0, -11),
            (133.0, None),
        )
    ]
    wrong = [99, 200, 320, 131, 132, 133]
    assert unexplained(ends, faults, began) == [f"serve at {at}" for at in wrong]
