"""How far two models agree on the same images, label by label. What is undefined is nan, never 0.

Kappa: J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20 (1960).
Rank correlation: Spearman's, ties at their mean rank. Population stability index: sum over bins of
(q - p) ln(q / p), p and q being the shares of the active's and the candidate's scores; the bins are the tenths of the
active's scores (fewer where scores tie), and half a score is added to each so that an empty one counts for something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BINS = 10
FEWEST_FOR_STABILITY = 100
"""With fewer scores the index says more about chance than about drift."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One label over some images. `agreement` is a share; `mean_difference` is candidate minus active."""

    images: int
    both: int
    neither: int
    only_active: int
    only_candidate: int
    agreement: float
    kappa: float
    mean_difference: float
    stability: float
    rank_correlation: float


def agree(scores: Floats, positive: NDArray[np.bool_]) -> Agreement:
    """What can be said of these images; with none of them all but the counts is nan.

    Both (2, images), the active bundle's in the first row: probabilities, and whether they reached their thresholds.
    """
    active, candidate = scores
    says, would_say = positive
    images = len(active)
    both, neither = int((says & would_say).sum()), int((~says & ~would_say).sum())
    only_active, only_candidate = int((says & ~would_say).sum()), int((~says & would_say).sum())
    return Agreement(
        images=images,
        both=both,
        neither=neither,
        only_active=only_active,
        only_candidate=only_candidate,
        agreement=(both + neither) / images if images else math.nan,
        kappa=kappa(both, only_active, only_candidate, neither),
        mean_difference=float((candidate - active).mean()) if images else math.nan,
        stability=stability(active, candidate),
        rank_correlation=rank_correlation(active, candidate),
    )


def kappa(both: int, only_active: int, only_candidate: int, neither: int) -> float:
    """Agreement beyond chance, at most 1; nan where chance alone agrees on everything (each says one thing only)."""
    total = both + only_active + only_candidate + neither
    if total == 0:
        return math.nan
    first, second = both + only_active, both + only_candidate
    by_chance = first * second + (total - first) * (total - second)
    if by_chance == total * total:
        return math.nan
    return ((both + neither) * total - by_chance) / (total * total - by_chance)


def stability(active: Floats, candidate: Floats) -> float:
    """Population stability index of the candidate's scores, from 0; nan for few scores, or where all are the same."""
    if len(active) < FEWEST_FOR_STABILITY or active.min() == active.max():
        return math.nan
    edges = np.unique(np.quantile(active, np.arange(1, BINS) / BINS))
    expected, found = (
        _shares(np.searchsorted(edges, scores, side="right"), len(edges) + 1) for scores in (active, candidate)
    )
    return float(((found - expected) * np.log(found / expected)).sum())


def _shares(bins: NDArray[np.intp], count: int) -> Floats:
    numbers = np.bincount(bins, minlength=count) + 0.5
    shares: Floats = numbers / numbers.sum()
    return shares


def rank_correlation(active: Floats, candidate: Floats) -> float:
    """Spearman's coefficient in [-1, 1]; nan for fewer than two scores, or where one side never changes."""
    if len(active) < 2:
        return math.nan
    first, second = (_ranks(scores) for scores in (active, candidate))
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(float((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / size if size else math.nan


def _ranks(scores: Floats) -> Floats:
    """From 1; scores that tie have the mean of their ranks."""
    _, place, numbers = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(numbers)
    ranks: Floats = (last - (numbers - 1) / 2.0)[place]
    return ranks
