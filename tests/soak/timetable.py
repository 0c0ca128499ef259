"""Which fault comes when: drawn from a seed before the run begins, so that a run can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOGETHER = 0.25
"""How often a fault begins beside the one before it instead of after it."""
QUIET_END = 0.08
"""The last part of the run, in which nothing begins any more."""
PAUSES = (4.0, 14.0)
"""Seconds between two faults."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it is done to, and how many seconds it lasts (0: a moment).

    `ends_processes`: a role's process ends by it. Such faults come in the middle third of a run only, so that in the
    others a process lives long enough for its memory to mean something.
    """

    name: str
    target: str
    lasts: tuple[float, float] = (0.0, 0.0)
    ends_processes: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: seconds after the start, its kind, how long it lasts, and a seed for what it still has to choose."""

    at: float
    kind: Kind
    lasts: float
    seed: int

    @property
    def end(self) -> float:
        return self.at + self.lasts


def timetable(kinds: Sequence[Kind], seconds: float, seed: int) -> list[Planned]:
    """The faults of a run in order: never two at once on one target, each kind before any comes again."""
    dice = random.Random(seed)
    decks = {
        rough: _deck([kind for kind in kinds if rough or not kind.ends_processes], dice) for rough in (True, False)
    }
    longest = seconds * (1 - QUIET_END)
    planned: list[Planned] = []
    at = dice.uniform(*PAUSES)
    while at < longest:
        kind = next(decks[seconds / 3 <= at < 2 * seconds / 3])
        busy = max((one.end for one in planned if one.kind.target == kind.target), default=0.0)
        one = Planned(max(at, busy), kind, dice.uniform(*kind.lasts), dice.randrange(1 << 30))
        if one.end < longest:
            planned.append(one)
        together = dice.random() < TOGETHER
        at = one.at + dice.uniform(0.0, 2.0) if together else max(at, one.end) + dice.uniform(*PAUSES)
    return sorted(planned, key=lambda one: one.at)


def _deck(kinds: Sequence[Kind], dice: random.Random) -> Iterator[Kind]:
    while True:
        yield from dice.sample(kinds, len(kinds))
