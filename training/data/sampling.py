"""In which order a job's photographs are seen in an epoch, and from which seed each of them varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDER, _SAMPLE = 0, 1
"""What a seed is for, so that no two of them meet."""


def epoch_order(
    targets: NDArray[np.float32],
    known: NDArray[np.bool_],
    *,
    kind: Literal["weighted", "shuffled"],
    seed: int,
    epoch: int,
    length: int | None = None,
) -> NDArray[np.int64]:
    """Indices of rows, `length` of them (None: as many as there are rows); equal arguments give an equal order.

    weighted: drawn with replacement by `row_weights`. shuffled: every row once, and where `length` is more, again.
    """
    count = len(targets)
    length = count if length is None else length
    generator = np.random.default_rng([seed, epoch, _ORDER])
    if kind == "shuffled":
        rounds = -(-length // count)
        return np.concatenate([generator.permutation(count) for _ in range(rounds)])[:length].astype(np.int64)
    ends = np.cumsum(row_weights(targets, known))
    drawn = np.searchsorted(ends, generator.random(length) * ends[-1], side="right")
    return np.asarray(drawn, np.int64)


def row_weights(targets: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each row is drawn, float64 (rows,), sum 1: by the inverse frequency of its rarest known positive label.

    Rows without a positive count as one more label, of all such rows; but they are never drawn more often than rows of
    the commonest label, however few they are. Rows of which nothing is known teach nothing and are not drawn, unless
    all are so.
    """
    positive = (targets > 0) & known
    counts = positive.sum(axis=0)
    rarest = np.where(positive, counts, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    without = ~positive.any(axis=1)
    rarest[without] = max(int(without.sum()), int(counts.max(initial=1)))
    weights = 1.0 / rarest
    taught = known.any(axis=1)
    if taught.any():
        weights[~taught] = 0.0
    return np.asarray(weights / weights.sum(), np.float64)


def sample_seed(seed: int, epoch: int, position: int) -> int:
    """From what the picture at this position of the epoch's order varies: 64 bits."""
    state = np.random.SeedSequence([seed, epoch, _SAMPLE, position]).generate_state(1, np.uint64)
    return int(state[0])
