"""The order of an epoch: rare labels often, every picture once, the same order for the same seed and epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.data.sampling import epoch_order, row_weights, sample_seed

tables = st.tuples(st.integers(1, 12), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0])), arrays.arrays(np.bool_, shape)
    )
)


@given(tables)
def test_weights_are_the_inverse_frequency_of_the_rarest_positive_label(table):
    values, known = table
    sure = [[bool(v and k) for v, k in zip(*row, strict=True)] for row in zip(values, known, strict=True)]
    counts = [sum(row[label] for row in sure) for label in range(values.shape[1])]
    without = sum(not any(row) for row in sure)
    expected = [
        1 / min((count for count, there in zip(counts, row, strict=True) if there), default=max(without, 1, *counts))
        for row in sure
    ]
    if known.any():
        expected = [weight * row.any() for weight, row in zip(expected, known, strict=True)]
    weights = row_weights(values, known)
    assert weights == pytest.approx(np.array(expected) / sum(expected))


def test_rows_are_drawn_as_often_as_they_weigh():
    values = np.zeros((100, 2), np.float32)
    values[:90, 0] = 1  # ninety of one label, nine of another, one of nothing
    values[90:99, 1] = 1
    known = np.ones_like(values, np.bool_)
    orders = [epoch_order(values, known, kind="weighted", seed=1, epoch=epoch) for epoch in range(200)]
    counts = Counter(
        "common" if index < 90 else "rare" if index < 99 else "nothing" for index in np.concatenate(orders)
    )
    assert counts["common"] == pytest.approx(counts["rare"], rel=0.05)
    assert counts["nothing"] == pytest.approx(counts["common"] / 90, rel=0.25)


def test_rows_of_which_nothing_is_known_are_not_drawn_unless_all_are_so():
    values, known = np.zeros((6, 2), np.float32), np.zeros((6, 2), np.bool_)
    assert set(epoch_order(values, known, kind="weighted", seed=0, epoch=0, length=200)) == set(range(6))
    known[:3] = True
    assert set(epoch_order(values, known, kind="weighted", seed=0, epoch=0, length=200)) == {0, 1, 2}


@given(st.integers(1, 50), st.integers(1, 120), st.integers(0, 9), st.integers(0, 9))
def test_shuffled_is_every_row_once_before_any_comes_again(count, length, seed, epoch):
    nothing = np.zeros((count, 1), np.float32), np.ones((count, 1), np.bool_)
    order = epoch_order(*nothing, kind="shuffled", seed=seed, epoch=epoch, length=length)
    assert order.dtype == np.int64
    assert len(order) == length
    times = np.bincount(order, minlength=count)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("kind", ["weighted", "shuffled"])
def test_seed_and_epoch_make_the_order(kind):
    values, known = np.eye(40, dtype=np.float32), np.ones((40, 40), np.bool_)
    orders = {
        (seed, epoch): epoch_order(values, known, kind=kind, seed=seed, epoch=epoch).tolist()
        for seed in range(3)
        for epoch in range(3)
    }
    assert orders[1, 2] == epoch_order(values, known, kind=kind, seed=1, epoch=2).tolist()
    assert len({tuple(order) for order in orders.values()}) == 9


def test_no_two_samples_share_a_seed():
    seeds = {sample_seed(seed, epoch, at) for seed in range(5) for epoch in range(20) for at in range(100)}
    assert len(seeds) == 10_000
    assert sample_seed(1, 2, 3) == sample_seed(1, 2, 3)
