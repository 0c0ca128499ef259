"""What a reader with half a minute reads: how soon, then eye by eye what is above threshold and what was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.report import ordering, urgency
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import by_exceptions, eyes
from ocunet_pacs.report.wording import IN_SHORT, REASON_WORDS, exceptions, percent, place, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.result import ImageResult, LabelScore, StudyResult
    from ocunet_pacs.domain.study import Reason
    from ocunet_pacs.report.eyes import Eye, Leading
    from ocunet_pacs.report.report_settings import ReportSettings

NOTHING_ASSESSED = (
    "No photograph of this study was assessed; the reasons are given below. No result does not mean normal."
)


def summary(result: StudyResult, settings: ReportSettings) -> list[str]:
    """The urgency of the study, then OD, OS and what is of an unknown eye, then what all of this is.

    Images one by one are the groups' matter. Who reads no further has read that it is no diagnosis.
    """
    lines = [urgency.urgency_words(result.images, settings, trained=result.bundle.trained)]
    if not any(image.assessed for image in result.images):
        lines.append(NOTHING_ASSESSED)
    for eye in eyes(result.images):
        if eye.assessed:
            lines.append(eye_words(eye, settings))
        lines += [f"{places(same)}: {exceptions(same[0].despite)}" for same in by_exceptions(eye.images)]
        if eye.missed:
            lines.append(_missed(eye))
    return [*lines, IN_SHORT]


def eye_words(eye: Eye, settings: ReportSettings) -> str:
    """What the assessed images of an eye say together; there is at least one."""
    images = eye.assessed
    if len(images) == 1:
        return image_words(images[0], settings)
    found = eye.leading(settings)
    normal = [image for image in images if ordering.is_positive(image, ordering.NORMAL)]
    flagged = [image for image in images if ordering.is_positive(image, ordering.COMPOSITE)]
    if found:
        words = "above threshold: " + "; ".join(_leading_words(one, len(images), settings) for one in found)
    elif flagged:
        words = f"{urgency.COMPOSITE_ALONE} ({_numbers(flagged)})"
    elif len(normal) == len(images):
        return f"{eye.laterality.eye}, {len(images)} images: no abnormality detected by the model in any of them."
    else:
        words = "no finding above its threshold in any of them"
    if normal:
        words += f". The model's normal class is above threshold in {_numbers(normal)}"
    if any(ordering.is_contradictory(image) for image in images):
        words += ", a contradiction: a person should read it"
    return f"{eye.laterality.eye}, {len(images)} images: {words}."


def image_words(image: ImageResult, settings: ReportSettings) -> str:
    """What one assessed image says."""
    found = ordering.findings(image, settings)
    normal = next((s for s in image.scores if s.positive and s.label == ordering.NORMAL), None)
    if found:
        words = "above threshold: " + "; ".join(_score_words(score, settings) for score in found)
    elif ordering.is_positive(image, ordering.COMPOSITE):
        words = urgency.COMPOSITE_ALONE
    elif normal:
        scored = f"{percent(normal.probability)}, threshold {percent(normal.threshold)}"
        return f"{place(image)}: no abnormality detected by the model (normal class {scored})."
    else:
        words = "no label above its threshold"
    if normal:
        words += (
            f". The model's normal class is above threshold too ({percent(normal.probability)}), a contradiction: "
            "a person should read it"
        )
    return f"{place(image)}: {words}."


def _score_words(score: LabelScore, settings: ReportSettings) -> str:
    return (
        f"{label_of(score.label).display} {percent(score.probability)} "
        f"(threshold {percent(score.threshold)}{_urgency(score, settings)})"
    )


def _leading_words(found: Leading, of: int, settings: ReportSettings) -> str:
    frame = f" frame {found.image.frame}" if found.image.frame else ""
    score = found.score
    judged = f", which was judged {_judged(found.image.despite)}" if found.image.despite else ""
    return (
        f"{label_of(score.label).display} {percent(score.probability)} in image {found.image.ordinal}{frame}{judged} "
        f"(threshold {percent(score.threshold)}, above it in {found.above} of {of}{_urgency(score, settings)})"
    )


def _urgency(score: LabelScore, settings: ReportSettings) -> str:
    """ ", urgent"; nothing where the label suggests none."""
    suggested = settings.urgency(label_of(score.label))
    return f", {urgency.WORDS[suggested]}" if suggested.rank else ""


def _judged(despite: Sequence[Reason]) -> str:
    return " and ".join(dict.fromkeys(REASON_WORDS[reason.code] for reason in despite))


def _missed(eye: Eye) -> str:
    """Which images of an eye were not assessed, in a reader's words."""
    kinds: dict[str, list[ImageResult]] = {}
    for image in eye.missed:
        why = REASON_WORDS[image.reasons[0].code] if image.reasons else "no reason recorded"
        kinds.setdefault(why, []).append(image)
    words = "; ".join(f"{why} ({_numbers(images)})" for why, images in kinds.items())
    return f"{eye.laterality.eye}, not assessed: {words}."


def _numbers(images: Sequence[ImageResult]) -> str:
    """Which pictures of an eye that was named already: images 2, 4 (frames 1-12)."""
    return places(images).removeprefix(images[0].laterality.eye).strip()
