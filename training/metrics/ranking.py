"""How well a score puts the positives first: average precision and the area under the ROC curve.

Both are figures of an order, so the rows are sorted once (`Ranking`) and any number of resamplings are answered from
that order: drawing rows with replacement is giving each row a multiplicity, and equal scores stay one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows from the highest score to the lowest, cut into runs.

    A run is the rows of one score where a positive is among them, or all the negatives between two such scores: these
    have no influence on each other's part of either figure. `order` (rows,) indexes what was ranked; `starts` (runs,)
    are where runs begin in it; `positives` are the positive rows, in order; `positive_starts` are where these change
    run, and `positive_runs` which runs those are.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    positives: NDArray[np.intp]
    positive_starts: NDArray[np.intp]
    positive_runs: NDArray[np.intp]

    @classmethod
    def of(cls, truth: ArrayLike, score: ArrayLike) -> Self:
        """`truth` (rows,) is 0 or 1, `score` (rows,) any number. ValueError for a score that is none."""
        wanted, scores = np.asarray(truth) > 0.5, np.asarray(score, np.float64)
        if wanted.ndim != 1 or wanted.shape != scores.shape:
            raise ValueError(f"truth and score must be two rows of one length, not {wanted.shape} and {scores.shape}")
        if np.isnan(scores).any():
            raise ValueError("a score is not a number")
        order = np.argsort(-scores, kind="stable")
        wanted, scores = wanted[order], scores[order]
        tie_starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]][: len(scores)])
        with_positive = np.logical_or.reduceat(wanted, tie_starts) if len(tie_starts) else np.zeros(0, np.bool_)
        opens = with_positive | np.r_[True, with_positive[:-1]][: len(tie_starts)]
        run_of_row = np.repeat(np.cumsum(opens) - 1, np.diff(np.r_[tie_starts, len(scores)]))
        runs_of_positives = run_of_row[wanted]
        changes = np.flatnonzero(np.r_[True, runs_of_positives[1:] != runs_of_positives[:-1]][: wanted.sum()])
        return cls(order, tie_starts[opens], order[wanted], changes, runs_of_positives[changes])

    @property
    def defined(self) -> bool:
        """Whether there is a positive and a negative; without both no order is better than another."""
        return 0 < len(self.positives) < len(self.order)

    def counts(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positives and negatives in each run, (runs, draws) each, under the multiplicities (rows, draws)."""
        everything = np.add.reduceat(weights[self.order], self.starts, axis=0)
        positive = np.zeros_like(everything)
        positive[self.positive_runs] = np.add.reduceat(weights[self.positives], self.positive_starts, axis=0)
        return positive, everything - positive

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(draws,): the precision at each step of the curve, weighted by the recall that the step adds.

        nan for a draw without positives or without negatives. No interpolation, as in scikit-learn.
        """
        if not self.defined:
            return np.full(weights.shape[1], np.nan)
        positive, negative = self.counts(weights)
        found, wrong = positive.cumsum(axis=0), negative.cumsum(axis=0)
        called = found + wrong
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return _ratio((positive * precision).sum(axis=0), found[-1], defined=(found[-1] > 0) & (wrong[-1] > 0))

    def auroc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(draws,): the share of pairs of a positive and a negative that are in order; a tie is half a pair.

        nan for a draw without positives or without negatives.
        """
        if not self.defined:
            return np.full(weights.shape[1], np.nan)
        positive, negative = self.counts(weights)
        found = positive.cumsum(axis=0)
        pairs = found[-1] * negative.sum(axis=0)
        return _ratio((negative * (found - positive / 2)).sum(axis=0), pairs, defined=pairs > 0)


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the precision-recall curve, by steps; nan without a positive or without a negative."""
    ranking = Ranking.of(truth, score)
    return float(ranking.average_precision(np.ones((len(ranking.order), 1)))[0])


def auroc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve; nan without a positive or without a negative."""
    ranking = Ranking.of(truth, score)
    return float(ranking.auroc(np.ones((len(ranking.order), 1)))[0])


def _ratio(
    above: NDArray[np.float64], below: NDArray[np.float64], *, defined: NDArray[np.bool_]
) -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.full(below.shape, np.nan)
    return np.divide(above, below, out=out, where=defined)
