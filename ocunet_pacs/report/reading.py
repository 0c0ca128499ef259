"""A structured report back into words and numbers, from the DICOM data set alone.

What `readable` shows comes from here, so it shows nothing that a reader with another viewer would not find in the SR.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.report import codes, said
from ocunet_pacs.report.items import read_items, same

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.report.items import Item

EYES = {"OD": "OD (right eye)", "OS": "OS (left eye)", "eye unknown": "Eye unknown"}
"""Eyes in the order in which they are shown, with their headings."""


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
    """What a report says. Dates are YYYY-MM-DD, empty where the data set has none.

    `urgency` is the study's, `eye_urgencies` that of each photographed eye: how soon a person should look.
    """

    title: str
    untrained: bool
    status: str
    made: str
    device: str
    patient: tuple[tuple[str, str], ...]
    banner: tuple[str, ...]
    urgency: str
    eye_urgencies: tuple[tuple[str, str], ...]
    summary: tuple[str, ...]
    statements: tuple[Statement, ...]
    remarks: tuple[str, ...]

    def of_eye(self, eye: str) -> list[Statement]:
        """The eye's statements: findings first, most urgent and then most probable first.

        A comment that one of them makes is left out of those after it.
        """
        made: set[str] = set()
        told = []
        for statement in self.in_full_of_eye(eye):
            told.append(replace(statement, comments=tuple(c for c in statement.comments if c not in made)))
            made.update(statement.comments)
        return told

    def in_full_of_eye(self, eye: str) -> list[Statement]:
        """The same, each with all of its comments."""
        mine = [s for s in self.statements if s.eye == eye]
        return sorted(mine, key=lambda s: (not s.is_finding, -s.urgency_rank, -(s.probability or 0.0)))

    def heading_of(self, eye: str) -> str:
        """The eye in words, with how soon a person should look at it."""
        urgency = dict(self.eye_urgencies).get(eye, "")
        return f"{EYES[eye]} - {codes.SUGGESTED_URGENCY.meaning.lower()}: {urgency.lower()}" if urgency else EYES[eye]

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
    report = said.Said(read_items(ds))
    flags = (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag, ds.get("ContentQualification", ""))
    return ReadReport(
        title=str(ds.get("SeriesDescription", "")),
        untrained="UNTRAINED WEIGHTS" in ds.get("SoftwareVersions", ()),
        status=", ".join(str(flag).lower() for flag in flags if flag),
        made=f"{_date(ds.get('ContentDate', ''))} {_time(ds.get('ContentTime', ''))}".strip(),
        device=next(iter(report.root.texts(codes.DEVICE_OBSERVER_NAME)), ""),
        patient=_identity(ds),
        banner=tuple(report.root.texts(codes.COMMENT)),
        urgency=_meaning(report.root.value(codes.SUGGESTED_URGENCY)),
        eye_urgencies=tuple(
            (said.EYES[one.side], _meaning(one.item.value(codes.SUGGESTED_URGENCY))) for one in report.conclusions
        ),
        summary=tuple(report.summary),
        statements=tuple(_statement(group, report.library) for group in report.groups),
        remarks=tuple(report.remarks),
    )


def _meaning(code: Code | None) -> str:
    return "" if code is None else code.meaning


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


def _statement(group: said.Statement, library: dict[str, Item]) -> Statement:
    source = group.item.refers_to(codes.SOURCE_OF_MEASUREMENT, codes.SOURCE)
    heatmap = group.item.refers_to(codes.VISUAL_EXPLANATION)
    entry = None if source is None else library.get(source.sop_instance)
    side = None if entry is None else entry.value(codes.IMAGE_LATERALITY)
    eye = said.EYES[group.side or (side.value if side is not None else "")]
    return Statement(
        eye=eye,
        name=group.identifier.removeprefix(f"{eye} "),
        claim=_claim(group),
        is_finding=_is_finding(group),
        urgency=_meaning(group.item.value(codes.SUGGESTED_URGENCY)),
        urgency_rank=(group.urgency or Urgency.NONE).rank,
        probability=group.probability,
        threshold=group.threshold,
        comments=tuple(group.comments),
        source_uid="" if source is None else source.sop_instance,
        frame=None if source is None else source.frame or None,
        heatmap_uid="" if heatmap is None else heatmap.sop_instance,
    )


def _is_finding(group: said.Statement) -> bool:
    """Whether the group says that its finding is above threshold."""
    return group.finding is not None and same(group.claim, codes.PRESENT)


def _claim(group: said.Statement) -> str:
    """What the group says, in words: normality, quality, or where the label stands against its threshold."""
    normality = group.item.value(codes.NORMALITY)
    if normality is not None:
        return f"{codes.NORMALITY.meaning}: {normality.meaning}"
    if group.finding is None and group.item.value(codes.QUALITY_ASSESSMENT) is not None:
        return codes.QUALITY_ASSESSMENT.meaning
    return "above threshold" if _is_finding(group) else "below threshold"
