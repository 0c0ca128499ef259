from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import BadInput, InvalidReport
from ocunet_pacs.domain.labels import LABELS, Code, Urgency
from ocunet_pacs.domain.result import ImageResult, Predecessor
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.report import codes, header, wording
from ocunet_pacs.report.caveats import caveat_of
from ocunet_pacs.report.content import groups, named, walk
from ocunet_pacs.report.items import read_items
from ocunet_pacs.report.readable import as_html, as_text
from ocunet_pacs.report.reading import read_report
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from ocunet_pacs.report.said import Statement
from ocunet_pacs.report.wording import IN_SHORT
from tests.unit.report.made import (
    NOW,
    RESEARCH,
    STUDY,
    TRAINED,
    UNTRAINED,
    image,
    mixed,
    photograph,
    read,
    reporter,
    study,
    with_heatmaps,
)


def value_of(group: Dataset, name: Code) -> str | None:
    for item in group.ContentSequence:
        if named(item, name):
            return str(item.ConceptCodeSequence[0].CodeValue if item.ValueType == "CODE" else item.TextValue)
    return None


def identifiers(ds: Dataset) -> list[str | None]:
    return [value_of(group, codes.TRACKING_IDENTIFIER) for group in groups(ds)]


def texts(ds: Dataset) -> str:
    return "\n".join(str(item.TextValue) for item in walk(ds) if "TextValue" in item)


def test_groups_come_eye_by_eye_and_the_most_urgent_first(tmp_path: Path) -> None:
    reports = reporter()
    images = (image(2, "L", DR=0.7), image(1, "R", DR=0.9, RD=0.6, CATARACT=0.95), image(3, "U", DR=0.6))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, images)
    ds = read(reports.report(result, sources, heatmaps))
    assert identifiers(ds) == [
        "OD Retinal detachment",
        "OD Diabetic retinopathy",
        "OD Cataract (fundus-image appearance)",
        "OS Diabetic retinopathy",
        "eye unknown Diabetic retinopathy",
    ]


def test_flag_and_normal_class_are_normality_never_findings(tmp_path: Path) -> None:
    reports = reporter()
    images = (image(1, "R", Disease_Risk=0.9), image(2, "L", NORMAL=0.9), image(3, "U", NORMAL=0.9, DR=0.6))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, images)
    ds = read(reports.report(result, sources, heatmaps))
    said = [(value_of(g, codes.NORMALITY), value_of(g, codes.FINDING)) for g in groups(ds)]
    assert said == [
        (codes.ABNORMAL.value, None),
        (codes.NORMAL.value, None),
        (None, "4855003"),
        (codes.INDETERMINATE.value, None),
    ]
    assert "composite abnormality flag above threshold without any specific label" in texts(ds)
    assert "eye unknown image 3: contradiction" in texts(ds)
    assert "OS image 2: contradiction" not in texts(ds)


def test_labels_below_threshold_only_where_the_site_asks_and_then_without_claim(tmp_path: Path) -> None:
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9)])
    usual = read(reporter().report(result, sources, heatmaps))
    assert len(groups(usual)) == 1
    asked = reporter(include_below_threshold=True)
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, asked, [image(1, DR=0.9)])
    all_of_them = groups(read(asked.report(result, sources, heatmaps)))
    assert len(all_of_them) == len(LABELS)
    claims = [
        i.ConceptCodeSequence[0].CodeValue for g in all_of_them for i in g.ContentSequence if i.ValueType == "CODE"
    ]
    assert claims.count(codes.PRESENT.value) == 1
    assert "272519000" not in claims  # Absent


def test_a_label_with_a_temperature_of_its_own_is_reported_with_it(tmp_path: Path) -> None:
    reports, bundle = reporter(), replace(TRAINED, label_temperatures=(("DR", 2.5),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, [image(1, DR=0.9, MYA=0.8)], bundle)
    ds = read(reports.report(result, sources, heatmaps))
    said = {
        value_of(group, codes.FINDING): [
            str(item.TextValue) for item in group.ContentSequence if named(item, codes.ALGORITHM_PARAMETERS)
        ]
        for group in groups(ds)
    }
    assert "temperature=2.5" in said["4855003"]
    assert "temperature=1.1926" in said["57190000"]
    assert "Probability is sigmoid(logit / its label's temperature);" in texts(ds)


def test_every_label_is_reported_with_its_code_site_and_caveat(tmp_path: Path) -> None:
    reports = reporter()
    everything = image(1, **{label.name: 0.5 for label in LABELS})
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, [everything])
    ds = read(reports.report(result, sources, heatmaps))
    found = {value_of(g, codes.FINDING): g for g in groups(ds)}
    for label in LABELS:
        if label.name in {"Disease_Risk", "NORMAL"}:
            continue
        group = found[label.code.value]
        assert value_of(group, codes.FINDING_SITE) == label.site.value
        assert value_of(group, label.code) == codes.PRESENT.value
        assert value_of(group, codes.SUGGESTED_URGENCY) == label.urgency.name
        assert caveat_of(label) == (value_of(group, codes.COMMENT) or "")


def test_a_site_may_say_how_urgent_a_label_is(tmp_path: Path) -> None:
    reports = reporter(urgencies=(("CATARACT", Urgency.EMERGENCY),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, [image(1, DR=0.9, CATARACT=0.6)])
    ds = read(reports.report(result, sources, heatmaps))
    assert identifiers(ds)[0] == "OD Cataract (fundus-image appearance)"
    assert value_of(groups(ds)[0], codes.SUGGESTED_URGENCY) == "EMERGENCY"


def test_only_labels_that_the_heatmap_explains_refer_to_it(tmp_path: Path) -> None:
    reports = reporter(heatmap_labels=1)
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, [image(1, DR=0.9, RD=0.6, Disease_Risk=0.9)])
    ds = read(reports.report(result, sources, heatmaps))
    explained = [any(named(i, codes.VISUAL_EXPLANATION) for i in g.ContentSequence) for g in groups(ds)]
    assert explained == [True, False, False]
    evidence = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert made[0].sop_instance_uid in {r.ReferencedSOPInstanceUID for s in evidence for r in s.ReferencedSOPSequence}


def summary(ds: Dataset) -> list[str]:
    return [str(item.TextValue) for item in ds.ContentSequence if named(item, codes.SUMMARY)]


def refused(ordinal: int, eye: str, code: ReasonCode, detail: str = "this is why") -> ImageResult:
    return replace(image(ordinal, eye), scores=(), reasons=(Reason(code, detail),))


def test_an_eye_s_images_are_read_together(tmp_path: Path) -> None:
    """The highest of each label leads, the most urgent label first; what was not assessed is said of the same eye."""
    reports = reporter()
    images = (
        image(1, "R", CATARACT=0.9, DR=0.61),
        image(2, "R", DR=0.87),
        image(3, "R", NORMAL=0.9),
        refused(4, "R", ReasonCode.ANGIOGRAPHY),
        refused(5, "R", ReasonCode.NOT_COLOUR),
        refused(6, "R", ReasonCode.ANGIOGRAPHY, "another detail"),
        image(7, "L", NORMAL=0.8),
        image(8, "L", NORMAL=0.8),
        refused(9, "U", ReasonCode.CHILD),
    )
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, images)
    ds = read(reports.report(result, sources, heatmaps))
    cataract, retinopathy = "Cataract (fundus-image appearance)", "Diabetic retinopathy"
    together = (
        f"{retinopathy} 87.0 % in image 2 (threshold 50.0 %, above it in 2 of 3, soon); "
        f"{cataract} 90.0 % in image 1 (threshold 50.0 %, above it in 1 of 3, routine). "
        "The model's normal class is above threshold in image 3"
    )
    assert summary(ds) == [
        f"Suggested urgency of review: soon (OD: {retinopathy}). Not assessed: eye unknown.",
        f"OD, 3 images: above threshold: {together}.",
        "OD, not assessed: angiography (images 4, 6); not in colour (image 5).",
        "OS, 2 images: no abnormality detected by the model in any of them.",
        "eye unknown, not assessed: child (image 9).",
        IN_SHORT,
    ]


def test_images_with_the_same_reasons_are_one_remark(tmp_path: Path) -> None:
    images = [
        image(1, "R"),
        *(replace(refused(2, "R", ReasonCode.NOT_FUNDUS), frame=frame) for frame in (1, 2, 3, 5)),
        refused(3, "R", ReasonCode.NOT_FUNDUS),
        refused(4, "L", ReasonCode.NOT_FUNDUS),
    ]
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), images)
    said = texts(read(reporter().report(result, sources, heatmaps)))
    assert "OD images 2 (frames 1-3, 5), 3: not assessed. Reason: this is why (not_a_fundus_photograph)." in said
    assert "OS image 4: not assessed. Reason: this is why (not_a_fundus_photograph)." in said


def test_what_is_scored_behind_an_open_gate_says_so_at_every_number(tmp_path: Path) -> None:
    judged = Reason(ReasonCode.UNGRADABLE, "out of focus: contrast 0.0021, at least 0.003 is needed")
    images = (replace(image(1, "R", DR=0.9), despite=(judged,)), replace(image(2, "L"), despite=(judged,)))
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reporter(), images)
    ds = read(reporter().report(result, sources, heatmaps))
    for group in groups(ds):
        comments = [str(i.TextValue) for i in group.ContentSequence if named(i, codes.COMMENT)]
        assert any("contrast 0.0021, at least 0.003 is needed (ungradable)" in words for words in comments)
        assert value_of(group, codes.QUALITY_ASSESSMENT) == codes.INSUFFICIENT_QUALITY.value
    assert sum("judged: not gradable" in line for line in summary(ds)) == 2
    statements = read_report(ds).statements
    assert [statement.assessed for statement in statements] == [True, True]
    (heatmap,) = made
    plain = replace(images[0], despite=())
    assert heatmap.sop_instance_uid != reporter().heatmap_uid(plain, result.bundle), "its caption says so too"


def test_a_child_let_through_is_no_question_of_quality(tmp_path: Path) -> None:
    one = replace(image(1, "R", DR=0.9), despite=(Reason(ReasonCode.CHILD, "younger than 18 years"),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [one])
    ds = read(reporter().report(result, sources, heatmaps))
    assert value_of(groups(ds)[0], codes.QUALITY_ASSESSMENT) is None
    assert "judged: child - younger than 18 years (child)" in texts(ds)


def test_frames_of_two_eyes_are_two_eyes(tmp_path: Path) -> None:
    frames = [image(1, "R", frame=1, DR=0.9), replace(refused(1, "L", ReasonCode.UNGRADABLE), frame=2)]
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reporter(), frames, ImageLaterality="B")
    ds = read(reporter().report(result, sources, heatmaps))
    library = next(i for i in walk(ds) if named(i, codes.IMAGE_LIBRARY_GROUP)).ContentSequence
    assert len(library) == 1
    assert value_of(library[0], codes.IMAGE_LATERALITY) is None, "the object shows both"
    assert [statement.eye for statement in read_report(ds).statements] == ["OD", "OS"]
    assert read(made[0]).ImageLaterality == "R"


def test_context_is_listed_without_alarm(tmp_path: Path) -> None:
    joined = refused(3, "U", ReasonCode.CONTEXT, "a relationship: kept, not analysed")
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [image(1, "R", DR=0.9), image(2, "R"), joined])
    pair = (image(1).sop_instance_uid, image(2).sop_instance_uid)
    result = replace(result, stereo_pairs=(pair, pair, (pair[0], "1.2.3")))
    ds = read(reporter().report(result, sources, heatmaps))
    assert "Object 3 of the study: a relationship: kept, not analysed (context_object)." in texts(ds)
    assert texts(ds).count("OD images 1, 2 are a stereo pair; each was looked at by itself.") == 1
    assert not any("not assessed" in words for words in (*summary(ds), *map(str, identifiers(ds))))
    alone = read(reporter().report(study(joined), sources, {}))
    assert len(groups(alone)) == 1


def test_frames_are_told_apart(tmp_path: Path) -> None:
    reports = reporter()
    frames = [image(1, "R", frame=1, DR=0.9), image(1, "R", frame=2, DR=0.8)]
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, frames)
    ds = read(reports.report(result, sources, heatmaps))
    assert identifiers(ds) == [
        "OD Diabetic retinopathy, image 1 frame 1",
        "OD Diabetic retinopathy, image 1 frame 2",
    ]
    refs = [
        i.ReferencedSOPSequence[0]
        for g in groups(ds)
        for i in g.ContentSequence
        if named(i, codes.SOURCE_OF_MEASUREMENT)
    ]
    assert [ref.ReferencedFrameNumber for ref in refs] == [1, 2]
    assert [read(h).InstanceNumber for h in made] == [1001, 1002]


@pytest.mark.parametrize(
    ("code", "quality"),
    [(ReasonCode.UNREADABLE_PIXELS, codes.INSUFFICIENT_QUALITY), (ReasonCode.CHILD, codes.UNDETERMINED)],
)
def test_a_study_without_eligible_images_says_so(tmp_path: Path, code: ReasonCode, quality: Code) -> None:
    refused = replace(image(1), scores=(), reasons=(Reason(code, "this is why"),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [refused])
    ds = read(reporter().report(result, sources, heatmaps))
    assert value_of(groups(ds)[0], codes.QUALITY_ASSESSMENT) == quality.value
    assert "No photograph of this study was assessed" in texts(ds)
    assert "OD image 1: not assessed. Reason: this is why" in texts(ds)
    assert "No result does not mean normal" in texts(ds)


def test_an_unreadable_instance_is_named_in_words_and_not_referenced(tmp_path: Path) -> None:
    broken = replace(image(2), scores=(), reasons=(Reason(ReasonCode.UNREADABLE_DATASET, "its data set is broken"),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9), broken])
    sources[broken.sop_instance_uid].write_bytes(b"not DICOM")
    made = reporter().report(result, sources, heatmaps)
    assert broken.sop_instance_uid.encode() not in made.content
    assert "image 2: not assessed. Reason: its data set is broken" in texts(read(made))


def test_nothing_readable_is_bad_input(tmp_path: Path) -> None:
    broken = replace(image(1), scores=(), reasons=(Reason(ReasonCode.NOT_DICOM, "no"),))
    path = tmp_path / "broken"
    path.write_bytes(b"not DICOM")
    with pytest.raises(BadInput):
        reporter().report(study(broken), {broken.sop_instance_uid: path}, {})


def test_a_revision_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9)])
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3")
    ds = read(reporter().report(replace(result, revision=2, predecessor=earlier), sources, heatmaps))
    item = ds.PredecessorDocumentsSequence[0]
    assert item.StudyInstanceUID == STUDY
    assert item.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert "Revision 2: replaces" in texts(ds)


def test_untrained_stands_on_its_face(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, _ = mixed(tmp_path, reports, UNTRAINED)
    ds = read(reports.report(result, sources, heatmaps))
    first_text = next(i for i in ds.ContentSequence if i.ValueType == "TEXT" and i.RelationshipType == "CONTAINS")
    assert first_text.TextValue.startswith("UNTRAINED MODEL")
    assert "UNTRAINED" in ds.SeriesDescription
    assert all("UNTRAINED" in (name or "") for name in identifiers(ds))
    assert "UNTRAINED" in (value_of(ds, codes.DEVICE_OBSERVER_NAME) or "")
    trained = read(reports.report(*mixed(tmp_path, reports)[:3]))
    assert "UNTRAINED" not in texts(trained)


def test_a_research_bundle_says_so_first_and_qualifies_its_report_whatever_the_site_says(tmp_path: Path) -> None:
    reports = reporter(content_qualification="PRODUCT")
    ds = read(reports.report(*mixed(tmp_path, reports, RESEARCH)[:3]))
    first_text = next(i for i in ds.ContentSequence if i.ValueType == "TEXT" and i.RelationshipType == "CONTAINS")
    assert first_text.TextValue.startswith("RESEARCH BUNDLE")
    assert ds.ContentQualification == "RESEARCH"
    assert "For research use." in texts(ds)
    trained = read(reports.report(*mixed(tmp_path, reports)[:3]))
    assert trained.ContentQualification == "PRODUCT"
    assert "RESEARCH" not in texts(trained)


def test_patient_and_study_are_the_photographs(tmp_path: Path) -> None:
    path = photograph(
        tmp_path / "1.dcm", 1, AccessionNumber=None, IssuerOfPatientID="HOSPITAL", InstitutionName="Eye Clinic"
    )
    photograph(tmp_path / "2.dcm", 2, PatientBirthDate=None)
    one, two = image(1), image(2)
    sources = {one.sop_instance_uid: path, two.sop_instance_uid: tmp_path / "2.dcm"}
    ds = read(reporter().report(study(one, two), sources, {}))
    assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex) == ("Roe^Jane", "P-1", "19600130", "F")
    assert (ds.AccessionNumber, ds.StudyID, ds.StudyDescription) == ("A-7", "S1", "Screening")
    assert (ds.IssuerOfPatientID, ds.InstitutionName, ds.StudyInstanceUID) == ("HOSPITAL", "Eye Clinic", STUDY)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    missing=st.sets(
        st.sampled_from(
            (
                *header.REQUIRED,
                "StudyDescription",
                "AcquisitionDateTime",
                "ImageLaterality",
                "PatientOrientation",
                "Modality",
                "LossyImageCompression",
            )
        )
    )
)
def test_any_attribute_may_be_missing(tmp_path: Path, missing: set[str]) -> None:
    nothing = dict.fromkeys(missing)
    reports = reporter()
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, [image(1, DR=0.9)], **nothing)
    ds = read(reports.report(result, sources, heatmaps))
    for keyword in header.REQUIRED:
        assert keyword in ds
        assert not (keyword in missing and ds.get(keyword))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Łuczak^Žofia"),
        ("ISO_IR 100", "Müller^Jürgen"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东="),
    ],
)
def test_names_of_every_script_arrive_as_utf_8(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, charset: str | list[str], name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    reports = reporter()
    given_ = {"SpecificCharacterSet": charset, "PatientName": name}
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, [image(1, DR=0.9)], **given_)
    for thing in (reports.report(result, sources, heatmaps), *made):
        ds = read(thing)
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName).rstrip("=") == name.rstrip("=")
        assert name.rsplit("=", maxsplit=1)[-1].strip("=").encode() in thing.content
    assert name.split("^", maxsplit=1)[0] not in caplog.text


def test_values_that_no_reader_could_parse_stay_empty(tmp_path: Path) -> None:
    path = photograph(tmp_path / "1.dcm", 1)
    broken = path.read_bytes().replace(b"19600130", b"19601399").replace(b"CS\x02\x00F ", b"CS\x02\x00?!")
    path.write_bytes(broken)
    ds = read(reporter().report(study(image(1)), {image(1).sop_instance_uid: path}, {}))
    assert (ds.PatientBirthDate, ds.PatientSex) == ("", "")


@pytest.mark.parametrize("wrong", [b"US\x06\x00\x30\x00\x31\x00\x32\x00", b"IS\x02\x00xx"])
def test_a_malformed_size_costs_no_report(tmp_path: Path, wrong: bytes) -> None:
    path = photograph(tmp_path / "1.dcm", 1)
    rows = b"\x28\x00\x10\x00"
    path.write_bytes(path.read_bytes().replace(rows + b"US\x02\x00\x30\x00", rows + wrong))
    ds = read(reporter().report(study(image(1)), {image(1).sop_instance_uid: path}, {}))
    assert "Columns" in str(ds)


def test_photographs_of_two_patients_make_no_report(tmp_path: Path) -> None:
    one, two = image(1), image(2)
    sources = {
        one.sop_instance_uid: photograph(tmp_path / "1", 1),
        two.sop_instance_uid: photograph(tmp_path / "2", 2, PatientID="SECRET-2"),
    }
    with pytest.raises(InvalidReport, match="different patients") as caught:
        reporter().report(study(one, two), sources, {})
    assert "SECRET" not in str(caught.value)


def test_a_photograph_of_another_study_makes_no_report(tmp_path: Path) -> None:
    one = image(1)
    source = photograph(tmp_path / "1", 1, StudyInstanceUID="1.2.3")
    with pytest.raises(InvalidReport, match="another study"):
        reporter().report(study(one), {one.sop_instance_uid: source}, {})


def test_a_heatmap_that_was_not_handed_over_is_noticed(tmp_path: Path) -> None:
    result, sources, _, _ = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9)])
    with pytest.raises(InvalidReport, match="heatmap"):
        reporter().report(result, sources, {})


def test_the_same_work_gives_the_same_report_but_for_its_time(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, _ = mixed(tmp_path, reports)
    first = reports.report(result, sources, heatmaps)
    assert reports.report(result, sources, heatmaps).content == first.content
    later = Reports(ReportSettings(), lambda: NOW + timedelta(days=1, hours=3), "1.2.3")
    second = later.report(result, sources, heatmaps)
    assert second.sop_instance_uid == first.sop_instance_uid
    differing = {element.keyword for element in read(first) if element != read(second).get(element.tag)}
    assert differing == {
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContentDate",
        "ContentTime",
        "ContributingEquipmentSequence",
    }
    other = replace(result, key="another key")
    assert reports.report(other, sources, heatmaps).sop_instance_uid != first.sop_instance_uid


def test_times_are_in_the_zone_of_the_photographs(tmp_path: Path) -> None:
    source = photograph(tmp_path / "1", 1, TimezoneOffsetFromUTC="+0900")
    ds = read(reporter().report(study(image(1)), {image(1).sop_instance_uid: source}, {}))
    assert (ds.TimezoneOffsetFromUTC, ds.ContentDate, ds.ContentTime) == ("+0900", "20260304", "140607.000089")


@pytest.mark.parametrize(
    "change",
    [
        {"content_qualification": "PRODUCT"},
        {"include_below_threshold": True},
        {"heatmap_labels": 2},
        {"device_name": "CLINIC"},
        {"urgencies": (("DR", Urgency.URGENT),)},
    ],
)
def test_every_setting_changes_the_digest(change: dict[str, object]) -> None:
    assert ReportSettings(**change).digest != ReportSettings().digest  # type: ignore[arg-type]
    assert ReportSettings().digest == ReportSettings().digest


@pytest.mark.parametrize("wrong", [{"content_qualification": "CLINICAL"}, {"heatmap_labels": 0}, {"series_number": 1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReportSettings(**wrong)  # type: ignore[arg-type]


def test_our_own_objects_are_known_again_when_they_come_back(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, made = mixed(tmp_path, reports)
    for thing in (reports.report(result, sources, heatmaps), *made):
        path = tmp_path / "came back"
        path.write_bytes(thing.content)
        assert read_header(path).made_by_us
    assert not read_header(next(iter(sources.values()))).made_by_us


def test_a_report_warns_that_its_study_names_another_patient(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, (image(1, "R", DR=0.9),))
    assert wording.OTHER_PATIENT not in texts(read(reports.report(result, sources, heatmaps)))
    warned = read(reports.report(replace(result, patient_conflict=True), sources, heatmaps))
    assert read_report(warned).banner == (wording.OTHER_PATIENT,)
    words = " ".join(as_text(warned).split())
    assert words.index("received with other patient data") < words.index("Summary"), "before anything that is claimed"
    assert wording.OTHER_PATIENT.partition("(")[0].strip() in as_html(warned, {})


def test_an_image_whose_file_is_no_longer_kept_is_named_and_not_referenced(tmp_path: Path) -> None:
    reports = reporter()
    reason = Reason(ReasonCode.FILE_REMOVED, "analysed in an earlier revision; its file is no longer kept")
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, (image(1, "R", DR=0.9),))
    gone = replace(image(2, "U"), scores=(), reasons=(reason,))
    ds = read(reports.report(replace(result, images=(*result.images, gone)), sources, heatmaps))
    assert "no longer kept (file_removed)" in texts(ds)
    references = [
        str(i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for i in walk(ds) if "ReferencedSOPSequence" in i
    ]
    assert gone.sop_instance_uid not in references


def concluded(ds: Dataset) -> list[tuple[str, str | None, str | None, list[tuple[str, float]]]]:
    """(eye, urgency, normality, labels with their highest probability) of each conclusion."""
    return [
        (
            one.side,
            value_of(conclusion, codes.SUGGESTED_URGENCY),
            value_of(conclusion, codes.NORMALITY),
            [
                (item.name.meaning, number.number or 0.0)
                for item in one.item.children
                if item.name is not None
                for number in item.named(codes.PROBABILITY)
            ],
        )
        for conclusion in ds.ContentSequence
        if named(conclusion, codes.CONCLUSIONS)
        for one in [Statement(read_items(conclusion))]
    ]


def test_each_eye_is_concluded_of_in_code(tmp_path: Path) -> None:
    images = (
        image(1, "R", CATARACT=0.9, DR=0.61, Disease_Risk=0.8),
        image(2, "R", DR=0.87),
        image(3, "L", NORMAL=0.9),
        image(4, "L", NORMAL=0.8),
        refused(5, "U", ReasonCode.CHILD),
    )
    reports = reporter()
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, images)
    ds = read(reports.report(result, sources, heatmaps))
    cataract, retinopathy = ("Cataract", 90.0), ("Retinopathy due to diabetes mellitus", 87.0)
    assert concluded(ds) == [
        ("24028007", "SOON", codes.ABNORMAL.value, [retinopathy, cataract]),
        ("7771000", "NONE", codes.NORMAL.value, []),
        ("", codes.UNDETERMINED.value, codes.UNDETERMINED.value, []),
    ]
    assert value_of(ds, codes.SUGGESTED_URGENCY) == "SOON"
    assert read_report(ds).urgency == "Soon"


@pytest.mark.parametrize(
    ("images", "normality"),
    [
        ([image(1, NORMAL=0.9), image(2, NORMAL=0.9)], codes.NORMAL),
        ([image(1, NORMAL=0.9), image(2)], codes.UNDETERMINED),
        ([image(1, NORMAL=0.9), image(2, Disease_Risk=0.9)], codes.ABNORMAL),
        ([image(1, NORMAL=0.9, MYA=0.9)], codes.INDETERMINATE),
        ([image(1, NORMAL=0.9, MYA=0.9), image(2, Disease_Risk=0.9)], codes.INDETERMINATE),
        ([image(1, TSLN=0.9)], codes.UNDETERMINED),
        ([image(1)], codes.UNDETERMINED),
    ],
)
def test_an_eye_is_normal_only_where_all_of_its_images_are(
    tmp_path: Path, images: list[ImageResult], normality: Code
) -> None:
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), images)
    ((_, _, said, _),) = concluded(read(reporter().report(result, sources, heatmaps)))
    assert said == normality.value


def test_a_finding_without_the_flag_deserves_a_word_and_quality_is_told(tmp_path: Path) -> None:
    measured = replace(image(2, "L", DR=0.9, Disease_Risk=0.9), quality=(("brightness", 86.0),))
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reporter(), [image(1, "R", RD=0.9), measured])
    said = texts(read(reporter().report(result, sources, heatmaps)))
    assert "OD image 1: the model's composite abnormality flag is below its threshold (5.0 %" in said
    assert "OS image 2: the model's composite" not in said
    assert "OD image 1: image quality was not measured." in said
    assert "OS image 2: exposure, focus and field were checked by software and passed" in said


def test_an_assessed_photograph_that_was_not_handed_over_is_noticed() -> None:
    with pytest.raises(InvalidReport, match="photographs handed over"):
        reporter().report(study(image(1)), {}, {})
