"""Content items (PS3.3 C.17.3), one short function a value type. Every container is SEPARATE.

Readers such as Weasis and dsr2html run the items of a CONTINUOUS container together and hide their names, and that is
what highdicom makes unless told otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    TimeContentItem,
    UIDRefContentItem,
)

from ocunet_pacs.report.codes import concept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.labels import Code

Relation = RelationshipTypeValues


def container(
    name: Code,
    children: Sequence[ContentItem],
    template: str | None = None,
    relation: Relation | None = Relation.CONTAINS,
) -> ContentItem:
    """A SEPARATE container; `template` is its DCMR template, None relation makes it the root."""
    item = ContainerContentItem(
        concept(name), is_content_continuous=False, template_id=template, relationship_type=relation
    )
    item.ContentSequence = ContentSequence(children)
    return item


def code(name: Code, value: Code, relation: Relation = Relation.CONTAINS) -> ContentItem:
    """CODE."""
    return CodeContentItem(concept(name), concept(value), relation)


def text(name: Code, value: str, relation: Relation = Relation.CONTAINS) -> ContentItem:
    """TEXT."""
    return TextContentItem(concept(name), value, relation)


def uid(name: Code, value: str, relation: Relation = Relation.HAS_OBS_CONTEXT) -> ContentItem:
    """UIDREF."""
    return UIDRefContentItem(concept(name), value, relation)


def number(name: Code, value: float, unit: Code, relation: Relation = Relation.CONTAINS) -> ContentItem:
    """NUM."""
    return NumContentItem(concept(name), value, concept(unit), relationship_type=relation)


def date(name: Code, value: str, relation: Relation) -> ContentItem:
    """DATE, from YYYYMMDD."""
    return DateContentItem(concept(name), value, relation)


def time(name: Code, value: str, relation: Relation) -> ContentItem:
    """TIME, from HHMMSS.FFFFFF."""
    return TimeContentItem(concept(name), value, relation)


def image(
    name: Code, sop_class: str, sop_instance: str, frame: int | None = None, relation: Relation = Relation.CONTAINS
) -> ContentItem:
    """IMAGE, or one frame of it."""
    return ImageContentItem(
        concept(name),
        sop_class,
        sop_instance,
        referenced_frame_numbers=None if frame is None else [frame],
        relationship_type=relation,
    )


def composite(name: Code, sop_class: str, sop_instance: str) -> ContentItem:
    """COMPOSITE: an object that is not an image."""
    return CompositeContentItem(concept(name), sop_class, sop_instance, Relation.CONTAINS)


def below(item: ContentItem, *children: ContentItem) -> ContentItem:
    """The same item with children."""
    item.ContentSequence = ContentSequence(children)
    return item
