"""What a collection says of its pictures before one of them is opened: entries, gaps, remarks.

A reader lists first and complains of everything at once; only then are the files read, which takes minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from training.data.manifest import Split, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NORMAL: Final = "NORMAL"
ABNORMAL: Final = "Disease_Risk"
_SHOWN: Final = 5


class Findings(NamedTuple):
    """Labels that are there and labels that are not; what is in neither is unknown."""

    positive: frozenset[str] = frozenset()
    negative: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture that a collection describes. `frame` None stands for all frames of the file."""

    path: Path
    source: str
    group: str
    findings: Findings
    frame: int | None = None
    camera: str = ""
    laterality: str = ""
    split: Split = Split.NONE


@dataclass(frozen=True, slots=True)
class Listing:
    """A collection, as far as it can be known without decoding a picture.

    `gaps` are what is missing or stands where nothing can be made of it, each with what to do; a person may decide to
    go on without. `remarks` are what a person should know. `left_out` are pictures that the collection itself says are
    of no use.
    """

    root: Path
    entries: tuple[Entry, ...]
    gaps: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: tuple[Unreadable, ...] = ()


def some(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first few of many names: "a, b, c and 14 more"."""
    more = len(names) - shown
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:shown])} and {more} more"


def number_of(count: int, thing: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
