"""Who comes first: eyes, images, labels. One order for the report, the heatmaps and the readable forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.report.codes import label_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocunet_pacs.domain.result import ImageResult, LabelScore
    from ocunet_pacs.report.report_settings import ReportSettings

COMPOSITE = "Disease_Risk"
NORMAL = "NORMAL"

_EYES = (Laterality.RIGHT, Laterality.LEFT, Laterality.UNKNOWN)


def by_eye(images: Iterable[ImageResult]) -> list[ImageResult]:
    """OD, then OS, then unknown; within an eye in order of arrival."""
    return sorted(images, key=lambda i: (_EYES.index(i.laterality), i.ordinal, i.frame or 0))


def is_finding(score: LabelScore) -> bool:
    """Whether the label says something of its own: neither the composite flag nor the normal class."""
    return score.label not in {COMPOSITE, NORMAL}


def findings(image: ImageResult, settings: ReportSettings) -> list[LabelScore]:
    """The positive findings, most urgent first, then most probable."""
    return by_urgency((s for s in image.scores if s.positive and is_finding(s)), settings)


def by_urgency(scores: Iterable[LabelScore], settings: ReportSettings) -> list[LabelScore]:
    """Most urgent first, then most probable: probabilities of labels with different thresholds do not compare."""
    return sorted(scores, key=lambda s: (-settings.urgency(label_of(s.label)).rank, -s.probability, s.label))


def leading(image: ImageResult, settings: ReportSettings) -> list[LabelScore]:
    """The labels that the image's heatmap explains: its leading findings, else the flag, else the normal class."""
    positives = findings(image, settings)
    if not positives:
        positives = sorted((s for s in image.scores if s.positive), key=lambda s: s.label == NORMAL)[:1]
    return positives[: settings.heatmap_labels]


def is_positive(image: ImageResult, label: str) -> bool:
    """Whether the image is positive for the label of that name."""
    return any(s.label == label and s.positive for s in image.scores)


def is_contradictory(image: ImageResult) -> bool:
    """Whether the normal class stands beside any other positive label."""
    return is_positive(image, NORMAL) and any(s.positive and s.label != NORMAL for s in image.scores)
