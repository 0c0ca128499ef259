"""Our own checks on every object before it leaves, as rows of (rule, check).

They hold what validators and readers were seen to reject or to misread, and what we promise beyond the standard.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.labels import PRIVATE_SCHEME
from ocunet_pacs.report import codes
from ocunet_pacs.report.codes import same_concept
from ocunet_pacs.report.report_settings import SR_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.labels import Code

_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
)
_SR_TYPE_2 = ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence")
_CODE_SEQUENCES = ("ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold; `says` is what InvalidReport names."""

    says: str
    holds: Callable[[Dataset], bool]


def walk(item: Dataset) -> Iterator[Dataset]:
    """The content item and everything beneath it, in document order."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from walk(child)


def named(item: Dataset, code: Code) -> bool:
    """Whether this content item's concept name is `code`."""
    names = item.get("ConceptNameCodeSequence")
    return bool(names) and same_concept(names[0], code)


def groups(ds: Dataset) -> list[Dataset]:
    """The measurement groups of a report."""
    return [item for item in walk(ds) if named(item, codes.MEASUREMENT_GROUP)]


def _tracking_is_unique(ds: Dataset) -> bool:
    for code, keyword in ((codes.TRACKING_IDENTIFIER, "TextValue"), (codes.TRACKING_UNIQUE_IDENTIFIER, "UID")):
        values = [[str(i.get(keyword)) for i in g.ContentSequence if named(i, code)] for g in groups(ds)]
        if any(len(value) != 1 for value in values) or max(Counter(v[0] for v in values).values(), default=1) > 1:
            return False
    return True


def _first_uid_is_tracking(ds: Dataset) -> bool:
    firsts = [next((i for i in g.ContentSequence if i.ValueType == "UIDREF"), None) for g in groups(ds)]
    return all(first is not None and named(first, codes.TRACKING_UNIQUE_IDENTIFIER) for first in firsts)


def _referenced(ds: Dataset) -> set[str]:
    items = [item for item in walk(ds) if item.get("ValueType") in {"IMAGE", "COMPOSITE"}]
    return {str(ref.ReferencedSOPInstanceUID) for item in items for ref in item.ReferencedSOPSequence}


def _evidence(ds: Dataset) -> set[str]:
    return {
        str(ref.ReferencedSOPInstanceUID)
        for study in ds.get("CurrentRequestedProcedureEvidenceSequence", ())
        for series in study.ReferencedSeriesSequence
        for ref in series.ReferencedSOPSequence
    }


def _evidence_study(ds: Dataset) -> bool:
    items = ds.get("CurrentRequestedProcedureEvidenceSequence", ())
    return [str(item.StudyInstanceUID) for item in items] == [str(ds.StudyInstanceUID)]


def _template(ds: Dataset) -> bool:
    items = ds.get("ContentTemplateSequence", ())
    return [(i.MappingResource, i.TemplateIdentifier) for i in items] == [("DCMR", "1500")]


def _probabilities(ds: Dataset) -> bool:
    items = [i for i in walk(ds) if named(i, codes.PROBABILITY)]
    return all(0 <= float(i.MeasuredValueSequence[0].NumericValue) <= 100 for i in items)


def _no_flag_as_finding(ds: Dataset) -> bool:
    flags = [codes.label_of(name).code for name in ("Disease_Risk", "NORMAL")]
    findings = [i.ConceptCodeSequence[0] for i in walk(ds) if named(i, codes.FINDING)]
    return not any(same_concept(found, flag) for found in findings for flag in flags)


def _has_texts(ds: Dataset) -> bool:
    return any(named(i, codes.SUMMARY) for i in ds.ContentSequence) and any(
        "not a diagnosis" in str(i.get("TextValue", "")) for i in walk(ds)
    )


def _short_meanings(ds: Dataset) -> bool:
    found = [c for item in walk(ds) for keyword in _CODE_SEQUENCES for c in item.get(keyword, ())]
    return all(c.CodeMeaning and len(c.CodeMeaning) <= 64 and len(c.get("CodeValue", "")) <= 16 for c in found)


def _untrained_is_said(ds: Dataset) -> bool:
    if "UNTRAINED WEIGHTS" not in ds.SoftwareVersions:
        return True
    return "UNTRAINED" in ds.SeriesDescription and (
        ds.Modality != "SR"
        or "UNTRAINED"
        in str(next(i for i in ds.ContentSequence if "TextValue" in i and i.RelationshipType == "CONTAINS").TextValue)
    )


def _private_codes_identified(ds: Dataset) -> bool:
    schemes = [item.CodingSchemeDesignator for item in ds.get("CodingSchemeIdentificationSequence", ())]
    return PRIVATE_SCHEME in schemes


def purposes(ds: Dataset, keyword: str) -> list[Dataset]:
    """Purpose of Reference of each item of the sequence `keyword`."""
    return [item.PurposeOfReferenceCodeSequence[0] for item in ds.get(keyword, ())]


COMMON = (
    Rule("type 2 attributes are present", lambda ds: all(keyword in ds for keyword in _TYPE_2)),
    Rule("text is UTF-8", lambda ds: ds.get("SpecificCharacterSet") == "ISO_IR 192"),
    Rule("the study is named", lambda ds: bool(ds.get("StudyInstanceUID") and ds.get("SeriesInstanceUID"))),
    Rule("the series number is at least 900", lambda ds: int(ds.SeriesNumber) >= 900),
    Rule(
        "the series has a description and its code",
        lambda ds: bool(ds.get("SeriesDescription")) and bool(ds.get("SeriesDescriptionCodeSequence")),
    ),
    Rule("content date and time are set", lambda ds: bool(ds.get("ContentDate") and ds.get("ContentTime"))),
    Rule("the content is qualified", lambda ds: ds.get("ContentQualification") in {"PRODUCT", "RESEARCH", "SERVICE"}),
    Rule(
        "the equipment is named",
        lambda ds: all(
            ds.get(k) for k in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
        ),
    ),
    Rule(
        "we are named as contributing equipment",
        lambda ds: any(
            same_concept(p, codes.PROCESSING_EQUIPMENT) for p in purposes(ds, "ContributingEquipmentSequence")
        ),
    ),
    Rule("untrained weights are called so", _untrained_is_said),
)
REPORT = (
    Rule("the SOP class is a structured report's", lambda ds: ds.SOPClassUID in SR_CLASSES.values()),
    Rule("type 2 sequences are present", lambda ds: all(keyword in ds for keyword in _SR_TYPE_2)),
    Rule(
        "the flags are complete, unverified, preliminary",
        lambda ds: (
            (ds.get("CompletionFlag"), ds.get("VerificationFlag"), ds.get("PreliminaryFlag"))
            == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
        ),
    ),
    Rule("the root is an imaging measurement report", lambda ds: named(ds, codes.IMAGING_MEASUREMENT_REPORT)),
    Rule("the template is DCMR 1500", _template),
    Rule(
        "every container is SEPARATE",
        lambda ds: all(
            i.get("ContinuityOfContent") == "SEPARATE" for i in walk(ds) if i.get("ValueType") == "CONTAINER"
        ),
    ),
    Rule(
        "no container is empty",
        lambda ds: all(i.get("ContentSequence") for i in walk(ds) if i.get("ValueType") == "CONTAINER"),
    ),
    Rule(
        "image library, group and measurements are there",
        lambda ds: all(
            any(named(i, c) for i in walk(ds))
            for c in (
                codes.IMAGE_LIBRARY,
                codes.IMAGE_LIBRARY_GROUP,
                codes.IMAGING_MEASUREMENTS,
                codes.MEASUREMENT_GROUP,
            )
        ),
    ),
    Rule("every group has its own tracking identifier and UID", _tracking_is_unique),
    Rule("the first UID of a group is its tracking UID", _first_uid_is_tracking),
    Rule("everything referenced is evidence", lambda ds: _referenced(ds) <= _evidence(ds)),
    Rule("the evidence is of the report's study", _evidence_study),
    Rule("probabilities are percentages", _probabilities),
    Rule("no coordinates", lambda ds: not any(i.get("ValueType") in {"SCOORD", "SCOORD3D"} for i in walk(ds))),
    Rule("composite flag and normal class are no findings", _no_flag_as_finding),
    Rule("code values and meanings fit their VR", _short_meanings),
    Rule("private codes are identified", _private_codes_identified),
    Rule("summary and disclaimer are there", _has_texts),
)


def check_report(ds: Dataset) -> None:
    """InvalidReport naming the first rule that the report breaks."""
    check(ds, COMMON + REPORT)


def check(ds: Dataset, rules: tuple[Rule, ...]) -> None:
    """InvalidReport naming the first of the rules that the object breaks."""
    for rule in rules:
        try:
            holds = rule.holds(ds)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, StopIteration):
            holds = False  # an attribute that the rule reads is missing or malformed
        if not holds:
            raise InvalidReport(f"an object that we made breaks the rule: {rule.says}")
