"""What every threshold would give: the counts behind the precision-recall and the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One point for each distinct score, from the highest to the lowest.

    At a point, every row with `score` or more is called positive: `true_positives` and `false_positives`, int64
    (points,). `positives` and `negatives` are those that there are. Rates are nan where there is nothing to divide by.
    """

    score: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    positives: int
    negatives: int

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the positives that are called: sensitivity, the true positive rate."""
        return self.true_positives / (self.positives or np.nan)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the called that are positive."""
        return self.true_positives / (self.true_positives + self.false_positives)

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """Share of the negatives that are called."""
        return self.false_positives / (self.negatives or np.nan)

    @property
    def f1(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN); 0 everywhere without a positive."""
        return 2 * self.true_positives / (self.true_positives + self.false_positives + self.positives)

    def thinned(self, points: int) -> Curve:
        """At most so many points, for a plot: evenly spaced along the curve, and both ends."""
        if len(self.score) <= points:
            return self
        steps = np.abs(np.diff(self.true_positives)) / max(1, self.positives)
        steps = steps + np.abs(np.diff(self.false_positives)) / max(1, self.negatives)
        way = np.r_[0.0, np.cumsum(steps)]
        chosen = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], points)).clip(max=len(way) - 1))
        return Curve(
            self.score[chosen],
            self.true_positives[chosen],
            self.false_positives[chosen],
            self.positives,
            self.negatives,
        )


def curve(truth: ArrayLike, score: ArrayLike) -> Curve:
    """The points of rows with a truth in {0, 1} and a score each. ValueError for a score that is not a number."""
    wanted, scores = np.asarray(truth) > 0.5, np.asarray(score, np.float64)
    if wanted.ndim != 1 or wanted.shape != scores.shape:
        raise ValueError(f"truth and score must be rows of one length, not {wanted.shape} and {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    order = np.argsort(-scores, kind="stable")
    scores, wanted = scores[order], wanted[order]
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True][: len(scores)])
    found = np.cumsum(wanted, dtype=np.int64)[last]
    wrong = np.cumsum(~wanted, dtype=np.int64)[last]
    return Curve(scores[last], found, wrong, int(wanted.sum()), int((~wanted).sum()))
