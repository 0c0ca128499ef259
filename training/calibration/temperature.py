"""The temperature that makes a network's probabilities mean what they say: sigmoid(logit / temperature).

Guo et al. 2017, arXiv:1706.04599: the temperature that minimises the binary cross-entropy of rows that were not learned
from. In 1 / temperature this is convex, so there is one minimum; where the labels can be told apart perfectly it lies
at temperature 0, and where the network is worse than chance at infinity, so it is sought between two bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

LOWEST: Final = 0.05
HIGHEST: Final = 20.0
_POLISH: Final = 4


def fit_temperature(logits: ArrayLike, targets: ArrayLike, known: ArrayLike) -> float:
    """One temperature for all labels, between LOWEST and HIGHEST; 1 where nothing is known.

    All three are (rows, labels) or (rows,): logits as the network gives them, targets in {0, 1}, known where they mean
    something. ValueError for a logit that is not finite.
    """
    values, truth, mask = np.asarray(logits, np.float64), np.asarray(targets, np.float64), np.asarray(known, np.bool_)
    if not values.shape == truth.shape == mask.shape:
        raise ValueError(
            f"logits, targets and known have different shapes: {values.shape}, {truth.shape}, {mask.shape}"
        )
    if not np.isfinite(values[mask]).all():
        raise ValueError("a logit is not finite")
    x, y = torch.from_numpy(values[mask]), torch.from_numpy(truth[mask])
    if not len(x) or not bool(x.any()):
        return 1.0  # any temperature gives the same
    if _slope(x, y, LOWEST) <= 0:
        return LOWEST
    if _slope(x, y, HIGHEST) >= 0:
        return HIGHEST
    return _minimum(x, y)


def fit_label_temperatures(logits: ArrayLike, targets: ArrayLike, known: ArrayLike) -> NDArray[np.float64]:
    """One temperature for each label, float64 (labels,), from (rows, labels).

    A label without a positive or without a negative has none of its own: it keeps the one of all labels.
    """
    values, truth, mask = np.asarray(logits, np.float64), np.asarray(targets, np.float64), np.asarray(known, np.bool_)
    own = has_both(truth, mask)
    together = fit_temperature(values, truth, mask)
    return np.array(
        [
            fit_temperature(values[:, column], truth[:, column], mask[:, column]) if own[column] else together
            for column in range(values.shape[1])
        ]
    )


def has_both(targets: ArrayLike, known: ArrayLike) -> NDArray[np.bool_]:
    """Which labels have a known positive and a known negative, (labels,)."""
    truth, mask = np.asarray(targets) > 0.5, np.asarray(known, np.bool_)
    return np.asarray((mask & truth).any(axis=0) & (mask & ~truth).any(axis=0))


def _slope(x: Tensor, y: Tensor, temperature: float) -> float:
    """Of the cross-entropy in 1 / temperature. Positive: a higher temperature is better."""
    return float(((torch.sigmoid(x / temperature) - y) * x).mean())


def _minimum(x: Tensor, y: Tensor) -> float:
    """Where it lies between the bounds. Sought in log(1 / temperature), so that every step is a temperature."""
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [scale], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = binary_cross_entropy_with_logits(x * scale.exp(), y)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    inverse = float(np.exp(scale.item()))
    for _ in range(_POLISH):  # to rounding the cross-entropy is flat around its minimum, but its slope is not: Newton
        said = torch.sigmoid(x * inverse)
        inverse -= float(((said - y) * x).mean() / (said * (1 - said) * x * x).mean())
    return 1.0 / min(max(inverse, 1.0 / HIGHEST), 1.0 / LOWEST)
