"""Content items of a report as data sets: how to walk them and what they name (PS3.3 C.17.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.report import codes
from ocunet_pacs.report.codes import same_concept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.labels import Code


def walk(item: Dataset) -> Iterator[Dataset]:
    """The content item and everything beneath it, in document order."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from walk(child)


def named(item: Dataset, code: Code) -> bool:
    """Whether this content item's concept name is `code`."""
    names = item.get("ConceptNameCodeSequence")
    return bool(names) and same_concept(names[0], code)


def groups(ds: Dataset) -> list[Dataset]:
    """The measurement groups of a report."""
    return [item for item in walk(ds) if named(item, codes.MEASUREMENT_GROUP)]
