"""How far a figure may be from what other patients would have given: the bootstrap by group.

Photographs of one patient are alike, so patients are drawn, each with all of its photographs; drawing photographs would
make intervals too narrow. A draw of groups with replacement is a multiplicity for each row, so nothing is copied
(`figures`). Percentile intervals (Efron & Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from training.metrics.figures import mean_over_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from training.metrics.figures import Statistic
    from training.metrics.judged import Judged

_AT_ONCE: Final = 128
"""Draws that are counted together: their multiplicities stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and where `level` of the draws put it.

    `undefined` draws said nothing (no positive among them, say) and are left out; `partial` draws are means over fewer
    labels than `value`. All nan where nothing can be said.
    """

    value: float
    low: float
    high: float
    level: float
    draws: int
    undefined: int = 0
    partial: int = 0


@dataclass(frozen=True, slots=True)
class Difference(Interval):
    """The second's figure less the first's.

    `not_above` is the share of draws in which the second is not above the first; a tie is half a draw. Near 0 the
    second is above beyond chance, near 1 below.
    """

    not_above: float = np.nan


@dataclass(frozen=True, slots=True)
class Intervals:
    """Each label's interval, and that of the mean over the labels where the figure is defined."""

    labels: dict[str, Interval]
    mean: Interval


@dataclass(frozen=True, slots=True)
class Differences:
    """Each label's difference, and that of the mean over the labels where the figure is defined for both."""

    labels: dict[str, Difference]
    mean: Difference


def intervals(judged: Judged, statistic: Statistic, *, draws: int, seed: int, level: float = 0.95) -> Intervals:
    """`statistic` of every label and its mean, each with an interval over `draws` resamplings of the groups."""
    figure = statistic(judged)
    point = _with_mean(figure(np.ones((len(judged), 1))))[:, 0]
    drawn = [figure(weights) for weights in multiplicities(judged.groups, draws=draws, seed=seed)]
    values = np.concatenate(drawn, axis=1)
    partial = _partial(point[:-1], values)
    made = [
        Interval(*_interval(at, row, level), level, draws, _undefined(row))
        for at, row in zip(point, _with_mean(values), strict=True)
    ]
    mean = Interval(made[-1].value, made[-1].low, made[-1].high, level, draws, made[-1].undefined, partial)
    return Intervals(dict(zip(judged.labels, made, strict=False)), mean)


def paired(
    first: Judged, second: Judged, statistic: Statistic, *, draws: int, seed: int, level: float = 0.95
) -> Differences:
    """The second's figures less the first's, over resamplings of the groups that both share.

    ValueError unless both judge the same photographs, in one order, with the same labels and truth: see
    `evaluation.compare`, which makes them so.
    """
    _check_same(first, second)
    figures = statistic(first), statistic(second)
    once = np.ones((len(first), 1))
    point = _with_mean(figures[1](once) - figures[0](once))[:, 0]
    drawn = [
        figures[1](weights) - figures[0](weights) for weights in multiplicities(first.groups, draws=draws, seed=seed)
    ]
    values = np.concatenate(drawn, axis=1)
    rows = _with_mean(values)
    partial = [0] * len(first.labels) + [_partial(point[:-1], values)]
    made = [
        Difference(*_interval(at, row, level), level, draws, _undefined(row), fewer, _not_above(row))
        for at, row, fewer in zip(point, rows, partial, strict=True)
    ]
    return Differences(dict(zip(first.labels, made, strict=False)), made[-1])


def multiplicities(groups: Sequence[str], *, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each row counts in each resampling of the groups: blocks (rows, some draws), `draws` in all."""
    if draws < 1:
        raise ValueError(f"there must be at least one draw, not {draws}")
    _, group_of_row = np.unique(np.asarray(groups), return_inverse=True)
    number = int(group_of_row.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    for start in range(0, draws, _AT_ONCE):
        some = min(_AT_ONCE, draws - start)
        if number == 0:
            yield np.zeros((0, some))
            continue
        chosen = random.integers(0, number, (some, number)) + number * np.arange(some)[:, None]
        times = np.bincount(chosen.ravel(), minlength=some * number).reshape(some, number)
        yield np.ascontiguousarray(times.T, np.float64)[group_of_row]


def _with_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(labels, draws) to (labels + 1, draws)."""
    return np.concatenate([values, mean_over_labels(values)[None]])


def _interval(point: float, drawn: NDArray[np.float64], level: float) -> tuple[float, float, float]:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(point) or not len(defined):
        return float(point), np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(point), float(low), float(high)


def _undefined(drawn: NDArray[np.float64]) -> int:
    return int(np.isnan(drawn).sum())


def _partial(point: NDArray[np.float64], values: NDArray[np.float64]) -> int:
    """Draws in which a label is undefined that is defined over all rows, though not all are."""
    lost = np.isnan(values[~np.isnan(point)])
    return int((lost.any(axis=0) & ~lost.all(axis=0)).sum())


def _not_above(drawn: NDArray[np.float64]) -> float:
    defined = drawn[~np.isnan(drawn)]
    return float((defined < 0).mean() + (defined == 0).mean() / 2) if len(defined) else np.nan


def _check_same(first: Judged, second: Judged) -> None:
    if (first.keys, first.groups, first.labels) != (second.keys, second.groups, second.labels):
        raise ValueError("the two are not of the same photographs, groups and labels in the same order")
    if not (
        np.array_equal(first.known, second.known)
        and np.array_equal(first.targets[first.known], second.targets[second.known])
    ):
        raise ValueError("the two were judged against different labels")
