"""A report's content as plain values, read once from its data set: for our rules and for everything that shows it.

Reading never fails: what is missing or malformed is empty here, and a rule asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ocunet_pacs.domain.labels import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


class Reference(NamedTuple):
    """What an IMAGE or COMPOSITE item refers to; frame 0 is the whole instance."""

    sop_class: str
    sop_instance: str
    frame: int


@dataclass(frozen=True, slots=True)
class Item:
    """One content item. `name` is its concept name; `code`, `text`, `uid`, `number` and `reference` are its value.

    Codes that are absent are None, other values "" or None. `unit` is a number's.
    """

    value_type: str
    relation: str
    name: Code | None
    code: Code | None
    text: str
    uid: str
    number: float | None
    unit: Code | None
    reference: Reference | None
    continuity: str
    children: tuple[Item, ...] = field(default=(), repr=False)

    def walk(self) -> Iterator[Item]:
        """The item and everything beneath it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def named(self, name: Code) -> list[Item]:
        """The items directly beneath that have this name."""
        return [child for child in self.children if same(child.name, name)]

    def value(self, name: Code) -> Code | None:
        """The value of the CODE of this name directly beneath."""
        return next((child.code for child in self.named(name) if child.value_type == "CODE"), None)

    def texts(self, name: Code) -> list[str]:
        """The texts of this name directly beneath."""
        return [child.text for child in self.named(name) if child.value_type == "TEXT"]

    def refers_to(self, *names: Code) -> Reference | None:
        """What the first item with one of these names directly beneath refers to."""
        found = (child.reference for child in self.children if any(same(child.name, name) for name in names))
        return next((reference for reference in found if reference is not None), None)


def same(one: Code | None, other: Code | None) -> bool:
    """Whether two codes are one concept; meanings do not count. An absent code is no concept."""
    return one is not None and other is not None and (one.value, one.scheme) == (other.value, other.scheme)


def read_items(ds: Dataset) -> Item:
    """The tree under a report's root, or under any content item."""
    value_type = str(ds.get("ValueType") or "")
    measured = _first(ds, "MeasuredValueSequence") if value_type == "NUM" else None
    return Item(
        value_type,
        str(ds.get("RelationshipType") or ""),
        _code(ds, "ConceptNameCodeSequence"),
        _code(ds, "ConceptCodeSequence") if value_type == "CODE" else None,
        str(ds.get("TextValue") or "") if value_type == "TEXT" else "",
        str(ds.get("UID") or "") if value_type == "UIDREF" else "",
        None if measured is None else _number(measured),
        None if measured is None else _code(measured, "MeasurementUnitsCodeSequence"),
        _reference(ds) if value_type in {"IMAGE", "COMPOSITE"} else None,
        str(ds.get("ContinuityOfContent") or "") if value_type == "CONTAINER" else "",
        tuple(read_items(child) for child in ds.get("ContentSequence") or ()),
    )


def _first(ds: Dataset, keyword: str) -> Dataset | None:
    return next(iter(ds.get(keyword) or ()), None)


def _code(ds: Dataset, keyword: str) -> Code | None:
    item = _first(ds, keyword)
    if item is None:
        return None
    value, scheme, meaning = (item.get(k) for k in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    return Code(str(value or ""), str(scheme or ""), str(meaning or ""))


def _number(measured: Dataset) -> float | None:
    try:
        return float(measured.NumericValue)
    except (AttributeError, TypeError, ValueError):
        return None


def _reference(ds: Dataset) -> Reference | None:
    item = _first(ds, "ReferencedSOPSequence")
    if item is None:
        return None
    try:
        frame = int(item.get("ReferencedFrameNumber") or 0)
    except (TypeError, ValueError):
        frame = -1
    return Reference(
        str(item.get("ReferencedSOPClassUID") or ""), str(item.get("ReferencedSOPInstanceUID") or ""), frame
    )
