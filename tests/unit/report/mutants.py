"""For every rule of ours, a valid object and the smallest change that breaks this rule and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from ocunet_pacs.domain.labels import LENS, Code
from ocunet_pacs.domain.result import OutputKind, Predecessor
from ocunet_pacs.domain.routes import JPEG
from ocunet_pacs.report import codes
from ocunet_pacs.report.content import groups, named, walk
from ocunet_pacs.report.grayscale_map import build_map
from ocunet_pacs.report.report_settings import ReportSettings
from tests.unit.report.made import (
    NOW,
    TRAINED,
    UNTRAINED,
    image,
    mixed,
    photograph,
    read,
    reporter,
    said,
    shown,
    with_heatmaps,
)

Change = Callable[[Dataset], object]


def originals(folder: Path) -> dict[str, tuple[OutputKind | None, Dataset]]:
    """The valid objects by name, with the kind that they are."""
    reports, below = reporter(), reporter(include_below_threshold=True)
    result, sources, heatmaps, _ = mixed(folder, reports)
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3")
    one = image(1, DR=0.9, EDN=0.8)
    source = photograph(folder / "one", 1)
    picture = (one, shown(np.full((48, 64, 3), 90, dtype=np.uint8)), said(one), TRAINED, source)
    more = {"settings": ReportSettings(), "now": NOW, "software_version": "1"}
    made = reports.report(result, sources, heatmaps)
    report = OutputKind.REPORT
    return {
        "report": (report, read(made)),
        "untrained": (report, read(reports.report(*mixed(folder, reports, UNTRAINED)[:3]))),
        "revision": (report, read(reports.report(replace(result, revision=2, predecessor=earlier), sources, heatmaps))),
        "below": (report, read(below.report(*with_heatmaps(folder, below, [one])[:3]))),
        "heatmap": (OutputKind.HEATMAP, read(reports.heatmap(*picture))),
        "jpeg": (OutputKind.HEATMAP, read(reports.heatmap(*picture, encoding=JPEG))),
        "map": (OutputKind.MAP, read(build_map(*picture, **more))),
        "pdf": (OutputKind.PDF, read(reports.pdf(made, {}))),
        "photograph": (None, dcmread(source)),
    }


def put(keyword: str, value: object) -> Change:
    return lambda ds: setattr(ds, keyword, value)


def without(keyword: str) -> Change:
    return lambda ds: delattr(ds, keyword)


def child(parent: Dataset, name: Code) -> Dataset:
    return next(item for item in parent.ContentSequence if named(item, name))


def drop(parent: Dataset, item: Dataset) -> None:
    parent.ContentSequence = Sequence([other for other in parent.ContentSequence if other is not item])


def no(name: Code) -> Change:
    """Drops the root's first child of that name."""
    return lambda ds: drop(ds, child(ds, name))


def in_group(change: Change, where: Callable[[Dataset], bool] = lambda group: True) -> Change:
    """Changes the first group for which `where` holds."""
    return lambda ds: change(next(group for group in groups(ds) if where(group)))


def without_child(name: Code) -> Change:
    return lambda group: drop(group, child(group, name))


def unassessed(group: Dataset) -> bool:
    return any(named(item, codes.QUALITY_ASSESSMENT) for item in group.ContentSequence)


def below_threshold(group: Dataset) -> bool:
    return any(named(i, codes.TRACKING_IDENTIFIER) and "Cataract" in i.TextValue for i in group.ContentSequence)


def item(value_type: str, name: Code, **values: object) -> Dataset:
    ds = Dataset()
    ds.RelationshipType = "CONTAINS"
    ds.ValueType = value_type
    ds.ConceptNameCodeSequence = [codes.concept(name)]
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def text_of(name: Code, words: str) -> Change:
    return lambda group: setattr(child(group, name), "TextValue", words)


def code_of(name: Code, value: Code) -> Change:
    return lambda group: setattr(child(group, name), "ConceptCodeSequence", [codes.concept(value)])


def class_of(uid: str) -> Change:
    def change(ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid

    return change


def evidence(change: Callable[[Dataset], object]) -> Change:
    """Changes the first series of the evidence, which is the photographs'."""
    return lambda ds: change(ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0])


def stranger(series: Dataset) -> None:
    reference = deepcopy(series.ReferencedSOPSequence[0])
    reference.ReferencedSOPInstanceUID = "1.2.3"
    series.ReferencedSOPSequence.append(reference)


def remarks(ds: Dataset) -> Iterator[Dataset]:
    yield from child(ds, codes.QUALITATIVE_EVALUATIONS).ContentSequence


def without_remark(words: str) -> Change:
    def change(ds: Dataset) -> None:
        box = child(ds, codes.QUALITATIVE_EVALUATIONS)
        for remark in list(remarks(ds)):
            if words in remark.TextValue:
                drop(box, remark)

    return change


def library(ds: Dataset) -> Dataset:
    return next(i for i in walk(ds) if named(i, codes.IMAGE_LIBRARY_GROUP))


def conclusion(ds: Dataset) -> Dataset:
    return child(ds, codes.CONCLUSIONS)


def other_uid_first(group: Dataset) -> None:
    uid = item("UIDREF", codes.DEVICE_OBSERVER_UID, UID="1.2.3", RelationshipType="HAS OBS CONTEXT")
    group.ContentSequence.insert(0, uid)


def same_tracking(ds: Dataset) -> None:
    first, second = groups(ds)[:2]
    child(second, codes.TRACKING_UNIQUE_IDENTIFIER).UID = child(first, codes.TRACKING_UNIQUE_IDENTIFIER).UID


def probability(words: str) -> Change:
    return lambda group: setattr(child(group, codes.PROBABILITY).MeasuredValueSequence[0], "NumericValue", words)


def other_photograph(group: Dataset) -> None:
    number = child(group, codes.PROBABILITY).ContentSequence[0]
    number.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = image(2).sop_instance_uid


def rename_finding(group: Dataset) -> None:
    unknown = Code("12345", "SCT", "No label of ours")
    claim = next(i for i in group.ContentSequence if named(i, codes.label_of("CATARACT").code))
    child(group, codes.FINDING).ConceptCodeSequence = [codes.concept(unknown)]
    claim.ConceptNameCodeSequence = [codes.concept(unknown)]


def flag_as_finding(group: Dataset) -> None:
    flag = codes.label_of("Disease_Risk").code
    group.ContentSequence.append(item("CODE", codes.FINDING, ConceptCodeSequence=[codes.concept(flag)]))
    group.ContentSequence.append(item("CODE", flag, ConceptCodeSequence=[codes.concept(codes.UNDETERMINED)]))


def explained_although_silent(ds: Dataset) -> None:
    silent = next(group for group in groups(ds) if unassessed(group))
    silent.ContentSequence.append(deepcopy(child(groups(ds)[0], codes.VISUAL_EXPLANATION)))


def one_more(parent: Callable[[Dataset], Dataset], made: Callable[[], Dataset]) -> Change:
    return lambda ds: parent(ds).ContentSequence.append(made())


def last_group_first(ds: Dataset) -> None:
    box = child(ds, codes.IMAGING_MEASUREMENTS)
    box.ContentSequence.insert(0, box.ContentSequence.pop())


def conclusion_last(ds: Dataset) -> None:
    moved = conclusion(ds)
    drop(ds, moved)
    ds.ContentSequence.append(moved)


def conclusion_twice(ds: Dataset) -> None:
    first = conclusion(ds)
    place = next(n for n, other in enumerate(ds.ContentSequence) if other is first)
    ds.ContentSequence.insert(place, deepcopy(first))


def all_conclusions_gone(ds: Dataset) -> None:
    ds.ContentSequence = Sequence([i for i in ds.ContentSequence if not named(i, codes.CONCLUSIONS)])


def empty_container() -> Dataset:
    return item("CONTAINER", codes.IMAGE_LIBRARY_GROUP, ContinuityOfContent="SEPARATE")


def second_measurements() -> Dataset:
    words = item("TEXT", codes.COMMENT, TextValue="more")
    return item("CONTAINER", codes.IMAGING_MEASUREMENTS, ContinuityOfContent="SEPARATE", ContentSequence=[words])


def odd_length(ds: Dataset) -> None:
    ds[Tag("SmallestImagePixelValue")] = RawDataElement(
        Tag("SmallestImagePixelValue"), "US", 3, b"\0\0\0", 0, is_implicit_VR=False, is_little_endian=True
    )


def no_uid(group: Dataset) -> None:
    child(group, codes.TRACKING_UNIQUE_IDENTIFIER).UID = "1.2.three"


def contribution(change: Change) -> Change:
    return lambda ds: change(ds.ContributingEquipmentSequence[0])


MUTANTS: dict[str, tuple[str, Change]] = {
    "G01": ("report", without("SeriesInstanceUID")),
    "G02": (
        "report",
        in_group(no_uid),
    ),
    "G03": ("report", lambda ds: setattr(ds.file_meta, "MediaStorageSOPInstanceUID", "1.2.3")),
    "G04": ("report", without("AccessionNumber")),
    "G05": ("report", without("Modality")),
    "G06": ("photograph", put("SpecificCharacterSet", "ISO_IR 999")),
    "G07": ("report", put("PatientName", "Roe\ufffd^Jane")),
    "G08": ("report", put("StudyDate", "20261399")),
    "G09": ("report", lambda ds: setattr(ds.SeriesDescriptionCodeSequence[0], "CodeMeaning", "")),
    "G10": ("photograph", odd_length),
    "C01": ("report", put("SpecificCharacterSet", "ISO_IR 100")),
    "C02": ("report", put("SeriesNumber", 3)),
    "C03": ("report", without("InstanceNumber")),
    "C04": ("report", put("SeriesDescription", "A report")),
    "C05": ("report", put("SeriesDescriptionCodeSequence", [])),
    "C06": ("report", without("ContentTime")),
    "C07": ("report", put("ContentQualification", "CLINICAL")),
    "C08": ("report", put("DeviceSerialNumber", "")),
    "C09": ("report", without("ContributingEquipmentSequence")),
    "C10": ("report", contribution(without("SoftwareVersions"))),
    "C11": ("report", contribution(put("DeviceUID", "1.2.3"))),
    "C12": ("report", without("CodingSchemeIdentificationSequence")),
    "C13": ("untrained", put("SeriesDescription", "OcuNet AI report")),
    "R01": ("report", class_of("1.2.840.10008.5.1.4.1.1.88.67")),
    "R02": ("report", put("Modality", "OT")),
    "R03": ("report", without("PerformedProcedureCodeSequence")),
    "R04": ("report", put("CompletionFlag", "PARTIAL")),
    "R05": ("report", put("VerificationFlag", "VERIFIED")),
    "R06": ("report", put("PreliminaryFlag", "FINAL")),
    "R07": ("report", without("ContentTemplateSequence")),
    "R08": ("report", evidence(lambda series: series.ReferencedSOPSequence.pop())),
    "R09": ("report", evidence(stranger)),
    "R10": ("report", evidence(lambda s: setattr(s.ReferencedSOPSequence[0], "ReferencedSOPClassUID", "1.2.3"))),
    "R11": ("report", evidence(lambda s: s.ReferencedSOPSequence.append(deepcopy(s.ReferencedSOPSequence[0])))),
    "R12": ("report", lambda ds: setattr(ds.CurrentRequestedProcedureEvidenceSequence[0], "StudyInstanceUID", "1.2")),
    "R13": ("report", lambda ds: evidence(put("SeriesInstanceUID", ds.SeriesInstanceUID))(ds)),
    "R14": ("revision", lambda ds: setattr(ds.PredecessorDocumentsSequence[0], "StudyInstanceUID", "1.2.3")),
    "T01": ("report", put("ConceptNameCodeSequence", [codes.concept(codes.DEVICE)])),
    "T02": ("report", lambda ds: setattr(library(ds), "ContinuityOfContent", "CONTINUOUS")),
    "T03": ("report", one_more(lambda ds: child(ds, codes.QUALITATIVE_EVALUATIONS), empty_container)),
    "T04": ("report", no(codes.LANGUAGE)),
    "T05": ("report", no(codes.DEVICE_OBSERVER_NAME)),
    "T06": ("report", lambda ds: setattr(child(ds, codes.DEVICE_OBSERVER_UID), "UID", "1.2.3")),
    "T07": ("report", no(codes.PROCEDURE_REPORTED)),
    "T08": ("report", no(codes.IMAGE_LIBRARY)),
    "T09": ("report", one_more(lambda ds: ds, second_measurements)),
    "T10": ("report", in_group(without_child(codes.TRACKING_IDENTIFIER))),
    "T11": ("report", same_tracking),
    "T12": ("report", in_group(other_uid_first)),
    "T13": ("report", in_group(lambda group: delattr(child(group, codes.PROBABILITY), "ContentSequence"))),
    "T14": ("report", in_group(lambda group: group.ContentSequence.append(item("SCOORD", codes.FINDING_SITE)))),
    "T15": ("report", in_group(lambda g: setattr(g.ConceptNameCodeSequence[0], "CodeMeaning", "A group"))),
    "T16": (
        "report",
        lambda ds: setattr(library(ds).ContentSequence[0].ReferencedSOPSequence[0], "ReferencedFrameNumber", -1),
    ),
    "S01": ("report", in_group(without_child(codes.ALGORITHM_NAME))),
    "S02": ("report", in_group(probability("187.5"))),
    "S03": ("report", in_group(probability("12.5"))),
    "S04": ("below", in_group(without_child(codes.label_of("CATARACT").code), below_threshold)),
    "S05": (
        "below",
        in_group(code_of(codes.label_of("CATARACT").code, Code("272519000", "SCT", "Absent")), below_threshold),
    ),
    "S06": ("below", in_group(rename_finding, below_threshold)),
    "S07": ("below", in_group(flag_as_finding, lambda g: any(named(i, codes.NORMALITY) for i in g.ContentSequence))),
    "S08": ("report", in_group(code_of(codes.FINDING_SITE, LENS))),
    "S09": ("report", in_group(text_of(codes.TRACKING_IDENTIFIER, "OD something"))),
    "S10": ("report", in_group(text_of(codes.TRACKING_IDENTIFIER, "OS Diabetic retinopathy, image 1"))),
    "S11": (
        "report",
        lambda ds: code_of(codes.IMAGE_LATERALITY, Code("7771000", "SCT", "Left"))(library(ds).ContentSequence[0]),
    ),
    "S12": ("report", in_group(other_photograph)),
    "S13": ("report", lambda ds: library(ds).ContentSequence.pop()),
    "S14": ("report", explained_although_silent),
    "S15": ("report", in_group(without_child(codes.COMMENT))),
    "S16": ("report", in_group(without_child(codes.COMMENT), unassessed)),
    "W01": ("report", no(codes.SUMMARY)),
    "W02": ("report", without_remark("not a diagnosis")),
    "W03": ("report", without_remark("bundle sha256")),
    "W04": ("untrained", no(codes.COMMENT)),
    "W05": ("report", without_remark("contradiction")),
    "W06": ("report", no(codes.SUGGESTED_URGENCY)),
    "W07": ("report", code_of(codes.SUGGESTED_URGENCY, Code("ROUTINE", "99OCUNET", "Routine"))),
    "W08": ("report", all_conclusions_gone),
    "W09": ("report", conclusion_twice),
    "W10": (
        "report",
        lambda ds: code_of(codes.SUGGESTED_URGENCY, Code("ROUTINE", "99OCUNET", "Routine"))(conclusion(ds)),
    ),
    "W11": ("report", conclusion_last),
    "W12": ("report", last_group_first),
    "P01": ("heatmap", put("ImageType", ["ORIGINAL", "PRIMARY"])),
    "P02": ("map", without("ConversionType")),
    "P03": ("heatmap", put("RecognizableVisualFeatures", "YES")),
    "P04": ("map", without("SourceImageSequence")),
    "P05": ("heatmap", without("DerivationDescription")),
    "P06": ("jpeg", put("LossyImageCompression", "00")),
    "P07": ("heatmap", put("PixelSpacing", [0.1, 0.1])),
    "P08": ("heatmap", put("ImageLaterality", "B")),
    "P09": ("map", without("PatientOrientation")),
    "P10": ("heatmap", put("ImageComments", "OD")),
    "H01": ("heatmap", class_of("1.2.840.10008.5.1.4.1.1.7.4")),
    "H02": ("jpeg", put("BurnedInAnnotation", "NO")),
    "H03": ("heatmap", put("BitsAllocated", 16)),
    "H04": ("jpeg", lambda ds: setattr(ds, "Rows", ds.Rows + 1)),
    "M01": ("map", class_of("1.2.840.10008.5.1.4.1.1.7.4")),
    "M02": ("map", put("BurnedInAnnotation", "YES")),
    "M03": ("map", put("PhotometricInterpretation", "MONOCHROME1")),
    "M04": ("map", put("RescaleSlope", 2)),
    "M05": ("map", put("FrameLabelVector", ["one", ""])),
    "M06": ("map", lambda ds: setattr(ds, "Rows", ds.Rows + 2)),
    "D01": ("pdf", class_of("1.2.840.10008.5.1.4.1.1.104.2")),
    "D02": ("pdf", put("Modality", "OT")),
    "D03": ("pdf", without("AcquisitionDateTime")),
    "D04": ("pdf", put("EncapsulatedDocumentLength", 17)),
    "D05": ("pdf", put("MIMETypeOfEncapsulatedDocument", "text/xml")),
    "D06": ("pdf", put("BurnedInAnnotation", "NO")),
    "D07": ("pdf", put("VerificationFlag", "VERIFIED")),
    "D08": ("pdf", put("ConceptNameCodeSequence", [])),
    "D09": ("pdf", lambda ds: setattr(ds, "SourceInstanceSequence", list(ds.SourceInstanceSequence)[1:])),
}
