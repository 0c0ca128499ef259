"""What a report says, taken from its items: groups, conclusions, remarks. For our rules and for what shows it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.report import codes
from ocunet_pacs.report.items import same

if TYPE_CHECKING:
    from ocunet_pacs.domain.labels import Code, Label
    from ocunet_pacs.report.items import Item, Reference

EYES = {"24028007": "OD", "7771000": "OS", "": "eye unknown"}
"""By the code value of the side, in the order of reports."""
_CLAIMS = (codes.PRESENT, codes.NORMAL, codes.ABNORMAL, codes.INDETERMINATE)
_RANKS = {(code.scheme, code.value): urgency for urgency, code in codes.URGENCY_CODES.items()}


class Statement:
    """A measurement group, or the conclusion about an eye."""

    def __init__(self, item: Item) -> None:
        self.item = item

    @cached_property
    def identifier(self) -> str:
        """Tracking identifier, without the word of untrained weights."""
        return next(iter(self.item.texts(codes.TRACKING_IDENTIFIER)), "").removeprefix("UNTRAINED ")

    @cached_property
    def finding(self) -> Code | None:
        """The finding, where the group is about one."""
        return self.item.value(codes.FINDING)

    @cached_property
    def label(self) -> Label | None:
        """The label whose code the finding has."""
        return None if self.finding is None else codes.label_by_code().get((self.finding.scheme, self.finding.value))

    @cached_property
    def claim(self) -> Code | None:
        """What is said of the finding, or of normality where there is none; None where the model did not speak."""
        return self.item.value(self.finding or codes.NORMALITY)

    @cached_property
    def claims(self) -> bool:
        """Whether it says something to be there, rather than leaving it open."""
        return any(same(self.claim, code) for code in _CLAIMS)

    @cached_property
    def side(self) -> str:
        """Code value of the site's laterality, "" where none is named."""
        site = next(iter(self.item.named(codes.FINDING_SITE)), None)
        side = None if site is None else site.value(codes.LATERALITY)
        return "" if side is None else side.value

    @cached_property
    def probability(self) -> float | None:
        """In percent."""
        return next((number.number for number in self.item.named(codes.PROBABILITY)), None)

    @cached_property
    def threshold(self) -> float | None:
        """As a share of 1."""
        try:
            return float(self.parameter("threshold"))
        except ValueError:
            return None

    def parameter(self, name: str) -> str:
        """The value of an algorithm parameter, which is a text "name=value"; "" where it is not given."""
        found = (words for words in self.item.texts(codes.ALGORITHM_PARAMETERS) if words.startswith(f"{name}="))
        return next(found, "").partition("=")[2]

    @cached_property
    def urgency(self) -> Urgency | None:
        """How soon a person should look; None where that is not said, or not determined."""
        return urgency_of(self.item)

    @cached_property
    def source(self) -> Reference | None:
        """The photograph."""
        return self.item.refers_to(codes.SOURCE_OF_MEASUREMENT)

    @cached_property
    def comments(self) -> list[str]:
        """Caveats and reasons."""
        return self.item.texts(codes.COMMENT)


class Said:
    """A whole report."""

    def __init__(self, root: Item) -> None:
        self.root = root

    @cached_property
    def everything(self) -> list[Item]:
        """All items in document order."""
        return list(self.root.walk())

    @cached_property
    def groups(self) -> list[Statement]:
        """The measurement groups."""
        return [Statement(item) for item in self.everything if same(item.name, codes.MEASUREMENT_GROUP)]

    @cached_property
    def conclusions(self) -> list[Statement]:
        """One an eye."""
        return [Statement(item) for item in self.root.named(codes.CONCLUSIONS)]

    @cached_property
    def numbers(self) -> list[Item]:
        """Every probability."""
        return [item for item in self.everything if same(item.name, codes.PROBABILITY)]

    @cached_property
    def library(self) -> dict[str, Item]:
        """The entries of the image library by SOP Instance UID."""
        entries = (entry for library in self.root.named(codes.IMAGE_LIBRARY) for entry in library.walk())
        return {entry.reference.sop_instance: entry for entry in entries if entry.reference is not None}

    @cached_property
    def summary(self) -> list[str]:
        """The urgency, then what is said of each eye."""
        return self.root.texts(codes.SUMMARY)

    @cached_property
    def remarks(self) -> list[str]:
        """The qualitative evaluations."""
        return [words for box in self.root.named(codes.QUALITATIVE_EVALUATIONS) for words in box.texts(codes.COMMENT)]

    @cached_property
    def urgency(self) -> Urgency | None:
        """The study's."""
        return urgency_of(self.root)


def urgency_of(item: Item) -> Urgency | None:
    """What the item suggests; None where it suggests nothing, or calls it undetermined."""
    found = item.value(codes.SUGGESTED_URGENCY)
    return None if found is None else _RANKS.get((found.scheme, found.value))


def highest(statements: list[Statement]) -> Urgency | None:
    """The highest urgency among these; None where none of them speaks of an image that was assessed."""
    if all(statement.claim is None for statement in statements):
        return None
    found = [statement.urgency for statement in statements if statement.urgency is not None]
    return max(found, key=lambda urgency: urgency.rank, default=Urgency.NONE)
