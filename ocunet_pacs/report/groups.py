"""Measurement groups (TID 1501): one for each label that the report states, and one for each image without results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.header import MANUFACTURER
from ocunet_pacs.report import codes, ordering, remarks, summary, tree, wording
from ocunet_pacs.report.caveats import caveat_of
from ocunet_pacs.report.secondary_capture import heatmap_uid
from ocunet_pacs.report.tree import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from highdicom.sr import ContentItem
    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.labels import Code, Label
    from ocunet_pacs.domain.result import ImageResult, LabelScore, Output, StudyResult
    from ocunet_pacs.domain.routes import Form
    from ocunet_pacs.report.report_settings import ReportSettings

_QUALITY = frozenset({ReasonCode.TOO_SMALL, ReasonCode.UNREADABLE_PIXELS, ReasonCode.NO_PIXELS, ReasonCode.UNGRADABLE})
"""Reasons that speak of the picture's quality. The others say that the picture is none for this model."""


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What all groups of one report share. `sources` holds the readable headers by SOP Instance UID.

    `pictures` are the heatmaps by their own UID; the report refers to those of its own form.
    """

    result: StudyResult
    settings: ReportSettings
    form: Form
    software_version: str
    sources: Mapping[str, Dataset]
    pictures: Mapping[str, Output]

    def heatmap_of(self, image: ImageResult) -> Output | None:
        """The image's heatmap; None where it has none or the form refers to none."""
        if not image.heatmap_uid or not self.form.heatmap:
            return None
        return self.pictures[heatmap_uid(image, self.result.bundle, self.settings, self.form.heatmap)]


def measurement_groups(context: GroupContext) -> list[ContentItem]:
    """The groups of the whole study, OD first."""
    groups = []
    images = context.result.images
    # What is no photograph has no group, unless there would be none at all, and is of no eye.
    unknown = Laterality.UNKNOWN
    shown = [i for i in images if not i.is_context] or [replace(i, laterality=unknown) for i in images]
    for image in ordering.by_eye(shown):
        peers = [i for i in shown if i.laterality is image.laterality]
        if image.assessed:
            groups += [_label_group(context, image, score, peers) for score in _stated(image, context.settings)]
            if not any(score.positive for score in image.scores):
                groups.append(_nothing_group(context, image, peers))
        else:
            groups.append(_unassessed_group(context, image, peers))
    return groups


def _stated(image: ImageResult, settings: ReportSettings) -> list[LabelScore]:
    """Findings, then the composite flag and the normal class, then (where the site asks) what is below threshold."""
    general = [s for s in image.scores if s.positive and not ordering.is_finding(s)]
    below = [s for s in image.scores if not s.positive] if settings.include_below_threshold else []
    return ordering.findings(image, settings) + general + ordering.by_urgency(below, settings)


def _label_group(
    context: GroupContext, image: ImageResult, score: LabelScore, peers: Sequence[ImageResult]
) -> ContentItem:
    label = codes.label_of(score.label)
    name = label.display if score.positive else f"{label.display} (below threshold)"
    items = _tracking(
        context, image, wording.tracking_identifier(image, name, peers, context.result.bundle), score.label
    )
    if ordering.is_finding(score):
        items.append(tree.code(codes.FINDING, label.code))
    items.append(site_of(image.laterality, label.site))
    items += _algorithm(context, score)
    items.append(_probability(image, score))
    items.append(_statement(image, score, label))
    urgency = context.settings.urgency(label)
    if score.positive and (ordering.is_finding(score) or (score.label == ordering.COMPOSITE and urgency.rank)):
        items.append(tree.code(codes.SUGGESTED_URGENCY, codes.URGENCY_CODES[urgency]))
    if caveat_of(label):
        items.append(tree.text(codes.COMMENT, caveat_of(label)))
    items += _exceptions(image)
    items += _references(context, image, score)
    return tree.container(codes.MEASUREMENT_GROUP, items, "1501")


def _statement(image: ImageResult, score: LabelScore, label: Label) -> ContentItem:
    """What the group claims. Nothing is claimed of a label below threshold: "absent" would overstate it.

    The normal class says Normal only where nothing stands against it, and the composite flag says Abnormal: neither is
    a finding.
    """
    if score.label == ordering.NORMAL:
        value = codes.INDETERMINATE if ordering.is_contradictory(image) else codes.NORMAL
        return tree.code(codes.NORMALITY, value if score.positive else codes.UNDETERMINED)
    if score.label == ordering.COMPOSITE:
        value = codes.INDETERMINATE if ordering.is_contradictory(image) else codes.ABNORMAL
        return tree.code(codes.NORMALITY, value if score.positive else codes.UNDETERMINED)
    return tree.code(label.code, codes.PRESENT if score.positive else codes.UNDETERMINED)


def _nothing_group(context: GroupContext, image: ImageResult, peers: Sequence[ImageResult]) -> ContentItem:
    """An assessed image without any positive label, the normal class included: said, not left out."""
    name = wording.tracking_identifier(image, "no label above threshold", peers, context.result.bundle)
    items = _tracking(context, image, name, "")
    items.append(site_of(image.laterality, codes.label_of(ordering.NORMAL).site))
    items += _algorithm(context, None)
    items.append(tree.code(codes.NORMALITY, codes.UNDETERMINED))
    items.append(tree.text(codes.COMMENT, summary.image_words(image, context.settings)))
    items += _exceptions(image)
    items += _references(context, image, None)
    return tree.container(codes.MEASUREMENT_GROUP, items, "1501")


def _unassessed_group(context: GroupContext, image: ImageResult, peers: Sequence[ImageResult]) -> ContentItem:
    """An image without results, with the reason."""
    name = wording.tracking_identifier(image, "not assessed", peers, context.result.bundle)
    items = _tracking(context, image, name, "")
    if image.laterality is not Laterality.UNKNOWN:
        items.append(site_of(image.laterality, codes.EYE))
    poor = any(reason.code in _QUALITY for reason in image.reasons)
    items.append(tree.code(codes.QUALITY_ASSESSMENT, codes.INSUFFICIENT_QUALITY if poor else codes.UNDETERMINED))
    items.append(tree.text(codes.COMMENT, remarks.not_assessed([image])))
    items += _references(context, image, None)
    return tree.container(codes.MEASUREMENT_GROUP, items, "1501")


def _exceptions(image: ImageResult) -> list[ContentItem]:
    """What the image was scored in spite of: no number of it goes without."""
    if not image.despite:
        return []
    items = [tree.text(codes.COMMENT, f"{wording.place(image)}: {wording.exceptions(image.despite)}")]
    if any(reason.code in _QUALITY for reason in image.despite):
        items.insert(0, tree.code(codes.QUALITY_ASSESSMENT, codes.INSUFFICIENT_QUALITY))
    return items


def _tracking(context: GroupContext, image: ImageResult, name: str, label: str) -> list[ContentItem]:
    where = (image.sop_instance_uid, str(image.frame or 0))
    unique = derive_uid("tracking", context.result.key, *where, label)
    return [
        tree.text(codes.TRACKING_IDENTIFIER, name, Relation.HAS_OBS_CONTEXT),
        tree.uid(codes.TRACKING_UNIQUE_IDENTIFIER, unique),
    ]


def site_of(laterality: Laterality, site: Code) -> ContentItem:
    """The finding site in this eye; without a side where nobody knows it."""
    item = tree.code(codes.FINDING_SITE, site, Relation.HAS_CONCEPT_MOD)
    side = codes.LATERALITY_CODES.get(laterality)
    if side is None:
        return item
    return tree.below(item, tree.code(codes.LATERALITY, side, Relation.HAS_CONCEPT_MOD))


def _algorithm(context: GroupContext, score: LabelScore | None) -> list[ContentItem]:
    """TID 4019."""
    bundle = context.result.bundle
    name = bundle.name if bundle.trained else f"{bundle.name} (UNTRAINED)"
    temperature = bundle.temperature if score is None else bundle.temperature_of(score.label)
    parameters = [
        f"temperature={temperature:g}",
        f"bundle sha256={bundle.digest}",
        f"operating point={bundle.operating_point}",
    ]
    if score is not None:
        parameters.insert(0, f"threshold={score.threshold:g}")
    return [
        tree.text(codes.ALGORITHM_NAME, name, Relation.HAS_CONCEPT_MOD),
        tree.text(codes.ALGORITHM_VERSION, context.software_version, Relation.HAS_CONCEPT_MOD),
        tree.text(codes.ALGORITHM_MANUFACTURER, MANUFACTURER, Relation.HAS_CONCEPT_MOD),
        *(tree.text(codes.ALGORITHM_PARAMETERS, words, Relation.HAS_CONCEPT_MOD) for words in parameters),
    ]


def _probability(image: ImageResult, score: LabelScore) -> ContentItem:
    number = tree.number(codes.PROBABILITY, round(100 * score.probability, 2), codes.PERCENT)
    # Readers that expect every number to rest on something fail on a number without children.
    return tree.below(number, source_image(image, Relation.INFERRED_FROM))


def source_image(image: ImageResult, relation: Relation) -> ContentItem:
    """The photograph, or the frame of it, that a statement is about."""
    return tree.image(
        codes.SOURCE_OF_MEASUREMENT, image.sop_class_uid, image.sop_instance_uid, image.frame, relation=relation
    )


def _references(context: GroupContext, image: ImageResult, score: LabelScore | None) -> list[ContentItem]:
    """The photograph (where it could be read) and, for a label that the heatmap explains, the heatmap."""
    items = []
    source = context.sources.get(image.sop_instance_uid)
    if source is not None and "Rows" in source:
        items.append(source_image(image, Relation.CONTAINS))
    elif source is not None:
        items.append(tree.composite(codes.SOURCE, image.sop_class_uid, image.sop_instance_uid))
    heatmap = context.heatmap_of(image)
    if heatmap is not None and score in ordering.leading(image, context.settings):
        items.append(tree.image(codes.VISUAL_EXPLANATION, heatmap.sop_class_uid, heatmap.sop_instance_uid))
    return items
