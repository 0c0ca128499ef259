"""Rules for a report's data set and the build of its tree; `rules_statements` holds those for what it says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ocunet_pacs.report import codes
from ocunet_pacs.report.items import same
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.rules import Rule

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.report.items import Item
    from ocunet_pacs.report.rules import Object
    from ocunet_pacs.report.said import Said

_TYPE_2 = ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence")
_VALUE_TYPES = frozenset({"CODE", "COMPOSITE", "CONTAINER", "DATE", "IMAGE", "NUM", "TEXT", "TIME", "UIDREF"})
_OBSERVER = (
    codes.DEVICE_OBSERVER_NAME,
    codes.DEVICE_OBSERVER_MANUFACTURER,
    codes.DEVICE_OBSERVER_MODEL_NAME,
    codes.DEVICE_OBSERVER_SERIAL_NUMBER,
)


def _referenced(said: Said) -> list[tuple[str, str]]:
    """(SOP class, SOP instance) of everything that the tree refers to."""
    return [(ref.sop_class, ref.sop_instance) for item in said.everything if (ref := item.reference) is not None]


def _listed(ds: Dataset, keyword: str) -> list[tuple[str, str, str, str]]:
    """(study, series, SOP class, SOP instance) of a sequence of hierarchical references; empty where it is absent."""
    return [
        (
            str(study.StudyInstanceUID),
            str(series.SeriesInstanceUID),
            str(ref.ReferencedSOPClassUID),
            str(ref.ReferencedSOPInstanceUID),
        )
        for study in ds.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for ref in series.ReferencedSOPSequence
    ]


def _evidence(ds: Dataset) -> list[tuple[str, str, str, str]]:
    return _listed(ds, "CurrentRequestedProcedureEvidenceSequence")


def _earlier(ds: Dataset) -> list[tuple[str, str, str, str]]:
    return _listed(ds, "PredecessorDocumentsSequence")


def _all_referenced_is_listed(read: Object) -> bool:
    return {uid for _, uid in _referenced(read.said)} <= {uid for _, _, _, uid in _evidence(read.ds)}


def _all_listed_is_referenced(read: Object) -> bool:
    return {uid for _, _, _, uid in _evidence(read.ds)} <= {uid for _, uid in _referenced(read.said)}


def _classes_agree(read: Object) -> bool:
    listed = {uid: sop_class for _, _, sop_class, uid in _evidence(read.ds)}
    return all(listed.get(uid, sop_class) == sop_class for sop_class, uid in _referenced(read.said))


def _evidence_is_listed_once(ds: Dataset) -> bool:
    series = [
        str(s.SeriesInstanceUID)
        for study in ds.get("CurrentRequestedProcedureEvidenceSequence", ())
        for s in study.ReferencedSeriesSequence
    ]
    return _once(series) and _once([uid for _, _, _, uid in _evidence(ds)])


def _once(things: list[str]) -> bool:
    return max(Counter(things).values(), default=1) == 1


def _series_of_its_own(ds: Dataset) -> bool:
    return ds.get("SeriesInstanceUID") not in {series for _, series, _, _ in (*_evidence(ds), *_earlier(ds))}


def _predecessor(ds: Dataset) -> bool:
    if "PredecessorDocumentsSequence" not in ds:
        return True
    earlier = _earlier(ds)
    return (
        [study for study, _, _, _ in earlier] == [str(ds.StudyInstanceUID)]
        and earlier[0][2] in SR_CLASSES.values()
        and earlier[0][3] != str(ds.SOPInstanceUID)
    )


def _template(ds: Dataset) -> bool:
    items = ds.get("ContentTemplateSequence", ())
    return [(i.MappingResource, i.TemplateIdentifier) for i in items] == [("DCMR", "1500")]


def _containers(said: Said) -> list[Item]:
    return [item for item in said.everything if item.value_type == "CONTAINER"]


def _observer(said: Said) -> bool:
    return (
        same(said.root.value(codes.OBSERVER_TYPE), codes.DEVICE)
        and all(any(said.root.texts(name)) for name in _OBSERVER)
        and len(said.root.named(codes.DEVICE_OBSERVER_UID)) == 1
    )


def _observer_is_the_device(read: Object) -> bool:
    device = read.ds.get("DeviceUID")
    return all(device in {None, item.uid} for item in read.said.root.named(codes.DEVICE_OBSERVER_UID))


def _one_path(said: Said, outer: Code, inner: Code) -> bool:
    found = said.root.named(outer)
    return len(found) == 1 and bool(found[0].named(inner))


def _each_is_tracked(said: Said) -> bool:
    return all(
        [bool(i.text) for i in group.item.named(codes.TRACKING_IDENTIFIER)] == [True]
        and [bool(i.uid) for i in group.item.named(codes.TRACKING_UNIQUE_IDENTIFIER)] == [True]
        for group in said.groups
    )


def _tracking_is_unique(said: Said) -> bool:
    identifiers = [i.text for group in said.groups for i in group.item.named(codes.TRACKING_IDENTIFIER)]
    return _once(identifiers) and _once(
        [i.uid for group in said.groups for i in group.item.named(codes.TRACKING_UNIQUE_IDENTIFIER)]
    )


def _first_uid_is_tracking(said: Said) -> bool:
    firsts = [next((i for i in group.item.children if i.value_type == "UIDREF"), None) for group in said.groups]
    return all(first is None or same(first.name, codes.TRACKING_UNIQUE_IDENTIFIER) for first in firsts)


def _numbers_rest_on_images(said: Said) -> bool:
    return all(
        any(child.value_type == "IMAGE" and child.relation == "INFERRED FROM" for child in number.children)
        for number in said.numbers
    )


def _meanings(said: Said) -> bool:
    known = codes.meanings()
    found = [code for item in said.everything for code in (item.name, item.code, item.unit) if code is not None]
    return all(known.get((code.scheme, code.value), code.meaning) == code.meaning for code in found)


DATA_SET = (
    Rule(
        "R01",
        "the SOP class is a structured report's",
        "PS3.3 A.35.1 to A.35.13",
        lambda ds: ds.SOPClassUID in SR_CLASSES.values(),
    ),
    Rule("R02", "the modality is SR", "PS3.3 C.17.1", lambda ds: ds.get("Modality", "SR") == "SR"),
    Rule("R03", "type 2 sequences are present", "PS3.3 C.17.1, C.17.2", lambda ds: all(k in ds for k in _TYPE_2)),
    Rule(
        "R04",
        "the report is complete",
        "IHE AI Results; highdicom's default is not",
        lambda ds: ds.CompletionFlag == "COMPLETE",
    ),
    Rule(
        "R05",
        "the report is unverified and names no verifier",
        "PS3.3 C.17.2: no person has looked",
        lambda ds: ds.VerificationFlag == "UNVERIFIED" and "VerifyingObserverSequence" not in ds,
    ),
    Rule("R06", "the report is preliminary", "PS3.3 C.17.2", lambda ds: ds.PreliminaryFlag == "PRELIMINARY"),
    Rule("R07", "the template is DCMR 1500", "PS3.16 TID 1500; cornerstone and dcmjs look for it", _template),
    Rule(
        "R08",
        "everything referenced is evidence",
        "PS3.3 C.17.2.3; archives refuse what is not",
        true_of=_all_referenced_is_listed,
    ),
    Rule("R09", "all evidence is referenced", "PS3.3 C.17.2.3", true_of=_all_listed_is_referenced),
    Rule("R10", "evidence and tree name the same SOP classes", "PS3.3 C.17.2.1", true_of=_classes_agree),
    Rule("R11", "every series and instance is evidence once", "PS3.3 C.17.2.1", _evidence_is_listed_once),
    Rule(
        "R12",
        "the evidence is of the report's own study",
        "OHIF looks nowhere else",
        lambda ds: (
            [str(item.StudyInstanceUID) for item in ds.CurrentRequestedProcedureEvidenceSequence]
            == [str(ds.StudyInstanceUID)]
        ),
    ),
    Rule(
        "R13", "the report has a series of its own", "OHIF shows the newest report of a series only", _series_of_its_own
    ),
    Rule("R14", "a predecessor is one other report of the study", "PS3.3 C.17.2.2", _predecessor),
)
TREE = (
    Rule(
        "T01",
        "the root is an imaging measurement report, or bears the title for OHIF",
        "PS3.16 TID 1500; OHIF",
        true_of=lambda read: (
            read.said.root.value_type == "CONTAINER"
            and any(same(read.said.root.name, title) for title in codes.TITLES.values())
        ),
    ),
    Rule(
        "T02",
        "every container is SEPARATE",
        "Weasis and dsr2html hide names in a CONTINUOUS one, which is highdicom's default",
        true_of=lambda read: all(item.continuity == "SEPARATE" for item in _containers(read.said)),
    ),
    Rule(
        "T03",
        "no container is empty",
        "OHIF",
        true_of=lambda read: all(item.children for item in _containers(read.said)),
    ),
    Rule(
        "T04",
        "the language is stated",
        "PS3.16 TID 1204",
        true_of=lambda read: same(read.said.root.value(codes.LANGUAGE), codes.ENGLISH),
    ),
    Rule(
        "T05",
        "the observer is a device, named in full",
        "PS3.16 TID 1004",
        true_of=lambda read: _observer(read.said),
    ),
    Rule(
        "T06", "the observer is the device that the data set names", "PS3.16 TID 1004", true_of=_observer_is_the_device
    ),
    Rule(
        "T07",
        "the procedure reported is the photography",
        "PS3.16 TID 1500: not the analysis",
        true_of=lambda read: same(read.said.root.value(codes.PROCEDURE_REPORTED), codes.CAMERA_FUNDOSCOPY),
    ),
    Rule(
        "T08",
        "there is one image library, with a group",
        "PS3.16 TID 1600; OHIF",
        true_of=lambda read: _one_path(read.said, codes.IMAGE_LIBRARY, codes.IMAGE_LIBRARY_GROUP),
    ),
    Rule(
        "T09",
        "there are imaging measurements, with a group",
        "PS3.16 TID 1500; OHIF",
        true_of=lambda read: _one_path(read.said, codes.IMAGING_MEASUREMENTS, codes.MEASUREMENT_GROUP),
    ),
    Rule(
        "T10",
        "every group has one tracking identifier and one tracking UID",
        "OHIF",
        true_of=lambda read: _each_is_tracked(read.said),
    ),
    Rule(
        "T11",
        "no two groups share a tracking identifier or UID",
        "OHIF merges them",
        true_of=lambda read: _tracking_is_unique(read.said),
    ),
    Rule(
        "T12",
        "the first UID of a group is its tracking UID",
        "OHIF takes the first",
        true_of=lambda read: _first_uid_is_tracking(read.said),
    ),
    Rule(
        "T13",
        "every probability is inferred from an image",
        "older OHIF fails on a number with nothing beneath it",
        true_of=lambda read: _numbers_rest_on_images(read.said),
    ),
    Rule(
        "T14",
        "there are no coordinates nor other unexpected value types",
        "there is no frame of reference; Enhanced SR has no SCOORD3D",
        true_of=lambda read: all(item.value_type in _VALUE_TYPES for item in read.said.everything),
    ),
    Rule(
        "T15",
        "codes have the meaning of their scheme",
        "cornerstone and dcmjs compare meanings",
        true_of=lambda read: _meanings(read.said),
    ),
    Rule(
        "T16",
        "frames count from 1",
        "PS3.3 C.18.4",
        true_of=lambda read: all(i.reference is None or i.reference.frame >= 0 for i in read.said.everything),
    ),
)
