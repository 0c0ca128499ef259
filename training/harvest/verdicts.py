"""What doctors said of photographs, and what of it can be learned from.

A verdict names a photograph, or an eye of a study, and says of labels that they are there or not. What it does not name
stays unknown. Verdicts that contradict each other make the label unknown, and are counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.labels import LABELS, RETINA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ABNORMAL: Final = frozenset(
    label.name
    for label in LABELS
    if label.name not in {"Disease_Risk", "NORMAL"}
    and label.kind.startswith(("disease", "finding"))
    and "normal variant" not in label.kind
)
"""Labels whose presence is an abnormality: Disease_Risk is then positive and NORMAL negative, by their definition."""
EXCLUDED_BY_NORMAL: Final = frozenset(
    {"Disease_Risk", *(label.name for label in LABELS if label.kind == "disease" and label.site == RETINA)}
)
"""What an eye that a doctor calls normal does not have. Glaucoma, cataract and mere findings stay unknown: a fundus
that looks normal does not exclude them, or nobody looked for them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one person said of one photograph, or of one eye of a study (then `sop_instance_uid` is empty).

    `frame` counts from 1, None is the whole object. `origin` names the file and line for a person; `at` orders what one
    document after another says (DICOM's YYYYMMDDHHMMSS; "" where nobody knows).
    """

    positive: frozenset[str]
    negative: frozenset[str]
    origin: str
    sop_instance_uid: str = ""
    frame: int | None = None
    study_instance_uid: str = ""
    laterality: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is known of one photograph after all verdicts; `contradicted` are labels that they disagree about."""

    positive: frozenset[str]
    negative: frozenset[str]
    contradicted: frozenset[str] = frozenset()


def completed(
    verdict_positive: Iterable[str], verdict_negative: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The labels said, and those that follow from them by definition; what was said outweighs what follows."""
    positive, negative = set(verdict_positive), set(verdict_negative)
    said = positive | negative
    if positive & ABNORMAL:
        positive |= {"Disease_Risk"} - said
        negative |= {"NORMAL"} - said
    if "NORMAL" in positive:
        negative |= EXCLUDED_BY_NORMAL - said
    return frozenset(positive), frozenset(negative)


def weigh(verdicts: Iterable[Verdict]) -> Weighed:
    """All verdicts on one photograph to one.

    Of documents that carry a time the latest one that speaks of a label counts: it was made to replace the others. It
    and those without a time must agree, otherwise the label is unknown.
    """
    dated: dict[str, tuple[str, set[bool]]] = {}
    undated: defaultdict[str, set[bool]] = defaultdict(set)
    for verdict in verdicts:
        for labels, value in ((verdict.positive, True), (verdict.negative, False)):
            for label in labels:
                if not verdict.at:
                    undated[label].add(value)
                elif label not in dated or verdict.at > dated[label][0]:
                    dated[label] = (verdict.at, {value})
                elif verdict.at == dated[label][0]:
                    dated[label][1].add(value)
    said = {label: undated[label] | dated.get(label, ("", set()))[1] for label in undated.keys() | dated.keys()}
    contradicted = frozenset(label for label, values in said.items() if len(values) > 1)
    positive, negative = completed(
        (label for label, values in said.items() if values == {True}),
        (label for label, values in said.items() if values == {False}),
    )
    return _consistent(positive - contradicted, negative - contradicted, contradicted)


def _consistent(positive: frozenset[str], negative: frozenset[str], contradicted: frozenset[str]) -> Weighed:
    """A normal eye with a disease is a contradiction too, whoever said which."""
    if "NORMAL" in positive and positive & (ABNORMAL | {"Disease_Risk"}):
        clash = frozenset({"NORMAL", "Disease_Risk"}) | (positive & ABNORMAL)
        return Weighed(positive - clash, negative - clash, contradicted | clash)
    return Weighed(positive, negative, contradicted)


def of_photograph(
    key: tuple[str, int | None], eye: tuple[str, str], photographs_of_eye: int, verdicts: Mapping[object, list[Verdict]]
) -> list[Verdict]:
    """The verdicts that concern one photograph, out of `by_subject`.

    `key` is its SOP Instance UID and frame, `eye` its Study Instance UID and laterality. What was said of an eye holds
    for its only photograph. Where the eye has several, an absence holds for each, but which of them shows what is
    there nobody said.
    """
    uid, frame = key
    found = [*verdicts.get((uid, frame), []), *(verdicts.get((uid, None), []) if frame is not None else [])]
    for verdict in verdicts.get(eye, []) if eye[1] else []:
        shows = photographs_of_eye == 1 or "NORMAL" in verdict.positive
        found.append(verdict if shows else _only_absences(verdict))
    return found


def by_subject(verdicts: Iterable[Verdict]) -> dict[object, list[Verdict]]:
    """Verdicts by (SOP Instance UID, frame), or by (Study Instance UID, laterality)."""
    found: defaultdict[object, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.sop_instance_uid:
            found[verdict.sop_instance_uid, verdict.frame].append(verdict)
        else:
            found[verdict.study_instance_uid, verdict.laterality].append(verdict)
    return dict(found)


def _only_absences(verdict: Verdict) -> Verdict:
    return Verdict(frozenset(), verdict.negative, verdict.origin, at=verdict.at)
