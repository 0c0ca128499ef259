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


def probabilities(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Calibrated probabilities in [0, 1], any shape. ValueError unless 0 < temperature < infinity.

    The exponential's argument is never positive, so that no logit overflows.
    """
    if not 0.0 < temperature < np.inf:
        raise ValueError(f"a temperature must be positive and finite, not {temperature}")
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    small = np.exp(-np.abs(scaled))
    return np.where(scaled >= 0.0, 1.0, small) / (1.0 + small)


def score(
    logits: ArrayLike, labels: Sequence[str], temperature: float, thresholds: Mapping[str, float]
) -> tuple[LabelScore, ...]:
    """One score for each of `labels`, in their order. `logits` is (labels,); every label has a threshold in [0, 1]."""
    values = np.asarray(logits, dtype=np.float64)
    return tuple(
        LabelScore(label, float(logit), float(probability), thresholds[label], bool(probability >= thresholds[label]))
        for label, logit, probability in zip(labels, values, probabilities(values, temperature), strict=True)
    )
