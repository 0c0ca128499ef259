"""What lies in the same place in every photograph: dust and smears, which no single photograph shows.

Eyes change from patient to patient, the lens does not. So the mean of many patterns (`domain.drift`) is compared with
that of the reference, cell by cell, in standard errors of a mean over patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.drift import FULL, MIDDLE, OUTSIDE, PATTERN_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.drift.stability import Floats, Ids

_IN_FIELD = 0.95
"""Share of photographs in which a cell must lie in the field."""
_ORDINARY = 1.2
"""Levels (a level is a thousandth of the light) by which a day's mean may be elsewhere: photographers differ, too."""
_FEWEST = 10
"""Patients without whom a mean says nothing."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The mean of a camera's patterns over patients, in levels from `MIDDLE`, and the variance of a patient's.

    nan where a cell is not in the field of nearly every photograph.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    studies: int

    @classmethod
    def of(cls, patterns: NDArray[np.uint8], studies: Ids) -> Pattern | None:
        """Of a reference; None of fewer than ten patients."""
        means, inside = _by_study(patterns, studies)
        if len(means) < _FEWEST:
            return None
        mean, variance = means.mean(axis=0), means.var(axis=0, ddof=1)
        mean[~inside] = variance[~inside] = math.nan
        return cls(tuple(np.round(mean, 2).tolist()), tuple(np.round(variance, 2).tolist()), len(means))


@dataclass(frozen=True, slots=True)
class Spot:
    """The cell that has changed most: by how many standard errors, what chance makes of that, and what it looks like.

    `change` is the relative difference to its surroundings, beside what that was; negative is darker. `across` and
    `down` are its place in the picture, 0 to 1.
    """

    errors: float
    by_chance: float
    change: float
    across: float
    down: float

    @property
    def words(self) -> str:
        """For a person who looks at the lens."""
        shade = "darker" if self.change < 0 else "brighter"
        place = f"{self.across:.0%} from the left and {self.down:.0%} from the top of the picture"
        return f"{place} is {abs(self.change):.1%} {shade} than before in every photograph: dust or a smear"


def furthest(reference: Pattern, patterns: NDArray[np.uint8], studies: Ids, level: float) -> Spot | None:
    """The cell of a sample that is furthest from the reference; chance goes further with probability `level`.

    None where there are too few patients, or fields hardly overlap (then other measures have changed, too).
    """
    means, inside = _by_study(patterns, studies)
    expected, variance = np.asarray(reference.mean), np.asarray(reference.variance)
    known = ~np.isnan(expected)
    compared = known & inside
    if len(means) < _FEWEST or compared.sum() < known.sum() / 2 or not compared.any():
        return None
    difference: Floats = np.where(compared, means.mean(axis=0) - expected, 0.0)
    error = np.sqrt(np.nan_to_num(variance) * (1 / len(means) + 1 / reference.studies) + _ORDINARY**2)
    errors = np.abs(difference) / error
    place = int(errors.argmax())
    row, column = divmod(place, PATTERN_SIDE)
    return Spot(
        errors=float(errors[place]),
        by_chance=NormalDist().inv_cdf(1 - level / (2 * int(compared.sum()))),
        change=float(difference[place]) * FULL / 127,
        across=(column + 0.5) / PATTERN_SIDE,
        down=(row + 0.5) / PATTERN_SIDE,
    )


def _by_study(patterns: NDArray[np.uint8], studies: Ids) -> tuple[Floats, NDArray[np.bool_]]:
    """The mean of each study's photographs (studies, cells), and which cells are in the field of nearly all of them."""
    if not len(patterns):
        return np.zeros((0, PATTERN_SIDE**2)), np.zeros(PATTERN_SIDE**2, np.bool_)
    order = np.argsort(studies, kind="stable")
    _, first = np.unique(studies[order], return_index=True)
    patterns = patterns[order]
    lit = patterns != OUTSIDE
    levels = np.where(lit, patterns.astype(np.float64) - MIDDLE, 0.0)
    sums, counts = (np.add.reduceat(each, first, axis=0) for each in (levels, lit.astype(np.float64)))
    return sums / np.maximum(counts, 1.0), lit.mean(axis=0) >= _IN_FIELD
