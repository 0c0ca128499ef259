"""Verdicts in structured reports that a person verified and that answer ours (PS3.3 sections A.35 and C.17.2).

A doctor opens our report in her reporting system, strikes out or adds findings, and signs: the system stores a report
of its own, verified, that names ours as its predecessor or repeats that our algorithm spoke. Its measurement groups
(PS3.16 TID 1501) then say of a finding, for a photograph, that it is present or absent. What the document does not name
stays unknown: that our report listed a finding and hers does not may mean that it was struck out, or that her system
lists nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.datadict import tag_for_keyword

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.imaging.elements import items, text
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME
from ocunet_pacs.imaging.part10 import opened, quiet
from training.harvest.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

_LABELS: Final = {(label.code.scheme, label.code.value): label.name for label in LABELS}
_PRESENT: Final = {("SCT", "52101004"), ("SRT", "G-A203")}
_ABSENT: Final = {("SCT", "2667000"), ("SCT", "272519000"), ("SRT", "R-4089B"), ("SRT", "R-42037")}
_NORMALITY: Final = {("DCM", "121402")}
_NORMAL: Final = ("SCT", "17621005")
_EXPLANATION: Final = {("DCM", "130401")}
_MAKERS: Final = {("DCM", "121014"), ("DCM", "122405")}
"""Device Observer Manufacturer, Algorithm Manufacturer."""
_MOST_DEPTH: Final = 24
_TAGS: Final = [
    tag
    for keyword in (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "Modality",
        "Manufacturer",
        "ManufacturerModelName",
        "VerificationFlag",
        "VerifyingObserverSequence",
        "PredecessorDocumentsSequence",
        "ValueType",
        "ContentSequence",
    )
    if (tag := tag_for_keyword(keyword)) is not None
]


@dataclass(frozen=True, slots=True)
class Document:
    """A structured report: which one it is, whether it is ours, whom it answers, and what it says where verified."""

    sop_instance_uid: str
    ours: bool
    verified_at: str
    """DICOM date and time of the last verification; "" where nobody verified it."""
    predecessors: frozenset[str]
    quotes_us: bool
    """Whether its content names us as the maker of a device or an algorithm."""
    verdicts: tuple[Verdict, ...]


def read_document(path: Path, origin: str) -> Document | None:
    """The structured report in a file; None where the file holds none. BadInput where it cannot be read."""
    with opened(path, _TAGS) as file, quiet():
        ds = file.dataset
        if text(ds, "Modality") != "SR":
            return None
        observers = [text(item, "VerificationDateTime") for item in items(ds, "VerifyingObserverSequence")]
        verified = text(ds, "VerificationFlag") == "VERIFIED" and any(observers)
        at = max(observers) if verified else ""
        return Document(
            text(ds, "SOPInstanceUID"),
            (text(ds, "Manufacturer"), text(ds, "ManufacturerModelName")) == (MANUFACTURER, MODEL_NAME),
            at,
            frozenset(_predecessors(ds)),
            verified and _quotes_us(ds, 0),
            tuple(_verdicts(ds, origin, at)) if verified else (),
        )


def verified_answers(documents: Iterable[Document]) -> tuple[list[Verdict], int]:
    """The verdicts of verified documents that answer a report of ours, and how many documents those are.

    A document answers ours when it, or a document that it replaces, names ours as its predecessor, or when it repeats
    what our algorithm said: our own file may be gone by then.
    """
    known = {document.sop_instance_uid: document for document in documents}
    answers = [d for d in known.values() if d.verified_at and not d.ours and (d.quotes_us or _reaches_ours(d, known))]
    return [verdict for document in answers for verdict in document.verdicts], len(answers)


def _reaches_ours(document: Document, known: dict[str, Document]) -> bool:
    seen, waiting = set[str](), [document]
    while waiting:
        for uid in waiting.pop().predecessors - seen:
            seen.add(uid)
            before = known.get(uid)
            if before is not None and before.ours:
                return True
            if before is not None:
                waiting.append(before)
    return False


def _predecessors(ds: Dataset) -> Iterator[str]:
    for study in items(ds, "PredecessorDocumentsSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            yield from (text(item, "ReferencedSOPInstanceUID") for item in items(series, "ReferencedSOPSequence"))


def _verdicts(ds: Dataset, origin: str, at: str) -> Iterator[Verdict]:
    """One for each container that speaks of findings and refers to a photograph."""
    for container in _containers(ds, 0):
        children = items(container, "ContentSequence")
        sources = {source for child in children for source in _photographs(child)}
        positive, negative = set[str](), set[str]()
        for child in children:
            name, value = _code(child, "ConceptNameCodeSequence"), _code(child, "ConceptCodeSequence")
            if name in _NORMALITY and value == _NORMAL:
                positive.add("NORMAL")
            elif name in _LABELS and value in _PRESENT:
                positive.add(_LABELS[name])
            elif name in _LABELS and value in _ABSENT:
                negative.add(_LABELS[name])
        for uid, frame in sorted(sources):
            if positive or negative:
                said = frozenset(positive), frozenset(negative)
                yield Verdict(*said, origin, sop_instance_uid=uid, frame=frame or None, at=at)


def _quotes_us(ds: Dataset, depth: int) -> bool:
    return depth <= _MOST_DEPTH and any(
        (_code(child, "ConceptNameCodeSequence") in _MAKERS and text(child, "TextValue") == MANUFACTURER)
        or _quotes_us(child, depth + 1)
        for child in items(ds, "ContentSequence")
    )


def _containers(ds: Dataset, depth: int) -> Iterator[Dataset]:
    if depth > _MOST_DEPTH:
        return
    for child in items(ds, "ContentSequence"):
        if text(child, "ValueType") == "CONTAINER":
            yield child
            yield from _containers(child, depth + 1)


def _photographs(child: Dataset) -> Iterator[tuple[str, int]]:
    """The photograph that an IMAGE item refers to, but no heatmap; frame 0 is all of it."""
    if text(child, "ValueType") == "IMAGE" and _code(child, "ConceptNameCodeSequence") not in _EXPLANATION:
        for reference in items(child, "ReferencedSOPSequence"):
            frame = text(reference, "ReferencedFrameNumber")
            yield text(reference, "ReferencedSOPInstanceUID"), int(frame) if frame.isdecimal() else 0


def _code(item: Dataset, keyword: str) -> tuple[str, str] | None:
    code = next(iter(items(item, keyword)), None)
    return None if code is None else (text(code, "CodingSchemeDesignator"), text(code, "CodeValue"))


def read_documents(paths: Iterable[Path]) -> tuple[list[Document], list[Path]]:
    """Every structured report among the files, and the files that could not be read; other objects are passed by."""
    documents, unreadable = [], []
    for path in paths:
        try:
            document = read_document(path, path.name)
        except (BadInput, OSError):
            unreadable.append(path)
            continue
        if document is not None:
            documents.append(document)
    return documents, unreadable
