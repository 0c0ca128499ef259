"""Observations of a study (FHIR R4): of each eye, of each finding above threshold in it, of what was not assessed.

A finding's Observation is the model's probability for it, not the finding: its code says "probability", and the
finding's own code stands beneath it. Whoever looks for diagnoses by code finds none here. What concerns single images
stays in the structured report, which the DiagnosticReport names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.report import codes, ordering, remarks, summary, wording
from ocunet_pacs.report.caveats import caveat_of
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import by_exceptions, eyes
from ocunet_pacs.report.fhir_shared import Made, Shared, notes, observation, title
from ocunet_pacs.report.fhir_terms import (
    Json,
    absent,
    coded,
    coding,
    concept,
    finding,
    percent,
    probability_of,
    terminology,
)
from ocunet_pacs.report.urgency import study_urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.domain.result import ImageResult, LabelScore
    from ocunet_pacs.domain.study import ReasonCode
    from ocunet_pacs.report.eyes import Eye, Leading

_ABOVE = concept("above threshold", terminology("v3-ObservationInterpretation", "H", "High"))
"""Above its limit, and nothing more: "positive" would say that the finding is there."""


def observations(shared: Shared) -> tuple[list[Made], list[Made]]:
    """What the DiagnosticReport names, OD first, and all Observations in an order in which each follows its members."""
    top: list[Made] = []
    everything: list[Made] = []
    for eye in eyes(shared.result.images):
        members = [_label(shared, eye, found) for found in eye.leading(shared.report_settings)]
        members += [_missed(shared, eye, *group) for group in _reasons(eye.missed)] if eye.assessed else []
        top.append(_eye(shared, eye, members))
        everything += [*members, top[-1]]
    if any(image.assessed for image in shared.result.images):
        extra = _urgency(shared)
    elif top:
        return top, everything
    else:
        extra = _nothing(shared)
    return [*top, extra], [*everything, extra]


def _label(shared: Shared, eye: Eye, found: Leading) -> Made:
    """A finding that is above threshold: its highest probability among the eye's images."""
    score, image = found.score, found.image
    label = label_of(score.label)
    name = f"Model's probability, {eye.laterality.eye}: {label.display}"
    code = concept(title(shared, name), coding(probability_of(score.label)), coding(codes.PROBABILITY))
    of = len(eye.assessed)
    return observation(
        shared,
        shared.uid("label", eye.laterality.value, score.label),
        code,
        [image],
        eye.laterality,
        valueQuantity=percent(score.probability),
        interpretation=[_ABOVE],
        referenceRange=[_threshold(score)],
        note=notes(
            f"Highest of {of} images of this eye; above threshold in {found.above}." if of > 1 else "",
            caveat_of(label),
            wording.exceptions(image.despite) if image.despite else "",
        ),
        component=[
            _component(codes.FINDING, finding(score.label, icd10=shared.settings.icd10)),
            _component(codes.FINDING_SITE, coded(label.site)),
            _component(codes.SUGGESTED_URGENCY, coded(codes.URGENCY_CODES[shared.report_settings.urgency(label)])),
        ],
    )


def _threshold(score: LabelScore) -> Json:
    return {
        "high": percent(score.threshold),
        "text": (
            f"Threshold {wording.percent(score.threshold)} of the model's operating point: from there on a label "
            "counts as above threshold. Not a range of normal values."
        ),
    }


def _component(name: Code, value: Json) -> Json:
    return {"code": coded(name), "valueCodeableConcept": value}


def _eye(shared: Shared, eye: Eye, members: Sequence[Made]) -> Made:
    """What the eye's images say together, or why they say nothing."""
    images = eye.assessed
    code = coded(codes.NORMALITY, title(shared, f"Model's impression, {eye.laterality.eye}"))
    uid = shared.uid("eye", eye.laterality.value)
    if not images:
        groups = _reasons(eye.missed)
        every = [code for reasons, _ in groups for code in reasons]
        words = "; ".join(_reason_words(*group) for group in groups)
        why = absent(every, f"Not assessed: {words}.", every[0] if every and len(groups) == 1 else None)
        return observation(shared, uid, code, eye.missed, eye.laterality, dataAbsentReason=why)
    value, words = _impression(images)
    return observation(
        shared,
        uid,
        code,
        images,
        eye.laterality,
        valueCodeableConcept=coded(value, words),
        note=notes(
            summary.eye_words(eye, shared.report_settings),
            *(remarks.contradiction(image, shared.report_settings) for image in images),
            *(f"{wording.places(same)}: {wording.exceptions(same[0].despite)}" for same in by_exceptions(images)),
            wording.BELOW,
            wording.DISCLAIMER,
        ),
        component=_general(images),
        hasMember=[member.reference for member in members],
    )


def _impression(images: Sequence[ImageResult]) -> tuple[Code, str]:
    """The value of (121402, DCM, Normality), and in words what it rests on.

    As in the structured report: the flag says abnormal, the normal class normal where nothing stands against it, and
    findings alone say neither.
    """
    if any(ordering.is_contradictory(image) for image in images):
        return codes.INDETERMINATE, "Indeterminate: the model contradicts itself, a person should read the photographs"
    if any(ordering.is_positive(image, ordering.COMPOSITE) for image in images):
        return codes.ABNORMAL, "Model's abnormality flag is above threshold"
    if any(score.positive and ordering.is_finding(score) for image in images for score in image.scores):
        return codes.UNDETERMINED, "Undetermined: findings above threshold, the model's abnormality flag is not"
    if all(ordering.is_positive(image, ordering.NORMAL) for image in images):
        return codes.NORMAL, "No abnormality detected by the model"
    return codes.UNDETERMINED, "Undetermined: no finding above its threshold"


def _general(images: Sequence[ImageResult]) -> list[Json]:
    """The flag and the normal class where they are above threshold: they belong to the eye, and are no findings."""
    components = []
    for name in (ordering.COMPOSITE, ordering.NORMAL):
        scores = [s for image in images for s in image.scores if s.label == name and s.positive]
        if scores:
            best = max(scores, key=lambda score: score.probability)
            components.append(
                {
                    "code": concept(
                        f"Model's probability: {label_of(name).display}",
                        coding(probability_of(name)),
                        coding(codes.PROBABILITY),
                    ),
                    "valueQuantity": percent(best.probability),
                    "interpretation": [_ABOVE],
                    "referenceRange": [_threshold(best)],
                }
            )
    return components


def _reasons(images: Sequence[ImageResult]) -> list[tuple[tuple[ReasonCode, ...], list[ImageResult]]]:
    """Images that were not assessed, together where they have the same reasons."""
    found: dict[tuple[ReasonCode, ...], list[ImageResult]] = {}
    for image in images:
        found.setdefault(tuple(dict.fromkeys(reason.code for reason in image.reasons)), []).append(image)
    return list(found.items())


def _reason_words(reasons: tuple[ReasonCode, ...], images: Sequence[ImageResult]) -> str:
    why = " and ".join(wording.REASON_WORDS[reason] for reason in reasons) or "no reason recorded"
    return f"{why} ({wording.places(images)})"


def _missed(shared: Shared, eye: Eye, reasons: tuple[ReasonCode, ...], images: Sequence[ImageResult]) -> Made:
    """Images of an eye that were not assessed, beside others that were."""
    return observation(
        shared,
        shared.uid("not assessed", eye.laterality.value, *reasons),
        coded(codes.NORMALITY, title(shared, f"Not assessed: {wording.places(images)}")),
        images,
        eye.laterality,
        dataAbsentReason=absent(reasons, f"Not assessed: {_reason_words(reasons, images)}.", next(iter(reasons), None)),
    )


def _urgency(shared: Shared) -> Made:
    """The highest urgency of review that the findings suggest."""
    images = [image for image in shared.result.images if image.assessed]
    highest = study_urgency(images, shared.report_settings)
    return observation(
        shared,
        shared.uid("urgency"),
        coded(codes.SUGGESTED_URGENCY, title(shared, codes.SUGGESTED_URGENCY.meaning)),
        images,
        None,
        valueCodeableConcept=coded(codes.URGENCY_CODES[highest]),
    )


def _nothing(shared: Shared) -> Made:
    """A study without any photograph: said, not left out."""
    return observation(
        shared,
        shared.uid("study"),
        coded(codes.NORMALITY, title(shared, "Model's impression")),
        shared.result.images,
        None,
        dataAbsentReason=absent((), "Not assessed: the study holds no photograph."),
    )
