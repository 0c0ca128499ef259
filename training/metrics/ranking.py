"""How well a score puts the positives first: average precision and the area under the ROC curve.

Both are figures of an order, so the rows are sorted once (`Ranking`) and any number of resamplings are answered from
that order: drawing rows with replacement is giving each row a multiplicity, and equal scores stay one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows from the highest score to the lowest, cut below each score that a positive has: these are the steps.

    All indices are into the rows that are weighted. `order` are the ranked rows; `starts` (steps, or one more for the
    rows below the last step) are where steps begin in it. `positives` are the positive rows in order, and
    `positive_starts` (steps,) where their steps begin. `tied` are the negative rows whose score a positive has,
    `tied_starts` where the step changes among them and `tied_steps` which steps those are.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    positives: NDArray[np.intp]
    positive_starts: NDArray[np.intp]
    tied: NDArray[np.intp]
    tied_starts: NDArray[np.intp]
    tied_steps: NDArray[np.intp]

    @classmethod
    def of(cls, truth: ArrayLike, score: ArrayLike, known: ArrayLike | None = None) -> Self:
        """`truth` (rows,) is 0 or 1, `score` (rows,) any number; rows that are not `known` (rows,) have no rank.

        ValueError for a known score that is no number.
        """
        wanted, scores = np.asarray(truth) > 0.5, np.asarray(score, np.float64)
        if wanted.ndim != 1 or wanted.shape != scores.shape:
            raise ValueError(f"truth and score must be two rows of one length, not {wanted.shape} and {scores.shape}")
        rows = np.arange(len(scores)) if known is None else np.flatnonzero(known)
        if np.isnan(scores[rows]).any():
            raise ValueError("a score is not a number")
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        wanted, scores = wanted[rows], scores[rows]
        score_of_row = np.cumsum(_changes(scores)) - 1
        has_positive = np.zeros(len(rows), np.bool_)
        has_positive[score_of_row[wanted]] = True  # by score
        tied = has_positive[score_of_row] & ~wanted
        # A step ends with the last row of a score that a positive has.
        last = np.r_[score_of_row[1:] != score_of_row[:-1], True][: len(rows)]
        ends = np.flatnonzero(last & has_positive[score_of_row]) + 1
        step_of_row = np.searchsorted(ends, np.arange(len(rows)), side="right")
        positive_steps, tied_steps = step_of_row[wanted], step_of_row[tied]
        return cls(
            rows,
            np.r_[0, ends][: len(ends) + 1 if len(ends) and ends[-1] < len(rows) else len(ends)],
            rows[wanted],
            np.flatnonzero(_changes(positive_steps)),
            rows[tied],
            np.flatnonzero(_changes(tied_steps)),
            tied_steps[_changes(tied_steps)],
        )

    @property
    def defined(self) -> bool:
        """Whether there is a positive and a negative; without both no order is better than another."""
        return 0 < len(self.positives) < len(self.order)

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(draws,), from multiplicities (rows, draws): precision at each step, weighted by the recall that it adds.

        nan for a draw without positives or without negatives. No interpolation, as in scikit-learn.
        """
        if not self.defined:
            return np.full(weights.shape[1], np.nan)
        positive, called, everything = self._steps(weights)
        found = positive.cumsum(axis=0)
        all_found = found[-1].copy()
        precision = np.divide(found, called, out=found, where=called > 0)  # where nothing is called, found is 0
        precision *= positive
        return _ratio(precision.sum(axis=0), all_found, defined=(all_found > 0) & (everything > all_found))

    def auroc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(draws,), from multiplicities (rows, draws): the share of pairs of a positive and a negative in order.

        A tie is half a pair. nan for a draw without positives or without negatives.
        """
        if not self.defined:
            return np.full(weights.shape[1], np.nan)
        positive, called, everything = self._steps(weights)
        found = positive.cumsum(axis=0)
        negatives = everything - found[-1]
        below = negatives - (called - found)
        if len(self.tied):
            below[self.tied_steps] += np.add.reduceat(weights[self.tied], self.tied_starts, axis=0) / 2
        pairs = found[-1] * negatives
        return _ratio((positive * below).sum(axis=0), pairs, defined=pairs > 0)

    def _steps(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The positives of each step and the rows down to its end, (steps, draws) both, and all rows (draws,)."""
        positive = np.add.reduceat(weights[self.positives], self.positive_starts, axis=0)
        called = np.add.reduceat(weights[self.order], self.starts, axis=0)
        np.cumsum(called, axis=0, out=called)
        return positive, called[: len(positive)], called[-1]


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


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value is not the one before it; the first is."""
    return np.concatenate([np.ones(1, np.bool_), values[1:] != values[:-1]])[: len(values)]


def auroc_by_part(counts: Iterable[tuple[int, int]]) -> float:
    """The AUROC of a reader who sees only which part (source, camera) a row is of, and knows its share of positives.

    `counts` are positives and negatives, a part each; nan where there is no positive or no negative. 0.5 means that the
    part says nothing.
    """
    by_share = sorted(((here, absent) for here, absent in counts if here + absent), key=lambda one: one[0] / sum(one))
    below = won = 0.0
    for here, absent in by_share:
        won += here * (below + absent / 2)
        below += absent
    pairs = sum(here for here, _ in by_share) * below
    return won / pairs if pairs else np.nan
