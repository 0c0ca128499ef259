"""Whether a probability means what it says: of all photographs called 30 %, are 30 % positive?

Guo et al. 2017, arXiv:1706.04599, speak of the chosen class's confidence; a label here is a yes or no of its own, so
its probability is compared with the share of positives, over the whole range and not from a half upward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Bins = Literal["width", "mass"]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """The reliability diagram: for each bin that holds rows, in order, float64 or int64 (bins,).

    `low` and `high` are its bounds: the first of equal width includes 0, and each includes its upper bound. `predicted`
    is the mean probability in it, `observed` the share of positives, `rows` how many rows it holds.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    rows: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of predicted and observed, by rows; nan without rows."""
        return float(np.abs(self.predicted - self.observed) @ self.rows / self.rows.sum()) if len(self.rows) else np.nan

    @property
    def worst(self) -> float:
        """Maximum calibration error: that distance in the worst bin; nan without rows."""
        return float(np.abs(self.predicted - self.observed).max()) if len(self.rows) else np.nan


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = 15, by: Bins = "width") -> Reliability:
    """Rows, each with a probability in [0, 1] and a truth in {0, 1}, gathered in bins.

    `by` width: bins of equal width. By mass: bins of equally many rows, where equal probabilities are never parted, so
    that there may be fewer. ValueError for what is no probability.
    """
    said, happened = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    if said.ndim != 1 or said.shape != happened.shape:
        raise ValueError(f"probabilities and truth must be rows of one length, not {said.shape} and {happened.shape}")
    if not ((said >= 0.0) & (said <= 1.0)).all():
        raise ValueError("a probability is not between 0 and 1")
    if bins < 1:
        raise ValueError(f"there must be at least one bin, not {bins}")
    numbers = bin_numbers(said, bins) if by == "width" else _by_mass(said, bins)
    present = np.unique(numbers)
    rows = np.bincount(numbers, minlength=bins)[present]
    predicted = np.bincount(numbers, said, minlength=bins)[present] / rows
    observed = np.bincount(numbers, happened, minlength=bins)[present] / rows
    if by == "width":
        low, high = present / bins, (present + 1) / bins
    else:
        high = np.array([said[numbers == number].max() for number in present])
        low = np.array([said[numbers == number].min() for number in present])
    return Reliability(low, high, predicted, observed, rows)


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 15, by: Bins = "width") -> float:
    """Mean distance of what was said and what was so, over bins weighted by their rows; nan without rows."""
    return reliability(probabilities, truth, bins, by).error


def bin_numbers(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """Which of `bins` bins of equal width each is in: ((m - 1) / bins, m / bins], and 0 in the first."""
    edges = np.arange(1, bins) / bins
    return np.searchsorted(edges, probabilities, side="left")


def _by_mass(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """A row's bin is that of the first row of its probability in order."""
    first = np.searchsorted(np.sort(probabilities), probabilities, side="left")
    return first * bins // max(1, len(probabilities))
