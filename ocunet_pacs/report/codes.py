"""Every coded concept that our objects hold besides the labels' own, as one table (PS3.16).

The labels' codes live in `ocunet_pacs.domain.labels`. Meanings are the coding scheme's, because some readers compare
them. 99OCUNET is our private scheme; objects that use it identify it in Coding Scheme Identification Sequence.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from highdicom.sr import CodedConcept

from ocunet_pacs.domain.labels import BY_NAME, LABELS, PRIVATE_SCHEME, RETINA, SNOMED_CT, Code, Label, Urgency
from ocunet_pacs.domain.study import Laterality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

PRIVATE_SCHEME_NAME = "OcuNet private concepts"


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, SNOMED_CT, meaning)


# Document and observer (TID 1500, 1204, 1004)
IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
DIAGNOSTIC_IMAGING_REPORT = Code("18748-4", "LN", "Diagnostic Imaging Report")
TITLES: Mapping[str, Code] = MappingProxyType(
    {"measurement-report": IMAGING_MEASUREMENT_REPORT, "imaging-report": DIAGNOSTIC_IMAGING_REPORT}
)
"""Titles that a report can bear, by the word of `domain.routes.Form`; the content is the same.

IHE AI Results asks for the first. OHIF shows nothing of such a report that has no drawn regions, and the whole text of
one with the second, which is legal: TID 1500 names its titles as a baseline only.
"""
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_OBSERVER_UID = _dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME = _dcm("121013", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL_NAME = _dcm("121015", "Device Observer Model Name")
DEVICE_OBSERVER_SERIAL_NUMBER = _dcm("121016", "Device Observer Serial Number")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
CAMERA_FUNDOSCOPY = _sct("314971001", "Camera fundoscopy")
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")
SUMMARY = _dcm("121111", "Summary")
CONCLUSIONS = _dcm("121076", "Conclusions")
COMMENT = _dcm("121106", "Comment")

# Image library (TID 1600, 1602)
IMAGE_LIBRARY = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = _dcm("126200", "Image Library Group")
SOURCE = _sct("260753009", "Source")
MODALITY = _dcm("121139", "Modality")
IMAGE_LATERALITY = _dcm("111027", "Image Laterality")
ROWS = _dcm("110910", "Pixel Data Rows")
COLUMNS = _dcm("110911", "Pixel Data Columns")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
ACQUISITION_DATE = _dcm("126201", "Acquisition Date")
ACQUISITION_TIME = _dcm("126202", "Acquisition Time")

# Measurement groups (TID 1501, 300, 4019)
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = _dcm("112040", "Tracking Unique Identifier")
FINDING = _dcm("121071", "Finding")
FINDING_SITE = _sct("363698007", "Finding Site")
LATERALITY = _sct("272741003", "Laterality")
EYE = _sct("81745001", "Eye")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_MANUFACTURER = _dcm("122405", "Algorithm Manufacturer")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
PROBABILITY = _dcm("122157", "Probability")
PERCENT = Code("%", "UCUM", "%")
DERIVATION = _dcm("121401", "Derivation")
MAXIMUM = _sct("56851009", "Maximum")
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")
PRESENT = _sct("52101004", "Present")
INDETERMINATE = _sct("82334004", "Indeterminate")
UNDETERMINED = _sct("373068000", "Undetermined")
NORMALITY = _dcm("121402", "Normality")
NORMAL = _sct("17621005", "Normal")
ABNORMAL = _sct("263654008", "Abnormal")
QUALITY_ASSESSMENT = _dcm("111050", "Quality Assessment")
INSUFFICIENT_QUALITY = _dcm("110531", "Insufficient quality for interpretation")
SUGGESTED_URGENCY = Code("URGENCY", PRIVATE_SCHEME, "Suggested urgency of review")

# Heatmaps
VISUAL_EXPLANATION = _dcm("130401", "Visual explanation")
CLASS_ACTIVATION = _dcm("130403", "Gradient-weighted class activation")
SPATIAL_RESAMPLING = _dcm("113085", "Spatial resampling")
LOSSY_COMPRESSION = _dcm("113040", "Lossy Compression")
PROCESSING_SOURCE = _dcm("121322", "Source image for image processing operation")

LATERALITY_CODES: Mapping[Laterality, Code] = MappingProxyType(
    {Laterality.RIGHT: _sct("24028007", "Right"), Laterality.LEFT: _sct("7771000", "Left")}
)
"""Without a row for an unknown eye: nothing is said then."""

MODALITIES: Mapping[str, Code] = MappingProxyType(
    {
        "OP": _dcm("OP", "Ophthalmic Photography"),
        "OPT": _dcm("OPT", "Ophthalmic Tomography"),
        "OPM": _dcm("OPM", "Ophthalmic Mapping"),
        "OAM": _dcm("OAM", "Ophthalmic Axial Measurements"),
        "XC": _dcm("XC", "External-camera Photography"),
        "OT": _dcm("OT", "Other Modality"),
        "SC": _dcm("SC", "Secondary Capture"),
    }
)
"""CID 29, as far as ophthalmic studies hold it."""

URGENCY_CODES: Mapping[Urgency, Code] = MappingProxyType(
    {
        Urgency.NONE: Code("NONE", PRIVATE_SCHEME, "None suggested"),
        Urgency.REPEAT_IMAGE: Code("REPEAT_IMAGE", PRIVATE_SCHEME, "Repeat the photograph"),
        Urgency.ROUTINE: Code("ROUTINE", PRIVATE_SCHEME, "Routine"),
        Urgency.SOON: Code("SOON", PRIVATE_SCHEME, "Soon"),
        Urgency.URGENT: Code("URGENT", PRIVATE_SCHEME, "Urgent"),
        Urgency.EMERGENCY: Code("EMERGENCY", PRIVATE_SCHEME, "Emergency"),
    }
)


def concept(code: Code) -> CodedConcept:
    """The code as an item of a code sequence (PS3.3 section 8.8)."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def same_concept(item: Dataset, code: Code) -> bool:
    """Whether a code sequence's item is this concept; meanings do not count."""
    return bool(item.get("CodeValue") == code.value and item.get("CodingSchemeDesignator") == code.scheme)


def label_of(name: str) -> Label:
    """The label's row. A bundle's label that we do not know is a private finding of the retina under its own name."""
    known = BY_NAME.get(name)
    return known or Label(name, name, Code(name[:16], PRIVATE_SCHEME, name[:64]), RETINA, "finding", Urgency.NONE)


@cache
def meanings() -> Mapping[tuple[str, str], str]:
    """The meaning of every code that our reports hold, by scheme and value."""
    tables = (LATERALITY_CODES, MODALITIES, URGENCY_CODES)
    found = [value for value in globals().values() if isinstance(value, Code)]
    found += [code for table in tables for code in table.values()]
    found += [code for label in LABELS for code in (label.code, label.site)]
    return MappingProxyType({(code.scheme, code.value): code.meaning for code in found})


@cache
def label_by_code() -> Mapping[tuple[str, str], Label]:
    """The labels by scheme and value of their codes."""
    return MappingProxyType({(label.code.scheme, label.code.value): label for label in LABELS})
