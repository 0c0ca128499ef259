"""Pairs of photographs that show the same: from perceptual hashes of all, by correlation, to registration of few.

Hashes alone cannot tell: at 64 bits a fundus photograph is like one in twenty others. They only leave few enough pairs
to look at closely. Each limit is where, on 6,000 photographs with planted copies, the next step still gets nearly all
copies (docs/training-splits.md has the figures); what is believed in the end is `LIKENESS`.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.data.field import SMALL, TURNS, coarse, fine, small, turned
from training.data.processes import pool
from training.data.registration import lay, lay_quickly, likeness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.data.field import Turn
    from training.data.photo_fields import Fields, Progress

BITS: Final = 14
"""Of 64 by which hashes of copies may differ."""
ALIKE: Final = 0.45
"""Least correlation of two small fields, one turned as its hash says."""
LAID: Final = 0.65
"""Least correlation of two small fields laid upon each other."""
LIKENESS: Final = 0.5
"""Least correlation of the finest details of two fields laid upon each other, to be called copies."""

_BLOCK: Final = 64


class Copy(NamedTuple):
    """Two photographs that show the same: the second is the first, mirrored or not, then turned by degrees."""

    first: int
    second: int
    mirrored: bool
    angle: int
    bits: int
    likeness: float


class Comparison:
    """All fields of a manifest, for one process: `folder` holds them, so that processes share the memory."""

    def __init__(self, folder: Path) -> None:
        self._green = np.load(folder / "green.npy", mmap_mode="r")
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self._small = np.load(folder / "small.npy", mmap_mode="r")
        self._coarse = lru_cache(maxsize=512)(lambda n: coarse(self._green[n]))
        self._fine = lru_cache(maxsize=512)(lambda n: fine(self._green[n]))

    @cached_property
    def _plain(self) -> NDArray[np.uint64]:
        return np.ascontiguousarray(self._hashes[:, 0])

    def copies(self, numbers: range) -> list[Copy]:
        """The pairs that show the same, of which one is among `numbers`; some pairs come in both orders.

        The turns are symmetric, so that one order is enough for them; only of a closer look both must be tried.
        """
        block = np.ascontiguousarray(self._hashes[numbers.start : numbers.stop])
        bits = np.full((len(block), len(self._plain)), 64, np.uint8)
        turns = np.zeros_like(bits)
        for n, turn in enumerate(TURNS):
            since = 0 if turn.zoom > 1.0 else numbers.start
            distance = np.bitwise_count(block[:, n, None] ^ self._plain[since:])
            turns[:, since:][distance < bits[:, since:]] = n
            np.minimum(bits[:, since:], distance, out=bits[:, since:])
        found = []
        for row, first in enumerate(numbers):
            near = np.flatnonzero(bits[row] <= BITS)
            near = near[near != first]
            alike = self._alike(first, near, turns[row, near])
            for second in near[alike >= ALIKE].tolist():
                copy = self._copy(first, second, TURNS[turns[row, second]])
                found += [copy._replace(bits=int(bits[row, second]))] if copy else []
        return found

    def _alike(self, first: int, seconds: NDArray[np.int64], turns: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(seconds):
            return np.zeros(0, np.float32)
        used, which = np.unique(turns, return_inverse=True)
        seen = np.stack([turned(self._coarse(first), TURNS[n]) for n in used])
        return np.asarray(np.einsum("nd,nd->n", seen[which], self._small[seconds]), np.float32)

    def _copy(self, first: int, second: int, turn: Turn) -> Copy | None:
        laid = lay_quickly(self._small[first], self._small[second], turn)
        if laid is None or laid.correlation < LAID:
            return None
        laid = lay(self._coarse(first), self._coarse(second), laid)
        if laid is None:
            return None
        alike = likeness(self._fine(first), self._fine(second), laid)
        return Copy(first, second, *laid.turn, 0, alike) if alike >= LIKENESS else None


def find_copies(fields: Fields, *, workers: int, progress: Progress) -> list[Copy]:
    """All pairs that show the same, each once, the first the one with the lower number; by `workers` processes.

    With 0 workers in this one. Memory: 40 KB a photograph, half of it shared by all processes, and 50 MB for each.
    """
    count = len(fields.keys)
    best: dict[tuple[int, int], Copy] = {}
    with tempfile.TemporaryDirectory(prefix="ocunet-fields-") as name:
        _store(fields, Path(name))
        blocks = [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
        with pool(workers) if workers and count > _BLOCK else nullcontext() as processes:
            work = partial(_copies, Path(name)) if processes else Comparison(Path(name)).copies
            for n, found in enumerate((processes.map if processes else map)(work, blocks), 1):
                for copy in map(_ordered, found):
                    best[copy[:2]] = max(best.get(copy[:2], copy), copy, key=lambda one: one.likeness)
                progress("comparing photographs", n, len(blocks))
    return sorted(best.values())


def _ordered(copy: Copy) -> Copy:
    """The same pair with the lower number first. A mirrored turn is its own inverse."""
    if copy.first < copy.second:
        return copy
    angle = copy.angle if copy.mirrored else -copy.angle % 360
    return copy._replace(first=copy.second, second=copy.first, angle=angle)


def _store(fields: Fields, folder: Path) -> None:
    np.save(folder / "green.npy", fields.green)
    np.save(folder / "hashes.npy", fields.hashes)
    small_fields = np.empty((len(fields.keys), SMALL * SMALL), np.float32)
    for n, green in enumerate(fields.green):
        small_fields[n] = small(coarse(green))
    np.save(folder / "small.npy", small_fields)


@lru_cache(maxsize=1)
def _opened(folder: Path) -> Comparison:
    return Comparison(folder)


def _copies(folder: Path, numbers: range) -> list[Copy]:
    return _opened(folder).copies(numbers)
