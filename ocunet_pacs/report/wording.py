"""The sentences of a report. "Above threshold", never "diagnosed"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.report import ordering
from ocunet_pacs.report.codes import label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.result import BundleRef, ImageResult, LabelScore, StudyResult
    from ocunet_pacs.report.report_settings import ReportSettings

UNTRAINED = (
    "UNTRAINED MODEL: the weights were not trained. Every probability in this document is meaningless; "
    "it shows that the software works and nothing else. Do not use it for any patient."
)
DISCLAIMER = (
    "Decision support, not a diagnosis. Made by software and not verified by a person. "
    "A label above its threshold is a reason to look, not a finding of disease."
)
BELOW = (
    "Labels that are not listed did not reach their threshold; that does not exclude the condition. "
    "Conditions that the model has no label for were not assessed."
)
COMPOSITE_ALONE = "composite abnormality flag above threshold without any specific label: a person should read it"


def percent(share: float) -> str:
    """A share of 1 as a reader wants it: 87.5 %. Rounded by way of the report's two decimals: all places agree."""
    return f"{round(100 * share, 2):.1f} %"


def place(image: ImageResult) -> str:
    """Which picture, in words: OD image 2 frame 3."""
    frame = f" frame {image.frame}" if image.frame else ""
    return f"{image.laterality.eye} image {image.ordinal}{frame}"


def score_words(score: LabelScore) -> str:
    """One label: name, probability, threshold."""
    return f"{label_of(score.label).display} {percent(score.probability)} (threshold {percent(score.threshold)})"


def model_words(bundle: BundleRef) -> str:
    """Which weights spoke, and what a probability is."""
    trained = "" if bundle.trained else " UNTRAINED."
    point = "" if bundle.operating_point == "default" else f" Operating point {bundle.operating_point}."
    return (
        f"Model {bundle.name}, bundle sha256 {bundle.digest}.{trained}{point} "
        f"Probability is sigmoid(logit / {bundle.temperature:g}); a label is above threshold when its probability is "
        "equal to or greater than its own threshold."
    )


def image_words(image: ImageResult, settings: ReportSettings) -> str:
    """What the summary says of one assessed image."""
    found = ordering.findings(image, settings)
    if found:
        words = "above threshold: " + "; ".join(score_words(s) for s in found)
    elif ordering.is_positive(image, ordering.COMPOSITE):
        words = COMPOSITE_ALONE
    elif ordering.is_positive(image, ordering.NORMAL):
        words = "no abnormality detected by the model"
    else:
        words = "no label above its threshold"
    return f"{place(image)}: {words}."


def summary(result: StudyResult, settings: ReportSettings) -> list[str]:
    """One sentence an assessed image, OD first, and one on how much was not assessed."""
    images = ordering.by_eye(result.images)
    lines = [image_words(i, settings) for i in images if i.assessed]
    missed = sum(not i.assessed for i in images)
    if not lines:
        lines = [
            "No photograph of this study was assessed; the reasons are given below. No result does not mean normal."
        ]
    elif missed:
        lines.append(f"Not assessed: {missed} of {len(images)} images; the reasons are given below.")
    return lines


def not_assessed(image: ImageResult) -> str:
    """Why there is no result for an image."""
    reasons = "; ".join(f"{r.detail.rstrip('.')} ({r.code.value})" for r in image.reasons)
    return f"{place(image)}: not assessed. Reason: {reasons or 'none recorded'}."


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


def remarks(result: StudyResult, settings: ReportSettings) -> list[str]:
    """Everything that a reader must know beside the numbers, most important first."""
    images = ordering.by_eye(result.images)
    lines = [DISCLAIMER]
    lines += [not_assessed(i) for i in images if not i.assessed]
    lines += [words for i in images if (words := contradiction(i, settings))]
    lines += [
        f"{place(i)}: the photograph does not say which eye it shows."
        for i in images
        if i.assessed and i.laterality is Laterality.UNKNOWN
    ]
    if any(i.assessed for i in images):
        lines.append(BELOW)
    if result.bundle.missing_labels:
        names = ", ".join(label_of(name).display for name in result.bundle.missing_labels)
        lines.append(f"This model has no opinion on: {names}.")
    lines.append(model_words(result.bundle))
    if result.predecessor is not None:
        lines.append(f"Revision {result.revision}: replaces the earlier report of this study.")
    return lines


def tracking_identifier(image: ImageResult, what: str, peers: Sequence[ImageResult], bundle: BundleRef) -> str:
    """ "OD Diabetic retinopathy", with the image's number where the eye has several images.

    Some viewers show nothing but this beside a number, so it says UNTRAINED too.
    """
    name = f"{image.laterality.eye} {what}" if bundle.trained else f"UNTRAINED {image.laterality.eye} {what}"
    if len(peers) > 1:
        name += f", image {image.ordinal}" + (f" frame {image.frame}" if image.frame else "")
    return name
