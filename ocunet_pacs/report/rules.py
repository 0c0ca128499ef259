"""A rule that our objects keep, and how a data set is held to many of them.

A rule changes nothing. A data set that lacks what the rule reads breaks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ocunet_pacs.imaging.part10 import quiet
from ocunet_pacs.report.items import read_items
from ocunet_pacs.report.said import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset


class Element(NamedTuple):
    """One element of a data set or of an item in it; `values` are its values as text."""

    keyword: str
    representation: str
    values: tuple[str, ...]


class Object:
    """A data set with what several rules read of it, each read once."""

    def __init__(self, ds: Dataset) -> None:
        self.ds = ds

    @cached_property
    def said(self) -> Said:
        """The content of a report."""
        return Said(read_items(self.ds))

    @cached_property
    def datasets(self) -> list[Dataset]:
        """The data set and every item in it."""
        return list(_with_items(self.ds))

    @cached_property
    def unreadable(self) -> bool:
        """Whether some value cannot be read as what its VR says."""
        return any(element is None for ds in self.datasets for element in _elements(ds))

    @cached_property
    def elements(self) -> list[Element]:
        """Every element that is neither a sequence nor pixels, those in items too."""
        every = (element for ds in self.datasets for element in _elements(ds) if element is not None)
        return [_element(element) for element in every if element.VR not in _BULKY]


_BULKY = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})


def _with_items(ds: Dataset) -> Iterator[Dataset]:
    yield ds
    for element in _elements(ds):
        if element is not None and element.VR == "SQ":
            for item in element.value:
                yield from _with_items(item)


def _elements(ds: Dataset) -> Iterator[DataElement | None]:
    """Its elements, None for one whose value cannot be read."""
    for tag in sorted(ds.keys()):
        try:
            yield ds[tag]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- pydicom raises a dozen kinds on a broken value
            yield None


def _element(element: DataElement) -> Element:
    value = element.value
    if value is None or value == "":
        return Element(element.keyword, element.VR, ())
    many = value if element.VM > 1 else (value,)
    return Element(element.keyword, element.VR, tuple(str(one) for one in many))


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold; `holds` looks at the data set, or `true_of` at what was read of it.

    `id` is short and never given to another rule. `says` is the sentence that must be true. `basis` is why: the part of
    DICOM, the reader that was seen to fail without it, or what we promise.
    """

    id: str
    says: str
    basis: str
    holds: Callable[[Dataset], bool] | None = None
    true_of: Callable[[Object], bool] | None = None

    def __str__(self) -> str:
        return f"{self.id} {self.says}"


def broken(ds: Dataset, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that the data set breaks, in their order."""
    read = Object(ds)
    with quiet():
        return [rule for rule in rules if not _kept(rule, read)]


def _kept(rule: Rule, read: Object) -> bool:
    try:
        if rule.holds is not None:
            return bool(rule.holds(read.ds))
        return rule.true_of is not None and bool(rule.true_of(read))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- an attribute that the rule reads is missing or malformed, in a dozen ways
        return False
