"""What the report concludes of each eye, coded, ahead of everything about single images.

A container of its own (PS3.16 names it for reports in general; TID 1500 is extensible) rather than measurement groups:
a viewer that lists groups lets its user jump from each to its image, and an eye is not one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.report import codes, ordering, tree, wording
from ocunet_pacs.report.eyes import eyes
from ocunet_pacs.report.groups import site_of, source_image
from ocunet_pacs.report.reading import EYES
from ocunet_pacs.report.tree import Relation
from ocunet_pacs.report.urgency import study_urgency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from highdicom.sr import ContentItem

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.domain.result import ImageResult
    from ocunet_pacs.report.eyes import Eye, Leading
    from ocunet_pacs.report.groups import GroupContext
    from ocunet_pacs.report.report_settings import ReportSettings


def urgency_item(images: Iterable[ImageResult], settings: ReportSettings) -> ContentItem:
    """How soon a person should look, by these images; nobody knows where none of them was assessed."""
    assessed = [image for image in images if image.assessed]
    value = codes.URGENCY_CODES[study_urgency(assessed, settings)] if assessed else codes.UNDETERMINED
    return tree.code(codes.SUGGESTED_URGENCY, value)


def conclusion_containers(context: GroupContext) -> list[ContentItem]:
    """One for each eye that was photographed, OD first."""
    return [_conclusion(context, eye) for eye in eyes(context.result.images)]


def _conclusion(context: GroupContext, eye: Eye) -> ContentItem:
    # In words too: viewers that print the tree leave out what lies beneath a code, as the side of the site does.
    words = [EYES[eye.laterality.eye], *(wording.score_words(found.score) for found in eye.leading(context.settings))]
    items = [
        tree.text(codes.COMMENT, "; ".join(words)),
        site_of(eye.laterality, codes.EYE),
        urgency_item(eye.images, context.settings),
        tree.code(codes.NORMALITY, _normality(eye)),
        *(_finding(context, found) for found in eye.leading(context.settings)),
    ]
    return tree.container(codes.CONCLUSIONS, items)


def _normality(eye: Eye) -> Code:
    """What the normal class and the composite flag say of the eye; the labels are listed beside it.

    Normal only where every assessed image is and nothing else is above threshold; nothing where neither class speaks.
    """
    images = eye.assessed
    positives = [score for image in images for score in image.scores if score.positive]
    if any(ordering.is_contradictory(image) for image in images):
        return codes.INDETERMINATE
    if any(score.label == ordering.COMPOSITE for score in positives):
        return codes.ABNORMAL
    everywhere = bool(images) and all(ordering.is_positive(image, ordering.NORMAL) for image in images)
    return codes.NORMAL if everywhere else codes.UNDETERMINED


def _finding(context: GroupContext, found: Leading) -> ContentItem:
    """A label above threshold in any of the eye's images, with its highest probability and the image that has it."""
    label = codes.label_of(found.score.label)
    number = tree.number(
        codes.PROBABILITY, round(100 * found.score.probability, 2), codes.PERCENT, Relation.HAS_PROPERTIES
    )
    return tree.below(
        tree.code(label.code, codes.PRESENT),
        site_of(found.image.laterality, label.site),
        tree.below(
            number,
            tree.code(codes.DERIVATION, codes.MAXIMUM, Relation.HAS_CONCEPT_MOD),
            source_image(found.image, Relation.INFERRED_FROM),
        ),
        tree.code(
            codes.SUGGESTED_URGENCY, codes.URGENCY_CODES[context.settings.urgency(label)], Relation.HAS_PROPERTIES
        ),
    )
