"""From probabilities to yes or no: one threshold for each label, chosen on the validation split.

OcuNet tries .05 to .925 in steps of .025. Here every threshold that makes a difference is tried: one between any two
neighbouring probabilities, so that none of the grid's is better. It lies in the middle of its gap, not at a
photograph's own probability, so that serving, which may round otherwise, says of each what was counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from training.metrics.curves import curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from training.metrics.curves import Curve
    from training.recipe import Calibration

Rule = Literal["f1", "precision_at_recall", "sensitivity"]
MINIMUM_POSITIVES: Final = 5
"""A threshold that fewer positives choose says more about them than about the label."""
_CLOSEST: Final = 1e-5
"""Probabilities whose logits are less apart than this are one: no threshold can be relied on to part them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold in (0, 1), and what it gives on the rows that chose it; nan where that is undefined.

    `positives` and `negatives` are how many rows it was chosen from. `note` says what was out of the ordinary, empty
    where nothing was.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    positives: int
    negatives: int
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Thresholds from the highest to the lowest, and the curve's point that each gives."""

    threshold: NDArray[np.float64]
    point: NDArray[np.intp]


def choose_thresholds(
    probabilities: ArrayLike,
    targets: ArrayLike,
    known: ArrayLike,
    labels: Sequence[str],
    calibration: Calibration,
    rule: Rule | None = None,
    *,
    minimum_positives: int = MINIMUM_POSITIVES,
) -> dict[str, Chosen]:
    """A threshold for each label by `rule`, or else by the recipe's; rows whose label is unknown do not count.

    f1: the best F1. precision_at_recall: the best precision among those that find `calibration.recall` of the
    positives. Of equals the lowest is taken: it misses less. sensitivity: the highest that finds
    `calibration.sensitivity` of them.
    A label with fewer than `minimum_positives` positives, or without a negative, gets the median of the others' with a
    note; 0.5, with a note, where there are no others.

    `probabilities`, `targets` and `known` are (rows, labels). ValueError where they are of other shapes.
    """
    values, truth, mask = np.asarray(probabilities, np.float64), np.asarray(targets), np.asarray(known, np.bool_)
    if not values.shape == truth.shape == mask.shape == (len(values), len(labels)):
        raise ValueError(
            f"probabilities, targets and known must be (rows, {len(labels)}), not {values.shape}, {truth.shape} and "
            f"{mask.shape}"
        )
    curves = {
        label: curve(truth[mask[:, column], column], values[mask[:, column], column])
        for column, label in enumerate(labels)
    }
    chosen = {
        label: _choose(points, calibration, rule or calibration.thresholds)
        for label, points in curves.items()
        if points.positives >= max(1, minimum_positives) and points.negatives
    }
    fallback = median(made.threshold for made in chosen.values()) if chosen else 0.5
    return {
        label: chosen[label] if label in chosen else _without_choice(points, fallback, others=bool(chosen))
        for label, points in curves.items()
    }


def _choose(points: Curve, calibration: Calibration, rule: Rule) -> Chosen:
    candidates = _candidates(points)
    if not len(candidates.point):
        return replace(_at(points, 0.5), note="no threshold parts these probabilities: 0.5")
    recall = points.recall[candidates.point]
    if rule == "f1":
        allowed, figure = np.ones(len(recall), np.bool_), points.f1[candidates.point]
    elif rule == "precision_at_recall":
        allowed, figure = recall >= calibration.recall, points.precision[candidates.point]
    else:
        allowed, figure = recall >= calibration.sensitivity, -recall
    if not allowed.any():
        made = _at(points, float(candidates.threshold[-1]))
        return replace(made, note=f"too few can be found: the lowest threshold finds {made.recall:.0%}")
    best = np.flatnonzero(allowed & (figure == figure[allowed].max()))
    # Of equal recall the highest threshold has the fewest false alarms.
    return _at(points, float(candidates.threshold[best[0 if rule == "sensitivity" else -1]]))


def _candidates(points: Curve) -> _Candidates:
    """The middles of gaps between neighbouring probabilities, and of that below the lowest.

    Only those inside (0, 1) that single precision, too, can tell from both neighbours.
    """
    upper = points.score
    lower = np.r_[upper[1:], 0.0][: len(upper)]
    middle = (upper + lower) / 2
    apart = upper - lower >= _CLOSEST * middle * (1.0 - middle)
    low, between, high = (part.astype(np.float32) for part in (lower, middle, upper))
    usable = np.flatnonzero(apart & (low < between) & (between < high) & (middle < 1.0))
    return _Candidates(middle[usable], usable)


def _without_choice(points: Curve, fallback: float, *, others: bool) -> Chosen:
    reason = f"{points.positives} positives and {points.negatives} negatives are too few to choose from"
    came_from = "the median of the other labels' thresholds" if others else "0.5, since no label has enough"
    return replace(_at(points, fallback), note=f"{reason}: {came_from}")


def _at(points: Curve, threshold: float) -> Chosen:
    called = int((points.score >= threshold).sum())
    found = int(points.true_positives[called - 1]) if called else 0
    wrong = int(points.false_positives[called - 1]) if called else 0
    both = points.positives > 0 and points.negatives > 0
    return Chosen(
        threshold=threshold,
        precision=found / (found + wrong) if both and called else np.nan,
        recall=found / points.positives if points.positives else np.nan,
        f1=2 * found / (found + wrong + points.positives) if both else np.nan,
        positives=points.positives,
        negatives=points.negatives,
    )
