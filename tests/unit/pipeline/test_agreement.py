"""The figures of a shadow report against independent computations, and what is undefined."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from ocunet_pacs.pipeline.agreement import FEWEST_FOR_STABILITY, agree, kappa, rank_correlation, stability

# Few different values, so that scores tie.
SCORES = st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0])
PAIRS = arrays(np.float64, st.tuples(st.just(2), st.integers(2, 60)), elements=SCORES)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_scikit_learns(said: list[tuple[bool, bool]]) -> None:
    positive = np.array(said, np.bool_).T
    found = agree(np.zeros((2, len(said))), positive)
    assert found.both + found.neither + found.only_active + found.only_candidate == found.images == len(said)
    if len(set(positive.ravel().tolist())) == 1:
        assert math.isnan(found.kappa), "chance alone agrees on everything"
    else:
        expected = cohen_kappa_score(*positive, labels=[False, True])
        assert found.kappa == pytest.approx(expected, abs=1e-12)
    assert found.agreement == pytest.approx(np.mean(positive[0] == positive[1]))


@settings(deadline=None)
@given(PAIRS)
def test_rank_correlation_is_the_correlation_of_mean_ranks(scores: np.ndarray) -> None:
    first, second = ([np.sum(row < one) + (np.sum(row == one) + 1) / 2 for one in row] for row in scores)
    if np.ptp(scores[0]) == 0 or np.ptp(scores[1]) == 0:
        assert math.isnan(rank_correlation(*scores))
    else:
        assert rank_correlation(*scores) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-9)


def index_by_hand(active: list[float], candidate: list[float]) -> float:
    """The definition, in loops."""
    edges = sorted({float(np.percentile(active, 10 * tenth)) for tenth in range(1, 10)})
    total = 0.0
    for number in range(len(edges) + 1):
        low = edges[number - 1] if number else -math.inf
        high = edges[number] if number < len(edges) else math.inf
        p, q = (
            (sum(low <= one < high for one in scores) + 0.5) / (len(scores) + 0.5 * (len(edges) + 1))
            for scores in (active, candidate)
        )
        total += (q - p) * math.log(q / p)
    return total


@settings(deadline=None)
@given(arrays(np.float64, (2, FEWEST_FOR_STABILITY), elements=st.floats(0, 1) | SCORES))
def test_the_stability_index_is_its_definition(scores: np.ndarray) -> None:
    found = stability(*scores)
    if np.ptp(scores[0]) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(index_by_hand(*scores.tolist()), abs=1e-9)
        assert found >= 0
        assert stability(scores[0], scores[0]) == pytest.approx(0, abs=1e-12)


def test_a_candidate_that_shifts_its_scores_is_told_from_one_that_does_not() -> None:
    random = np.random.default_rng(1)
    active = random.beta(0.5, 8.0, 400)
    noise = random.normal(0, 0.01, 400)
    same, shifted = np.clip(active + noise, 0, 1), np.clip(active * 3 + 0.1, 0, 1)
    assert stability(active, same) < 0.1 < 0.25 < stability(active, shifted)
    assert rank_correlation(active, shifted) == pytest.approx(1.0, abs=0.02)
    positive = np.stack([active, shifted]) >= 0.5
    assert agree(np.stack([active, shifted]), positive).mean_difference == pytest.approx(
        float((shifted - active).mean())
    )


def test_nothing_is_undefined_and_never_zero() -> None:
    found = agree(np.zeros((2, 0)), np.zeros((2, 0), np.bool_))
    *counts, agreement, kappa_, difference, index, ranks = astuple(found)
    assert counts == [0, 0, 0, 0, 0]
    assert all(math.isnan(value) for value in (agreement, kappa_, difference, index, ranks))
    assert math.isnan(kappa(0, 0, 0, 7))
    assert kappa(0, 7, 0, 0) == 0.0, "they agree on nothing, which is as much as by chance"
    few = np.linspace(0, 1, FEWEST_FOR_STABILITY - 1)
    assert math.isnan(stability(few, few))
    assert math.isnan(rank_correlation(np.array([0.5]), np.array([0.5])))
