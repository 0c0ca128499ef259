"""The sentences of a report. "Above threshold", never "diagnosed"."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.report import ordering
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import by_exceptions, by_reasons, eyes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocunet_pacs.domain.result import BundleRef, ImageResult, LabelScore, StudyResult
    from ocunet_pacs.domain.study import Reason
    from ocunet_pacs.report.eyes import Eye, Leading
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
OTHER_PATIENT = (
    "Objects of this study were also received with other patient data (name, identifier or date of birth). They were "
    "kept apart: no statement in this report comes from them. Check which patient the photographs belong to."
)
COMPOSITE_ALONE = "composite abnormality flag above threshold without any specific label: a person should read it"
TOGETHER = " images together: "
"""Marks the sentence about an eye with several images, which the sentences about each of them follow."""
NOTHING_ASSESSED = (
    "No photograph of this study was assessed; the reasons are given below. No result does not mean normal."
)
REASON_WORDS: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.NOT_DICOM: "not DICOM",
        ReasonCode.UNREADABLE_DATASET: "unreadable",
        ReasonCode.OWN_OUTPUT: "made by this software",
        ReasonCode.SOP_CLASS: "a kind of image that is not analysed",
        ReasonCode.CONTEXT: "no photograph",
        ReasonCode.WIDE_FIELD: "wide field",
        ReasonCode.DERIVED: "derived from other images",
        ReasonCode.CALIBRATION: "calibration or quality control image",
        ReasonCode.NOT_RETINA: "not of the fundus",
        ReasonCode.UNPROVEN_REGION: "not said to be of the fundus",
        ReasonCode.NOT_COLOUR: "not in colour",
        ReasonCode.ANGIOGRAPHY: "angiography",
        ReasonCode.NO_PIXELS: "without a picture",
        ReasonCode.PHOTOMETRIC: "unsupported pixel format",
        ReasonCode.TRANSFER_SYNTAX: "unsupported compression",
        ReasonCode.UNREADABLE_PIXELS: "picture unreadable",
        ReasonCode.TOO_SMALL: "too small",
        ReasonCode.TOO_LARGE: "too large",
        ReasonCode.CHILD: "child",
        ReasonCode.NOT_FUNDUS: "does not look like a fundus photograph",
        ReasonCode.UNGRADABLE: "not gradable",
        ReasonCode.DECODER_FAILED: "picture could not be decoded",
        ReasonCode.FILE_REMOVED: "assessed in an earlier report, file no longer kept",
        ReasonCode.FILE_MISSING: "file missing from the store",
    }
)
"""Each reason in a reader's words, for the summary; the remarks give the details and the code."""


def percent(share: float) -> str:
    """A share of 1 as a reader wants it: 87.5 %. Rounded by way of the report's two decimals: all places agree."""
    return f"{round(100 * share, 2):.1f} %"


def place(image: ImageResult) -> str:
    """Which picture, in words: OD image 2 frame 3."""
    frame = f" frame {image.frame}" if image.frame else ""
    return f"{image.laterality.eye} image {image.ordinal}{frame}"


def places(images: Sequence[ImageResult]) -> str:
    """Which pictures of one eye, in words: OD images 2, 4 (frames 1-12)."""
    frames: dict[int, list[int]] = {}
    for image in images:
        numbers = frames.setdefault(image.ordinal, [])
        if image.frame:
            numbers.append(image.frame)
    if len(images) == 1:
        return place(images[0])
    parts = [f"{ordinal}{_frames(numbers)}" for ordinal, numbers in frames.items()]
    return f"{images[0].laterality.eye} image{'s' if len(parts) > 1 else ''} {', '.join(parts)}"


def _frames(numbers: Sequence[int]) -> str:
    """ " (frames 1-3, 7)", runs drawn together."""
    if not numbers:
        return ""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    words = ", ".join("-".join(map(str, run)) for run in runs)
    return f" (frame{'s' if len(numbers) > 1 else ''} {words})"


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


def eye_words(eye: Eye, settings: ReportSettings) -> str:
    """What the assessed images of an eye say together; there is at least one."""
    images = eye.assessed
    if len(images) == 1:
        return image_words(images[0], settings)
    found = eye.leading(settings)
    flagged = [image for image in images if ordering.is_positive(image, ordering.COMPOSITE)]
    if found:
        words = "above threshold: " + "; ".join(_leading_words(one, len(images)) for one in found)
    elif flagged:
        words = f"{COMPOSITE_ALONE} ({places(flagged).removeprefix(eye.laterality.eye).strip()})"
    elif all(ordering.is_positive(image, ordering.NORMAL) for image in images):
        words = "no abnormality detected by the model in any of them"
    else:
        words = "no finding above its threshold in any of them"
    return f"{eye.laterality.eye}, {len(images)}{TOGETHER}{words}."


def _leading_words(found: Leading, of: int) -> str:
    frame = f" frame {found.image.frame}" if found.image.frame else ""
    score = found.score
    judged = f", which was judged {_judged(found.image.despite)}" if found.image.despite else ""
    return (
        f"{label_of(score.label).display} {percent(score.probability)} in image {found.image.ordinal}{frame}{judged} "
        f"(threshold {percent(score.threshold)}, above it in {found.above} of {of})"
    )


def _judged(despite: Sequence[Reason]) -> str:
    return " and ".join(dict.fromkeys(REASON_WORDS[reason.code] for reason in despite))


def summary(result: StudyResult, settings: ReportSettings) -> list[str]:
    """Eye by eye, OD first: what the eye's images say together, then each, then which were not assessed."""
    lines = [] if any(image.assessed for image in result.images) else [NOTHING_ASSESSED]
    for eye in eyes(result.images):
        if eye.assessed:
            lines.append(eye_words(eye, settings))
        if len(eye.assessed) > 1:
            lines += [image_words(image, settings) for image in eye.assessed]
        lines += [_exception(images) for images in by_exceptions(eye.images)]
        if eye.missed:
            lines.append(_missed(eye))
    return lines


def _missed(eye: Eye) -> str:
    """Which images of an eye were not assessed, in a reader's words."""
    kinds: dict[str, list[ImageResult]] = {}
    for image in eye.missed:
        why = REASON_WORDS[image.reasons[0].code] if image.reasons else "no reason recorded"
        kinds.setdefault(why, []).append(image)
    name = eye.laterality.eye
    words = "; ".join(f"{why} ({places(images).removeprefix(name).strip()})" for why, images in kinds.items())
    return f"{name}, not assessed: {words}."


def _exception(images: Sequence[ImageResult]) -> str:
    """That images were scored which would not be by default, and what was found of them."""
    return f"{places(images)}: {exceptions(images[0].despite)}"


def exceptions(despite: Sequence[Reason]) -> str:
    """What an image was scored in spite of: with the values that were measured, never a silent score."""
    found = "; ".join(f"{REASON_WORDS[r.code]} - {r.detail.rstrip('.')} ({r.code.value})" for r in despite)
    return f"scored by this site's rules although judged: {found}. The model was not made for such images."


def not_assessed(images: Sequence[ImageResult]) -> str:
    """Why there is no result for images of one eye, which have the same reasons."""
    return f"{places(images)}: not assessed. Reason: {_details(images[0])}."


def context(image: ImageResult) -> str:
    """An object that is no photograph."""
    return f"Object {image.ordinal} of the study: {_details(image)}."


def _details(image: ImageResult) -> str:
    return "; ".join(f"{r.detail.rstrip('.')} ({r.code.value})" for r in image.reasons) or "none recorded"


def stereo(result: StudyResult) -> list[str]:
    """Which of the report's photographs are a stereo pair. Each was assessed by itself."""
    known = {image.sop_instance_uid: replace(image, frame=None) for image in reversed(result.images)}
    lines = []
    for left, right in dict.fromkeys(result.stereo_pairs):
        pair = [known[uid] for uid in (left, right) if uid in known]
        if left != right and len({image.laterality for image in pair}) == 1 and len(pair) == 2:
            lines.append(f"{places(pair)} are a stereo pair; each was looked at by itself.")
    return lines


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
    lines += [not_assessed(same) for eye in eyes(images) for same in by_reasons(eye.missed)]
    lines += [context(i) for i in images if i.is_context]
    lines += stereo(result)
    lines += [words for i in images if (words := contradiction(i, settings))]
    unknown = [i for i in images if i.assessed and i.laterality is Laterality.UNKNOWN]
    if unknown:
        lines.append(f"{places(unknown)}: which eye is shown is not stated, or stated with contradictions.")
    if any(i.assessed for i in images):
        lines.append(BELOW)
    if result.bundle.missing_labels:
        names = ", ".join(label_of(name).display for name in result.bundle.missing_labels)
        lines.append(f"This model has no opinion on: {names}.")
    lines.append(model_words(result.bundle))
    if result.predecessor is not None:
        lines.append(revision_words(result))
    return lines


def revision_words(result: StudyResult) -> str:
    """How a revision stands to the report before it."""
    if any(reason.code is ReasonCode.FILE_REMOVED for image in result.images for reason in image.reasons):
        return (
            f"Revision {result.revision}: adds to the earlier report of this study, which still holds for the "
            "photographs whose files are no longer kept."
        )
    return f"Revision {result.revision}: replaces the earlier report of this study."


def tracking_identifier(image: ImageResult, what: str, peers: Sequence[ImageResult], bundle: BundleRef) -> str:
    """ "OD Diabetic retinopathy", with the image's number where the eye has several images.

    Some viewers show nothing but this beside a number, so it says UNTRAINED too.
    """
    name = f"{image.laterality.eye} {what}" if bundle.trained else f"UNTRAINED {image.laterality.eye} {what}"
    if len(peers) > 1:
        name += f", image {image.ordinal}" + (f" frame {image.frame}" if image.frame else "")
    return name
