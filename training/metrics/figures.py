"""Each figure of each label, as a function of how often each photograph counts.

A figure is prepared once for what was judged and then asked under any multiplicities: all ones are the figure itself,
multiplicities drawn by group are its bootstrap, and nothing is copied or sorted again. Photographs whose label is
unknown count nowhere. What is undefined is nan, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from training.metrics.calibration import bin_numbers
from training.metrics.judged import Judged
from training.metrics.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_BINS: Final = 15
Figure = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Multiplicities (rows, draws) to values (labels, draws)."""
Statistic = Callable[[Judged], Figure]


def average_precision(judged: Judged) -> Figure:
    """Of the order of the logits, which never saturate; nan without a positive or a negative."""
    rankings = _rankings(judged)
    return lambda weights: np.array([one.average_precision(weights) for one in rankings]).reshape(
        len(rankings), weights.shape[1]
    )


def auroc(judged: Judged) -> Figure:
    """Of the order of the logits; nan without a positive or a negative."""
    rankings = _rankings(judged)
    return lambda weights: np.array([one.auroc(weights) for one in rankings]).reshape(len(rankings), weights.shape[1])


def sensitivity(judged: Judged) -> Figure:
    """Share of the positives that are called; nan without a positive."""
    return _of_counts(judged, lambda tp, fn, fp, tn: _ratio(tp, tp + fn))  # noqa: ARG005


def specificity(judged: Judged) -> Figure:
    """Share of the negatives that are not called; nan without a negative."""
    return _of_counts(judged, lambda tp, fn, fp, tn: _ratio(tn, tn + fp))  # noqa: ARG005


def precision(judged: Judged) -> Figure:
    """Share of the called that are positive; nan where nothing is called, without a positive or without a negative."""
    return _of_counts(judged, lambda tp, fn, fp, tn: _where_both(_ratio(tp, tp + fp), tp + fn, fp + tn))


def f1(judged: Judged) -> Figure:
    """2 TP / (2 TP + FP + FN); nan without a positive or without a negative."""
    return _of_counts(judged, lambda tp, fn, fp, tn: _where_both(_ratio(2 * tp, 2 * tp + fp + fn), tp + fn, fp + tn))


def brier(judged: Judged) -> Figure:
    """Mean squared distance of probability and truth (Brier 1950), 0 is best; nan where nothing is known."""
    known = judged.known.T.astype(np.float64)
    distance = known * (judged.probabilities - judged.targets).T ** 2
    return lambda weights: _ratio(distance @ weights, known @ weights)


def calibration_error(judged: Judged) -> Figure:
    """Expected calibration error over 15 bins of equal width; nan where nothing is known. See `calibration`.

    Chance in the bins adds to it, so resamplings lie above it and an interval leans upward: judge by the value.
    """
    parts = [
        (*_bins(judged.probabilities[known, column], judged.targets[known, column]), known)
        for column, known in enumerate(judged.known.T)
    ]
    return lambda weights: np.array([_binned_error(gaps, bins, weights[known]) for gaps, bins, known in parts]).reshape(
        len(parts), weights.shape[1]
    )


FIGURES: Final[Mapping[str, Statistic]] = MappingProxyType(
    {
        "average_precision": average_precision,
        "auroc": auroc,
        "f1": f1,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": precision,
        "brier": brier,
        "calibration_error": calibration_error,
    }
)
"""All of them by name, as reports call them."""


def counts(judged: Judged, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """True positives, false negatives, false positives, true negatives at the thresholds, each (labels, draws)."""
    truth, called, known = judged.targets > 0.5, judged.positive, judged.known
    return tuple(
        (known & part).T.astype(np.float64) @ weights
        for part in (truth & called, truth & ~called, ~truth & called, ~truth & ~called)
    )


def mean_over_labels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of (labels, draws) over those labels that are defined in the draw; nan where none is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))


def _rankings(judged: Judged) -> Sequence[Ranking]:
    return [
        Ranking.of(judged.targets[:, column], judged.logits[:, column], known)
        for column, known in enumerate(judged.known.T)
    ]


def _of_counts(judged: Judged, figure: Callable[..., NDArray[np.float64]]) -> Figure:
    return lambda weights: figure(*counts(judged, weights))


def _bins(
    probabilities: NDArray[np.float64], truth: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's part of its bin's gap, and which bin it is in as a one-hot (bins, rows)."""
    return probabilities - truth, np.eye(_BINS)[:, bin_numbers(probabilities, _BINS)]


def _binned_error(
    gaps: NDArray[np.float64], bins: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sum over bins of |sum of the bin's gaps|, of all rows: the bins' sizes cancel."""
    return _ratio(np.abs((bins * gaps) @ weights).sum(axis=0), weights.sum(axis=0))


def _where_both(
    values: NDArray[np.float64], positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.where((positives > 0) & (negatives > 0), values, np.nan)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.full(np.shape(below), np.nan)
    return np.divide(above, below, out=out, where=below > 0)
