"""A structured report back into words and numbers, from the DICOM data set alone.

What `readable` shows comes from here, so it shows nothing that a reader with another viewer would not find in the SR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import Code, Urgency
from ocunet_pacs.report import codes, wording
from ocunet_pacs.report.codes import same_concept
from ocunet_pacs.report.validate import groups, named, walk

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EYES = {"OD": "OD (right eye)", "OS": "OS (left eye)", "eye unknown": "Eye unknown"}
"""Eyes in the order in which they are shown, with their headings."""
_SIDES = {"24028007": "OD", "7771000": "OS"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One measurement group. `probability` is in percent, `threshold` a share of 1; None where the group has none."""

    eye: str
    name: str
    claim: str
    is_finding: bool
    urgency: str
    urgency_rank: int
    probability: float | None
    threshold: float | None
    comments: tuple[str, ...]
    source_uid: str
    frame: int | None
    heatmap_uid: str

    @property
    def assessed(self) -> bool:
        """Whether the model spoke."""
        return self.claim != codes.QUALITY_ASSESSMENT.meaning


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What a report says. Dates are YYYY-MM-DD, empty where the data set has none."""

    title: str
    untrained: bool
    status: str
    made: str
    device: str
    patient: tuple[tuple[str, str], ...]
    banner: tuple[str, ...]
    summary: tuple[str, ...]
    statements: tuple[Statement, ...]
    remarks: tuple[str, ...]

    def of_eye(self, eye: str) -> list[Statement]:
        """The eye's statements: findings first, most urgent and then most probable first."""
        mine = [s for s in self.statements if s.eye == eye]
        return sorted(mine, key=lambda s: (not s.is_finding, -s.urgency_rank, -(s.probability or 0.0)))

    @property
    def summary_lines(self) -> list[tuple[bool, str]]:
        """The summary, and of each sentence whether it is a detail: of one image of an eye that has several."""
        lines, together = [], ""
        for words in self.summary:
            if wording.TOGETHER in words:
                together = words.partition(",")[0]
            is_detail = bool(together) and words.startswith(f"{together} image")
            lines.append((is_detail, words))
        return lines

    @property
    def figures(self) -> dict[str, str]:
        """Caption of each heatmap that the statements refer to, by its SOP Instance UID, in the order of the eyes."""
        captions: dict[str, list[str]] = {}
        for statement in (s for eye in EYES for s in self.of_eye(eye) if s.heatmap_uid):
            captions.setdefault(statement.heatmap_uid, []).append(f"{statement.eye} {statement.name}")
        return {uid: "; ".join(words) for uid, words in captions.items()}

    @property
    def other_remarks(self) -> list[str]:
        """The remarks that no statement makes already."""
        made = {comment for statement in self.statements for comment in statement.comments}
        return [words for words in self.remarks if words not in made]


def read_report(ds: Dataset) -> ReadReport:
    """The report in `ds`, as we write it."""
    sides = _library_sides(ds)
    top = [i for i in ds.ContentSequence if i.ValueType == "TEXT" and i.RelationshipType == "CONTAINS"]
    remarks = [
        str(i.TextValue)
        for box in ds.ContentSequence
        if named(box, codes.QUALITATIVE_EVALUATIONS)
        for i in box.ContentSequence
    ]
    flags = (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag, ds.get("ContentQualification", ""))
    return ReadReport(
        title=str(ds.get("SeriesDescription", "")),
        untrained="UNTRAINED WEIGHTS" in ds.get("SoftwareVersions", ()),
        status=", ".join(str(flag).lower() for flag in flags if flag),
        made=f"{_date(ds.get('ContentDate', ''))} {_time(ds.get('ContentTime', ''))}".strip(),
        device=_text_of(ds, codes.DEVICE_OBSERVER_NAME),
        patient=_identity(ds),
        banner=tuple(str(i.TextValue) for i in top if named(i, codes.COMMENT)),
        summary=tuple(str(i.TextValue) for i in top if named(i, codes.SUMMARY)),
        statements=tuple(_statement(group, sides) for group in groups(ds)),
        remarks=tuple(remarks),
    )


def _identity(ds: Dataset) -> tuple[tuple[str, str], ...]:
    rows = (
        ("Patient", str(ds.get("PatientName", "")).replace("^", " ").strip()),
        ("Patient ID", str(ds.get("PatientID") or "")),
        ("Born", _date(str(ds.get("PatientBirthDate") or ""))),
        ("Sex", str(ds.get("PatientSex") or "")),
        ("Study", f"{_date(str(ds.get('StudyDate') or ''))} {ds.get('StudyDescription') or ''}".strip()),
        ("Accession", str(ds.get("AccessionNumber") or "")),
    )
    return tuple(row for row in rows if row[1])


def _date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else value


def _time(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}" if len(value) >= 4 else value


def _library_sides(ds: Dataset) -> dict[str, str]:
    """Eye of each photograph in the image library that has one."""
    sides = {}
    for entry in walk(ds):
        if named(entry, codes.SOURCE) and "ReferencedSOPSequence" in entry:
            side = _coded(entry, codes.IMAGE_LATERALITY)
            if side is not None:
                sides[str(entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)] = _SIDES[side.CodeValue]
    return sides


def _statement(group: Dataset, sides: dict[str, str]) -> Statement:
    source, frame = _reference(group, codes.SOURCE_OF_MEASUREMENT, codes.SOURCE)
    heatmap, _ = _reference(group, codes.VISUAL_EXPLANATION)
    site = next((i for i in group.ContentSequence if named(i, codes.FINDING_SITE)), None)
    side = None if site is None else _coded(site, codes.LATERALITY)
    eye = _SIDES[side.CodeValue] if side is not None else sides.get(source, "eye unknown")
    urgency = _coded(group, codes.SUGGESTED_URGENCY)
    ranks = {code.value: which.rank for which, code in codes.URGENCY_CODES.items()}
    return Statement(
        eye=eye,
        name=_text_of(group, codes.TRACKING_IDENTIFIER).removeprefix("UNTRAINED ").removeprefix(f"{eye} "),
        claim=_claim(group),
        is_finding=_is_finding(group),
        urgency="" if urgency is None else str(urgency.CodeMeaning),
        urgency_rank=Urgency.NONE.rank if urgency is None else ranks.get(str(urgency.CodeValue), 0),
        probability=_probability(group),
        threshold=_threshold(group),
        comments=tuple(str(i.TextValue) for i in group.ContentSequence if named(i, codes.COMMENT)),
        source_uid=source,
        frame=frame,
        heatmap_uid=heatmap,
    )


def _is_finding(group: Dataset) -> bool:
    """Whether the group says that its finding is above threshold."""
    finding = _coded(group, codes.FINDING)
    if finding is None:
        return False
    name = Code(str(finding.CodeValue), str(finding.CodingSchemeDesignator), "")
    presence = _coded(group, name)
    return presence is not None and same_concept(presence, codes.PRESENT)


def _claim(group: Dataset) -> str:
    """What the group says, in words: normality, quality, or where the label stands against its threshold."""
    normality = _coded(group, codes.NORMALITY)
    if normality is not None:
        return f"{codes.NORMALITY.meaning}: {normality.CodeMeaning}"
    if _coded(group, codes.QUALITY_ASSESSMENT) is not None and _coded(group, codes.FINDING) is None:
        return codes.QUALITY_ASSESSMENT.meaning
    return "above threshold" if _is_finding(group) else "below threshold"


def _probability(group: Dataset) -> float | None:
    for item in group.ContentSequence:
        if named(item, codes.PROBABILITY):
            return float(item.MeasuredValueSequence[0].NumericValue)
    return None


def _threshold(group: Dataset) -> float | None:
    for item in group.ContentSequence:
        if named(item, codes.ALGORITHM_PARAMETERS) and str(item.TextValue).startswith("threshold="):
            return float(str(item.TextValue).removeprefix("threshold="))
    return None


def _coded(parent: Dataset, name: Code) -> Dataset | None:
    """The value of the parent's CODE child of that name."""
    for item in parent.get("ContentSequence", ()):
        if item.ValueType == "CODE" and named(item, name):
            value: Dataset = item.ConceptCodeSequence[0]
            return value
    return None


def _text_of(parent: Dataset, name: Code) -> str:
    return next((str(i.TextValue) for i in parent.ContentSequence if named(i, name)), "")


def _reference(group: Dataset, *names: Code) -> tuple[str, int | None]:
    for item in group.ContentSequence:
        if any(named(item, name) for name in names):
            ref = item.ReferencedSOPSequence[0]
            frame = ref.get("ReferencedFrameNumber")
            return str(ref.ReferencedSOPInstanceUID), None if frame is None else int(frame)
    return "", None
