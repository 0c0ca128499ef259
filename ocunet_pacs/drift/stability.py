"""Population stability index of a measure, and how much of it chance and ordinary days make.

The index is the sum over bins of (q - p) ln(q / p), p and q being the shares of the reference and of the sample; half a
value is added to each bin, so that an empty one counts for something. By custom less than 0.1 is nothing and more than
0.25 a change, but a sample of twenty has an index of 0.5 by chance alone. Two things are therefore reckoned with:

- *Chance.* Under no change the index is about (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom, n and m
  being the sizes of sample and reference. Photographs of one patient are alike, so n and m count patients: Kish's
  effective size (L. Kish, Survey Sampling, 1965), which is the number of studies where each has as many photographs.
- *Days.* A clinic for diabetics on Tuesdays makes Tuesdays differ. A shift of the whole by d standard deviations has an
  index of d squared, so days whose means vary add their variance times a chi-square of one degree of freedom.

The quantiles of the two are added, which is more than the quantile of their sum; the first is Wilson's and Hilferty's
approximation (PNAS 17, 1931).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ids = NDArray[np.int64]

_BINS = 10
_FEW = 50
"""With fewer patients than this, bins are joined to fifths: ten bins of five are mostly chance."""
_ORDINARY = 0.15
"""Standard deviation of a day's mean, in standard deviations of the measure, that every site is granted: the days of a
reference are too few to show that its days differ less."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How one measure lies in the reference. Bin k holds what is above `edges[k - 1]` and at most `edges[k]`.

    `counts` are photographs, `size` is the effective number of patients behind them, `days` the number of days,
    `day_variance` the variance of the days' means in units of the measure's own. Where `step` is not 0, values are
    counted in steps from `middle`, the reference's median: what was the same to a thousandth in every photograph would
    otherwise have changed when it is another thousandth.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    size: float
    days: int
    day_variance: float
    step: float = 0.0
    middle: float = 0.0

    @classmethod
    def of(cls, values: Floats, studies: Ids, days: Ids, step: float = 0.0) -> Distribution:
        """Of the values of a reference, at least one, with the study and the day of each."""
        middle = float(np.median(values)) if step else 0.0
        values = _in_steps(values, step, middle)
        edges = _edges(values)
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        return cls(
            tuple(edges.tolist()),
            tuple(counts.tolist()),
            effective_size(studies),
            len(np.unique(days)),
            max(_ORDINARY**2, variance_of_days(values, studies, days)),
            step,
            middle,
        )

    def joined(self) -> Distribution:
        """With neighbours joined while together they hold no more than a fifth: for small samples."""
        most = 2.1 * sum(self.counts) / _BINS
        edges: list[float] = []
        counts = [self.counts[0]]
        for edge, count in zip(self.edges, self.counts[1:], strict=True):
            if counts[-1] + count <= most:
                counts[-1] += count
            else:
                edges.append(edge)
                counts.append(count)
        return replace(self, edges=tuple(edges), counts=tuple(counts))

    def bins(self, values: Floats) -> Ids:
        """The bin of each value."""
        return np.searchsorted(self.edges, _in_steps(values, self.step, self.middle), side="left").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Difference:
    """The index of a sample, and the largest that chance and ordinary days make."""

    index: float
    by_chance: float


def compare(reference: Distribution, values: Floats, studies: Ids, level: float) -> Difference:
    """A sample, at least one value, beside its reference; chance exceeds `by_chance` with probability `level`."""
    size = effective_size(studies)
    bins = reference.joined() if size < _FEW else reference
    found = np.bincount(bins.bins(values), minlength=len(bins.counts))
    by_chance = chance(
        len(bins.counts),
        1 / size + 1 / bins.size,
        bins.day_variance * (1 + 1 / bins.days),
        level,
    )
    return Difference(index(np.asarray(bins.counts), found), by_chance)


def index(expected: Sequence[int] | Ids, found: Sequence[int] | Ids) -> float:
    """The population stability index of two counts by bin."""
    shares = []
    for counts in (expected, found):
        numbers = np.asarray(counts, np.float64) + 0.5
        shares.append(numbers / numbers.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def chance(bins: int, variance: float, day_variance: float, level: float) -> float:
    """What the index exceeds with probability `level` where nothing changed; 0 for a single bin."""
    if bins < 2:
        return 0.0
    spread, normal = 2 / (9 * (bins - 1)), NormalDist()
    alike = (bins - 1) * max(0.0, 1 - spread + normal.inv_cdf(1 - level) * math.sqrt(spread)) ** 3
    return variance * alike + day_variance * normal.inv_cdf(1 - level / 2) ** 2


def effective_size(studies: Ids) -> float:
    """How many independent photographs those of these studies are worth, were all of a study the same."""
    _, numbers = np.unique(studies, return_counts=True)
    return float(numbers.sum() ** 2 / (numbers * numbers).sum())


def variance_of_days(values: Floats, studies: Ids, days: Ids) -> float:
    """Variance of the days' means in units of the measure's own, by analysis of variance; 0 where it cannot be told.

    Values count by rank, as normal scores, and a study as one: its mean.
    """
    scores = _normal_scores(values)
    _, first, place = np.unique(studies, return_index=True, return_inverse=True)
    means = np.bincount(place, scores) / np.bincount(place)
    _, day = np.unique(days[first], return_inverse=True)
    numbers = np.bincount(day)
    groups, total = len(numbers), len(means)
    if groups < 2 or total <= groups:
        return 0.0
    day_means = np.bincount(day, means) / numbers
    between = float((numbers * (day_means - means.mean()) ** 2).sum()) / (groups - 1)
    within = float(((means - day_means[day]) ** 2).sum()) / (total - groups)
    typical = (total - float((numbers * numbers).sum()) / total) / (groups - 1)
    return max(0.0, (between - within) / typical)


def _in_steps(values: Floats, step: float, middle: float) -> Floats:
    return np.rint((values - middle) / step) if step else values


def _edges(values: Floats) -> Floats:
    """Between the tenths; a value that a tenth and more share is a bin by itself, so that less than it shows too."""
    cuts = np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    alone, numbers = np.unique(cuts, return_counts=True)
    below = [np.nextafter(value, -np.inf) for value, number in zip(alone, numbers, strict=True) if number > 1]
    edges: Floats = np.unique(np.concatenate([alone, np.asarray(below, np.float64)]))
    return edges


def _normal_scores(values: Floats) -> Floats:
    """Each value as the normal quantile of its rank; those that tie have the same."""
    _, place, numbers = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(numbers) - numbers / 2
    normal = NormalDist()
    quantiles = np.asarray([normal.inv_cdf(rank / len(values)) for rank in middle.tolist()], np.float64)
    scores: Floats = quantiles[place]
    return scores
