"""Photographs that are copies of each other, and the groups that keep all copies of one on one side of a split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from training.data.near_copies import find_copies
from training.data.photo_fields import read_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.data.manifest import Manifest, Row
    from training.data.photo_fields import Fields, Progress


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two photographs that are one, or two of one eye: the second is the first, mirrored left to right or not, turned.

    `first` and `second` are keys of rows (equal for exact copies). `angle` is in degrees, counter-clockwise, after the
    mirroring. `distance` is between their perceptual hashes (bits of 64), `likeness` the correlation, at most 1, of
    the fields laid upon each other.
    """

    first: str
    second: str
    mirrored: bool = False
    angle: int = 0
    distance: int = 0
    likeness: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether it is the very same file (and frame) twice."""
        return self.first == self.second

    @property
    def words(self) -> str:
        """What the second is of the first: `mirrored, turned by 180 degrees, likeness 0.98`."""
        if self.exact:
            return "the same file"
        turned = f"turned by {self.angle} degrees" if self.angle else ""
        return ", ".join(filter(None, ("mirrored" if self.mirrored else "", turned, f"likeness {self.likeness:.2f}")))


def find_duplicates(
    manifest: Manifest, *, workers: int, progress: Progress, fields: Fields | None = None
) -> list[Duplicate]:
    """Every pair of rows that show the same photograph: first the same files, then copies, by likeness.

    `workers` processes read and compare (0: this one). A photograph that cannot be read is compared with nothing; who
    wants to list those calls `read_fields`, and gives the `fields` here.
    """
    fields = fields or read_fields(manifest, workers=workers, progress=progress)
    often = Counter(row.key for row in manifest.rows)
    same = [Duplicate(key, key) for key, times in often.items() if times > 1]
    copies = [
        Duplicate(fields.keys[copy.first], fields.keys[copy.second], *copy[2:])
        for copy in find_copies(fields, workers=workers, progress=progress)
    ]
    return [*same, *sorted(copies, key=lambda pair: -pair.likeness)]


def group_duplicates(manifest: Manifest, duplicates: Iterable[Duplicate]) -> Manifest:
    """The manifest with the groups of all copies joined, each under the first of its names in alphabetical order.

    Rows with the same key are joined in any case. Labels stay as they are: see `contradictions`.
    """
    joined = _Joined()
    by_key: dict[str, str] = {}
    for row in manifest.rows:
        joined.join(by_key.setdefault(row.key, row.group), row.group)
    for pair in duplicates:
        if pair.first in by_key and pair.second in by_key:
            joined.join(by_key[pair.first], by_key[pair.second])
    rows = (replace(row, group=joined.name(row.group)) for row in manifest.rows)
    return replace(manifest, rows=tuple(rows))


def contradictions(rows: Sequence[Row], duplicates: Iterable[Duplicate] = ()) -> list[str]:
    """A line for each label that is positive in one row of a photograph, or of its copies, and negative in another.

    Rows are named by their lines in the manifest: `rows` must be all of them, in order.
    """
    by_key: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        by_key.setdefault(row.key, []).append(n)
    problems = [line for places in by_key.values() for line in _contradicted(rows, "the same file", places)]
    for pair in duplicates:
        if not pair.exact:
            places = sorted(by_key.get(pair.first, []) + by_key.get(pair.second, []))
            problems += _contradicted(rows, f"copies ({pair.words})", places)
    return problems


def _contradicted(rows: Sequence[Row], what: str, places: Sequence[int]) -> list[str]:
    problems = []
    for label in sorted(frozenset().union(*(rows[n].positive for n in places))):
        for_it = [str(n + 2) for n in places if label in rows[n].positive]
        against = [str(n + 2) for n in places if label in rows[n].negative]
        if against:
            line = f"{what}, {label}: positive in line {', '.join(for_it)}, negative in line {', '.join(against)}"
            problems.append(line)
    return problems


class _Joined:
    """Disjoint sets of names (union-find with path halving), each called by its first name."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def name(self, of: str) -> str:
        above = self._above
        while (upper := above.get(of, of)) != of:
            above[of] = above.get(upper, upper)
            of = upper
        return of

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.name(one), self.name(other)))
        self._above[second] = first
