"""Rare labels count more, by what is known of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.learning.weights import positive_weights


def table(positives, negatives=3, unknown=2):
    """One column a label: its positives, some negatives, and entries whose value means nothing."""
    rows = max(positives) + negatives + unknown
    targets, known = np.zeros((rows, len(positives)), np.float32), np.zeros((rows, len(positives)), np.bool_)
    for column, count in enumerate(positives):
        targets[:count, column] = 1
        known[: count + negatives, column] = True
        targets[count + negatives :, column] = 1
    return targets, known


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.sampled_from([0.5, 0.9, 0.999, 0.9999]))
def test_effective_numbers_exactly(positives, beta):
    """Against the formula in rational numbers."""
    exact = Fraction(beta)
    inverse = [(1 - exact) / (1 - exact**n) for n in positives]
    mean = sum(inverse) / len(inverse)
    said = positive_weights(*table(positives), kind="effective_number", beta=beta)
    np.testing.assert_allclose(said, [float(value / mean) for value in inverse], rtol=1e-9)


def test_published_counts_by_hand():
    """1,000 and 10 positives at .9999: effective numbers 951.67 and 9.9955."""
    said = positive_weights(*table([1000, 10]), kind="effective_number", beta=0.9999)
    assert said[1] / said[0] == pytest.approx(951.671 / 9.99550, rel=1e-5)
    assert said.mean() == pytest.approx(1.0)


def test_a_label_without_positives_takes_no_weight_from_the_others():
    with_it = positive_weights(*table([50, 0, 5]), kind="effective_number", beta=0.9999)
    without = positive_weights(*table([50, 5]), kind="effective_number", beta=0.9999)
    np.testing.assert_allclose(with_it, [without[0], 1.0, without[1]])
    assert positive_weights(*table([0, 0]), kind="effective_number", beta=0.9999).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("kind", "beta"), [("none", 0.9999), ("effective_number", 0.0)])
def test_without_weighting_all_count_the_same(kind, beta):
    assert positive_weights(*table([500, 5]), kind=kind, beta=beta).tolist() == [1.0, 1.0]
