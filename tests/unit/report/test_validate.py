from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.report import codes
from ocunet_pacs.report.picture_rules import check_heatmap
from ocunet_pacs.report.validate import check_report, groups, named, walk
from tests.unit.report.made import TRAINED, UNTRAINED, image, mixed, photograph, read, reporter, said, shown


def _child(parent: Dataset, name: codes.Code) -> Dataset:
    return next(item for item in parent.ContentSequence if named(item, name))


def _same_tracking(ds: Dataset) -> None:
    first, second = groups(ds)[:2]
    _child(second, codes.TRACKING_UNIQUE_IDENTIFIER).UID = _child(first, codes.TRACKING_UNIQUE_IDENTIFIER).UID


def _other_uid_first(ds: Dataset) -> None:
    group = groups(ds)[0]
    stranger = Dataset()
    stranger.ValueType = "UIDREF"
    stranger.RelationshipType = "HAS OBS CONTEXT"
    stranger.ConceptNameCodeSequence = [codes.concept(codes.DEVICE_OBSERVER_UID)]
    stranger.UID = "1.2.3"
    group.ContentSequence.insert(0, stranger)


def _flag_as_finding(ds: Dataset) -> None:
    _child(groups(ds)[0], codes.FINDING).ConceptCodeSequence = [codes.concept(codes.label_of("Disease_Risk").code)]


def _out_of_range(ds: Dataset) -> None:
    _child(groups(ds)[0], codes.PROBABILITY).MeasuredValueSequence[0].NumericValue = "187.5"


def _continuous(ds: Dataset) -> None:
    next(i for i in walk(ds) if named(i, codes.IMAGE_LIBRARY_GROUP)).ContinuityOfContent = "CONTINUOUS"


REPORT_FAULTS: dict[str, Callable[[Dataset], object]] = {
    "type 2 attributes": lambda ds: delattr(ds, "AccessionNumber"),
    "UTF-8": lambda ds: setattr(ds, "SpecificCharacterSet", "ISO_IR 100"),
    "at least 900": lambda ds: setattr(ds, "SeriesNumber", 3),
    "description and its code": lambda ds: delattr(ds, "SeriesDescriptionCodeSequence"),
    "content is qualified": lambda ds: delattr(ds, "ContentQualification"),
    "equipment is named": lambda ds: setattr(ds, "DeviceSerialNumber", ""),
    "contributing equipment": lambda ds: delattr(ds, "ContributingEquipmentSequence"),
    "type 2 sequences": lambda ds: delattr(ds, "PerformedProcedureCodeSequence"),
    "complete, unverified": lambda ds: setattr(ds, "CompletionFlag", "PARTIAL"),
    "DCMR 1500": lambda ds: delattr(ds, "ContentTemplateSequence"),
    "SEPARATE": _continuous,
    "image library": lambda ds: ds.ContentSequence.remove(_child(ds, codes.IMAGE_LIBRARY)),
    "own tracking identifier": _same_tracking,
    "first UID of a group": _other_uid_first,
    "everything referenced is evidence": lambda ds: ds.CurrentRequestedProcedureEvidenceSequence[
        0
    ].ReferencedSeriesSequence.pop(),
    "of the report's study": lambda ds: setattr(
        ds.CurrentRequestedProcedureEvidenceSequence[0], "StudyInstanceUID", "1.2"
    ),
    "percentages": _out_of_range,
    "no findings": _flag_as_finding,
    "private codes": lambda ds: delattr(ds, "CodingSchemeIdentificationSequence"),
    "summary and disclaimer": lambda ds: ds.ContentSequence.remove(_child(ds, codes.QUALITATIVE_EVALUATIONS)),
}


@pytest.mark.parametrize("rule", REPORT_FAULTS)
def test_a_report_that_breaks_a_rule_does_not_leave(tmp_path: Path, rule: str) -> None:
    reports = reporter()
    ds = read(reports.report(*mixed(tmp_path, reports)[:3]))
    check_report(ds)
    REPORT_FAULTS[rule](ds)
    with pytest.raises(InvalidReport, match=rule):
        check_report(ds)


def test_untrained_weights_without_their_word_do_not_leave(tmp_path: Path) -> None:
    reports = reporter()
    ds = read(reports.report(*mixed(tmp_path, reports, UNTRAINED)[:3]))
    check_report(ds)
    ds.ContentSequence.remove(_child(ds, codes.COMMENT))
    with pytest.raises(InvalidReport, match="untrained weights"):
        check_report(ds)


HEATMAP_FAULTS: dict[str, Callable[[Dataset], object]] = {
    "derived and secondary": lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY"]),
    "WSD": lambda ds: delattr(ds, "ConversionType"),
    "burned in": lambda ds: setattr(ds, "BurnedInAnnotation", "NO"),
    "recognizable": lambda ds: setattr(ds, "RecognizableVisualFeatures", "YES"),
    "source image": lambda ds: delattr(ds, "SourceImageSequence"),
    "derivation": lambda ds: delattr(ds, "DerivationDescription"),
    "loss is stated": lambda ds: delattr(ds, "LossyImageCompression"),
    "spacing": lambda ds: setattr(ds, "PixelSpacing", [0.1, 0.1]),
    "eye is R or L": lambda ds: setattr(ds, "ImageLaterality", "B"),
    "patient orientation": lambda ds: delattr(ds, "PatientOrientation"),
    "8 bit RGB": lambda ds: setattr(ds, "PhotometricInterpretation", "YBR_FULL"),
    "picture's size": lambda ds: setattr(ds, "Rows", ds.Rows + 1),
}


@pytest.mark.parametrize("rule", HEATMAP_FAULTS)
def test_a_heatmap_that_breaks_a_rule_does_not_leave(tmp_path: Path, rule: str) -> None:
    one = image(1, DR=0.9)
    pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
    ds = read(reporter().heatmap(one, shown(pixels), said(one), TRAINED, photograph(tmp_path / "1", 1)))
    check_heatmap(ds)
    HEATMAP_FAULTS[rule](ds)
    with pytest.raises(InvalidReport, match=rule):
        check_heatmap(ds)
