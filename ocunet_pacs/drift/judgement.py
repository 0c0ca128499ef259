"""A camera's photographs beside their reference: what has changed by more than chance and ordinary days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.drift.pattern import furthest
from ocunet_pacs.drift.sample import PATTERN
from ocunet_pacs.drift.stability import compare

if TYPE_CHECKING:
    from ocunet_pacs.drift.reference import Reference
    from ocunet_pacs.drift.sample import Column, Sample
    from ocunet_pacs.drift.stability import Distribution


@dataclass(frozen=True, slots=True)
class Rule:
    """`index` is the stability index that counts as a change. `chance` is how likely, for one camera in one night, an
    alert may be where nothing changed; it is shared out among the measures (Bonferroni)."""

    index: float = 0.25
    chance: float = 0.001


@dataclass(frozen=True, slots=True)
class Judged:
    """One measure: `value` is its stability index (of the pattern: standard errors); more than `limit` is an alert."""

    measure: str
    value: float
    limit: float
    words: str

    @property
    def alert(self) -> bool:
        """Whether it has changed."""
        return self.value > self.limit


def judge(reference: Reference, sample: Sample, rule: Rule, measures: int) -> list[Judged]:
    """Every measure that both have. `measures` is among how many the chance of a false alert is shared out."""
    level = rule.chance / max(measures, 1)
    found = []
    for name, expected in reference.measures.items():
        column = sample.columns.get(name)
        if column is None or not len(column.values):
            continue
        difference = compare(expected, column.values, column.studies, level)
        limit = max(rule.index, difference.by_chance)
        found.append(Judged(name, difference.index, limit, _direction(expected, column)))
    spot = (
        None
        if reference.pattern is None
        else furthest(reference.pattern, sample.patterns, sample.pattern_studies, level)
    )
    if spot is not None:
        found.append(Judged(PATTERN, spot.errors, spot.by_chance, spot.words))
    return found


def measures_of(*references: Reference | None) -> int:
    """Among how many measures a false alert is shared out."""
    return sum(len(one.measures) + (one.pattern is not None) for one in references if one is not None)


def _direction(expected: Distribution, column: Column) -> str:
    """Which way the bins of the sample lie from those of the reference."""
    counts = np.asarray(expected.counts, np.float64)
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    rank = float(middles[expected.bins(column.values)].mean())
    return "higher" if rank > 0.6 else "lower" if rank < 0.4 else "otherwise spread"
