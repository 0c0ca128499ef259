"""Everything that a reader must know beside the numbers, as sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.report import ordering
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import by_reasons, eyes
from ocunet_pacs.report.wording import BELOW, DISCLAIMER, model_words, percent, place, places, qualification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.result import ImageResult, StudyResult
    from ocunet_pacs.report.report_settings import ReportSettings

QUALITY = "exposure, focus and field were checked by software and passed; its limits are lenient and let haze pass"


def remarks(result: StudyResult, settings: ReportSettings, software_version: str) -> list[str]:
    """Most important first: what this is, what was not assessed, what contradicts itself, quality, limits, model."""
    images = ordering.by_eye(result.images)
    lines = [DISCLAIMER + (" For research use." if qualification(result.bundle, settings) == "RESEARCH" else "")]
    lines += [not_assessed(same) for eye in eyes(images) for same in by_reasons(eye.missed)]
    lines += [context(i) for i in images if i.is_context]
    lines += [words for i in images if (words := contradiction(i, settings) or flag_missing(i, settings))]
    unknown = [i for i in images if i.assessed and i.laterality is Laterality.UNKNOWN]
    if unknown:
        lines.append(f"{places(unknown)}: which eye is shown is not stated, or stated with contradictions.")
    lines += stereo(result)
    lines += quality(images)
    if any(i.assessed for i in images):
        lines.append(BELOW)
    if result.bundle.missing_labels:
        names = ", ".join(label_of(name).display for name in result.bundle.missing_labels)
        lines.append(f"This model has no opinion on: {names}.")
    lines.append(model_words(result.bundle, software_version))
    if result.predecessor is not None:
        lines.append(revision(result))
    return lines


def not_assessed(images: Sequence[ImageResult]) -> str:
    """Why there is no result for images of one eye, which have the same reasons."""
    return f"{places(images)}: not assessed. Reason: {_details(images[0])}."


def context(image: ImageResult) -> str:
    """An object that is no photograph."""
    return f"Object {image.ordinal} of the study: {_details(image)}."


def _details(image: ImageResult) -> str:
    return "; ".join(f"{r.detail.rstrip('.')} ({r.code.value})" for r in image.reasons) or "none recorded"


def contradiction(image: ImageResult, settings: ReportSettings) -> str:
    """The normal class above threshold beside others; "" when it is not."""
    if not ordering.is_contradictory(image):
        return ""
    others = [s for s in image.scores if s.positive and s.label != ordering.NORMAL]
    names = ", ".join(label_of(s.label).display for s in ordering.by_urgency(others, settings))
    return (
        f"{place(image)}: contradiction. The model's normal class is above threshold together with: {names}. "
        "The normal class does not suppress the other labels; a person should read this image."
    )


def flag_missing(image: ImageResult, settings: ReportSettings) -> str:
    """Findings without the composite flag, which the training data set beside every one of them; "" when it is there.

    Thresholds are each label's own, so this is common, and it takes nothing from the findings.
    """
    flag = next((score for score in image.scores if score.label == ordering.COMPOSITE), None)
    found = ordering.findings(image, settings)
    if flag is None or flag.positive or not found:
        return ""
    names = ", ".join(label_of(score.label).display for score in found)
    return (
        f"{place(image)}: the model's composite abnormality flag is below its threshold ({percent(flag.probability)}, "
        f"threshold {percent(flag.threshold)}) beside: {names}. The labels stand by themselves."
    )


def quality(images: Sequence[ImageResult]) -> list[str]:
    """What is known of the quality of the images that were assessed; those that failed the check say so elsewhere."""
    lines = []
    for eye in eyes(images):
        passed = [image for image in eye.assessed if image.quality and not image.despite]
        unmeasured = [image for image in eye.assessed if not image.quality and not image.despite]
        if passed:
            lines.append(f"{places(passed)}: {QUALITY}.")
        if unmeasured:
            lines.append(f"{places(unmeasured)}: image quality was not measured.")
    return lines


def stereo(result: StudyResult) -> list[str]:
    """Which of the report's photographs are a stereo pair. Each was assessed by itself."""
    known = {image.sop_instance_uid: replace(image, frame=None) for image in reversed(result.images)}
    lines = []
    for left, right in dict.fromkeys(result.stereo_pairs):
        pair = [known[uid] for uid in (left, right) if uid in known]
        if left != right and len({image.laterality for image in pair}) == 1 and len(pair) == 2:
            lines.append(f"{places(pair)} are a stereo pair; each was looked at by itself.")
    return lines


def revision(result: StudyResult) -> str:
    """How a revision stands to the report before it."""
    if any(reason.code is ReasonCode.FILE_REMOVED for image in result.images for reason in image.reasons):
        return (
            f"Revision {result.revision}: adds to the earlier report of this study, which still holds for the "
            "photographs whose files are no longer kept."
        )
    return f"Revision {result.revision}: replaces the earlier report of this study."
