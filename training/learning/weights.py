"""How much a positive counts in the loss: rare labels more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def positive_weights(
    targets: NDArray[np.float32],
    known: NDArray[np.bool_],
    *,
    kind: Literal["effective_number", "none"],
    beta: float,
) -> NDArray[np.float64]:
    """One weight a label, float64 (labels,), of mean 1, from targets in {0, 1} and where they are known (rows, labels).

    effective_number: in proportion to (1 - beta) / (1 - beta^n) for n known positives (Cui et al. 2019,
    arXiv:1901.05555, equation 2). A label without positives gets 1 and stays out of the mean: its weight never meets a
    positive, and as the infinity that the formula gives it would take every other label's weight away.
    """
    positives = ((targets > 0) & known).sum(axis=0)
    weights = np.ones(positives.shape, np.float64)
    present = positives > 0
    if kind == "none" or beta == 0.0 or not present.any():
        return weights
    inverse = -1.0 / np.expm1(positives[present] * math.log(beta))
    weights[present] = inverse / inverse.mean()
    return weights
