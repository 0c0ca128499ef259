"""What is known of each label on each side of a split, and what is missing there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.labels import LABELS
from training.data.manifest import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.data.manifest import Row

SIDES: Final = (Split.TRAIN, Split.VALIDATION, Split.TEST)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Photographs in which a label is positive, negative and unknown, and the groups behind the first two."""

    positive: int
    negative: int
    unknown: int
    positive_groups: int
    negative_groups: int


def coverage(rows: Sequence[Row], label: str) -> Coverage:
    """What is known of the label in these rows."""
    positive = [row.group for row in rows if label in row.positive]
    negative = [row.group for row in rows if label in row.negative]
    unknown = len(rows) - len(positive) - len(negative)
    return Coverage(len(positive), len(negative), unknown, len(set(positive)), len(set(negative)))


def sides(rows: Sequence[Row]) -> list[tuple[Split, list[Row]]]:
    """The rows of each split that has any, in order; those without a split last."""
    parts = ((side, [row for row in rows if row.split is side]) for side in (*SIDES, Split.NONE))
    return [(side, its) for side, its in parts if its]


def labels_seen(rows: Sequence[Row]) -> tuple[str, ...]:
    """Labels of which something is known in some row, in the table's order."""
    known = frozenset().union(*(row.positive | row.negative for row in rows))
    return tuple(label.name for label in LABELS if label.name in known)


def _with_positives(rows: Sequence[Row]) -> list[str]:
    return [label for label in labels_seen(rows) if any(label in row.positive for row in rows)]


def gaps(rows: Sequence[Row]) -> list[str]:
    """A line for each label with a positive somewhere, and each split in use that has no positive or no negative of it.

    Such a label is not learned, has no threshold, or is not judged, as the split may be.
    """
    missing = []
    for label in _with_positives(rows):
        for side, its in sides(rows):
            known = coverage(its, label)
            lacks = [sign for sign, count in (("positive", known.positive), ("negative", known.negative)) if not count]
            if lacks and side:
                missing.append(f"{label}: {side} has no {' and no '.join(lacks)}")
    return missing
