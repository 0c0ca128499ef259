"""How soon a person should look: by the labels above threshold, of an eye and of a study.

Every label's urgency is the table's or the site's (`ReportSettings.urgencies`). The normal class has none. A label that
asks for another photograph (media haze) does so beside whatever else is urgent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.report import ordering
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import eyes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ocunet_pacs.domain.result import ImageResult, LabelScore
    from ocunet_pacs.report.eyes import Eye
    from ocunet_pacs.report.report_settings import ReportSettings

COMPOSITE_ALONE = "composite abnormality flag above threshold without any specific label: a person should read it"
HEADING = "Suggested urgency of review"
WORDS = {
    Urgency.NONE: "none suggested",
    Urgency.REPEAT_IMAGE: "repeat the photograph",
    Urgency.ROUTINE: "routine",
    Urgency.SOON: "soon",
    Urgency.URGENT: "urgent",
    Urgency.EMERGENCY: "emergency",
}
"""Each in a sentence."""


def study_urgency(images: Iterable[ImageResult], settings: ReportSettings) -> Urgency:
    """The highest that a label above threshold suggests; NONE where no label is."""
    found = (settings.urgency(label_of(score.label)) for image in images for score in _counting(image))
    return max(found, key=lambda urgency: urgency.rank, default=Urgency.NONE)


def urgency_words(images: Sequence[ImageResult], settings: ReportSettings, *, trained: bool = True) -> str:
    """The report's first sentence: how soon, and because of what in which eye."""
    photographed = eyes(images)
    if not any(eye.assessed for eye in photographed):
        words = "not determined, because no photograph was assessed."
    else:
        words = _suggestion(photographed, study_urgency(images, settings), settings)
        flagged = [eye.laterality.eye for eye in photographed if _is_flagged_alone(eye)]
        if flagged:
            words += f" {COMPOSITE_ALONE[0].upper()}{COMPOSITE_ALONE[1:]} ({', '.join(flagged)})."
        missed = [eye.laterality.eye for eye in photographed if not eye.assessed]
        if missed:
            words += f" Not assessed: {', '.join(missed)}."
    return f"{HEADING}{'' if trained else ' (UNTRAINED MODEL, meaningless)'}: {words}"


def _suggestion(photographed: Sequence[Eye], highest: Urgency, settings: ReportSettings) -> str:
    def because(urgency: Urgency) -> str:
        return _because(photographed, lambda score: settings.urgency(label_of(score.label)) is urgency, settings)

    if highest is not Urgency.NONE:
        words = f"{WORDS[highest]} ({because(highest)})."
        repeat = because(Urgency.REPEAT_IMAGE)
        if repeat and highest is not Urgency.REPEAT_IMAGE:
            words += f" Also repeat the photograph ({repeat})."
        return words
    findings = _because(photographed, ordering.is_finding, settings)
    if findings:
        return f"none by the labels above threshold ({findings})."
    if any(_is_flagged_alone(eye) for eye in photographed):
        return "none by a specific label."
    return "none suggested: no finding is above its threshold, which does not exclude disease."


def _because(photographed: Iterable[Eye], counts: Callable[[LabelScore], bool], settings: ReportSettings) -> str:
    """The labels of each eye that count, most probable first: "OD: Retinal detachment; OS: Cataract"."""
    parts = []
    for eye in photographed:
        scores = (score for image in eye.assessed for score in _counting(image) if counts(score))
        names = dict.fromkeys(label_of(score.label).display for score in ordering.by_urgency(scores, settings))
        if names:
            parts.append(f"{eye.laterality.eye}: {', '.join(names)}")
    return "; ".join(parts)


def _counting(image: ImageResult) -> list[LabelScore]:
    return [score for score in image.scores if score.positive and score.label != ordering.NORMAL]


def _is_flagged_alone(eye: Eye) -> bool:
    """The composite flag without a label that would say why."""
    labels = {score.label for image in eye.assessed for score in _counting(image)}
    return labels == {ordering.COMPOSITE}
