"""From logits to what is reported: probability = sigmoid(logit / temperature), positive when it reaches the threshold.

Temperature scaling: Guo et al. 2017, arXiv:1706.04599.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.result import LabelScore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


def probabilities(logits: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Calibrated probabilities in [0, 1], any shape (..., labels); `temperature` is one number, or one a label.

    ValueError unless 0 < temperature < infinity. The exponential's argument is never positive, so that no logit
    overflows.
    """
    divisor = np.asarray(temperature, dtype=np.float64)
    if not np.all((divisor > 0.0) & (divisor < np.inf)):
        raise ValueError(f"a temperature must be positive and finite, not {divisor}")
    scaled = np.asarray(logits, dtype=np.float64) / divisor
    small = np.exp(-np.abs(scaled))
    return np.where(scaled >= 0.0, 1.0, small) / (1.0 + small)


def score(
    logits: ArrayLike, labels: Sequence[str], temperature: ArrayLike, thresholds: Mapping[str, float]
) -> tuple[LabelScore, ...]:
    """One score for each of `labels`, in their order. `logits` is (labels,); every label has a threshold in [0, 1].

    `temperature` is one number for all labels, or one for each.
    """
    values = np.asarray(logits, dtype=np.float64)
    return tuple(
        LabelScore(label, float(logit), float(probability), thresholds[label], bool(probability >= thresholds[label]))
        for label, logit, probability in zip(labels, values, probabilities(values, temperature), strict=True)
    )
