"""The index against a plain reckoning, and what chance makes of it against chance itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ocunet_pacs.drift import stability
from ocunet_pacs.drift.stability import Distribution, compare

SCORES = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-3, 3, width=16))


def one_each(values: np.ndarray) -> np.ndarray:
    return np.arange(len(values))


def distribution(values: np.ndarray, days: int = 7) -> Distribution:
    return Distribution.of(values, one_each(values), one_each(values) % days)


def plain(edges: tuple[float, ...], expected: np.ndarray, found: np.ndarray) -> float:
    """The index as a book has it, value by value."""
    total = 0.0
    for low, high in zip((-math.inf, *edges), (*edges, math.inf), strict=True):
        p, q = (
            (sum(low < value <= high for value in values.tolist()) + 0.5) / (len(values) + 0.5 * (len(edges) + 1))
            for values in (expected, found)
        )
        total += (q - p) * math.log(q / p)
    return total


@given(SCORES, SCORES)
def test_the_index_is_what_a_plain_reckoning_gives(reference: np.ndarray, values: np.ndarray) -> None:
    expected = distribution(reference)
    bins = expected.joined()
    found = compare(expected, values, one_each(values), 0.001)
    used = expected if len(values) >= 50 else bins
    assert found.index == pytest.approx(plain(used.edges, reference, values), abs=1e-9)
    assert found.index >= 0


@given(SCORES)
def test_bins_hold_every_value_of_the_reference_once(values: np.ndarray) -> None:
    whole = distribution(values)
    for bins in (whole, whole.joined()):
        assert sum(bins.counts) == len(values)
        assert list(bins.edges) == sorted(set(bins.edges))
        assert len(bins.counts) == len(bins.edges) + 1
    assert len(whole.joined().counts) <= len(whole.counts)


@given(SCORES)
def test_a_sample_like_its_reference_has_no_index_and_one_beside_it_has(values: np.ndarray) -> None:
    reference = distribution(values)
    again = compare(reference, values, one_each(values), 0.001)
    # Half a value a bin weighs more in the smaller of two, and here they are the same size.
    assert again.index == pytest.approx(0, abs=1e-9)
    for away in (values - 10, values + 10):
        assert compare(reference, away, one_each(values), 0.001).index > again.index


@pytest.mark.parametrize(("change", "seen"), [(1.0, True), (-1.0, True), (0.0, False)])
def test_a_measure_that_never_varied_may_leave_in_both_directions(change: float, seen: bool) -> None:
    reference = distribution(np.full(300, 0.5))
    found = compare(reference, np.full(60, 0.5 + change), np.arange(60), 0.001)
    assert (found.index > max(found.by_chance, 0.25)) is seen


def test_photographs_of_one_patient_count_as_one() -> None:
    assert stability.effective_size(np.repeat(np.arange(10), 4)) == 10
    assert stability.effective_size(np.array([1, 1, 1, 1, 1, 1, 2])) < 2
    reference = distribution(np.linspace(0, 1, 400))
    values = np.linspace(0.5, 1, 40)
    alone, together = (compare(reference, values, ids, 0.001) for ids in (np.arange(40), np.arange(40) // 8))
    assert together.by_chance > 2 * alone.by_chance


@pytest.mark.parametrize("patients", [20, 60, 200])
def test_chance_passes_its_limit_as_rarely_as_it_says(patients: int) -> None:
    """Nothing changed, a thousand times; days that are alike, so that nothing but chance is left."""
    rng = np.random.default_rng(patients)
    level, limit = 0.02, []
    for _ in range(1000):
        reference = distribution(rng.normal(size=400))
        bins = reference.joined() if patients < 50 else reference
        values = rng.normal(size=patients)
        counts = np.bincount(np.searchsorted(bins.edges, values), minlength=len(bins.counts))
        found = stability.index(bins.counts, counts)
        limit.append(found > stability.chance(len(bins.counts), 1 / patients + 1 / 400, 0.0, level))
    assert 0.005 < np.mean(limit) < 0.035


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.6])
def test_how_much_days_differ_is_read_off_the_reference(spread: float) -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(30):
        days = np.repeat(np.arange(20), 30)
        studies = np.arange(len(days)) // 2
        values = rng.normal(0, spread, 20)[days] + rng.normal(size=300)[studies] + 0.1 * rng.normal(size=600)
        found.append(stability.variance_of_days(values, studies, days))
    share = spread**2 / (1 + spread**2)  # ranks know nothing of the measure's unit
    assert np.mean(found) == pytest.approx(share, abs=0.04)


def test_a_day_that_differs_as_days_do_is_no_change() -> None:
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(20), 30)
    steady, unsteady = (
        Distribution.of(rng.normal(0, spread, 20)[days] + rng.normal(size=600), np.arange(600), days)
        for spread in (0.0, 0.8)
    )
    values, ids = rng.normal(1.3, 1, 80), np.arange(80)
    judged = [compare(reference, values, ids, 0.0001) for reference in (steady, unsteady)]
    assert [one.index > max(0.25, one.by_chance) for one in judged] == [True, False]


@given(st.integers(2, 12), st.floats(0.001, 0.5), st.floats(0, 0.5))
def test_what_chance_makes_grows_with_what_is_not_known(bins: int, variance: float, days: float) -> None:
    limit = stability.chance(bins, variance, days, 0.001)
    assert limit > 0
    assert stability.chance(bins, variance, days, 0.0001) > limit
    assert stability.chance(bins, 2 * variance, days, 0.001) > limit
    assert stability.chance(bins, variance, 2 * days, 0.001) >= limit
    assert stability.chance(bins + 1, variance, days, 0.001) > limit
    assert stability.chance(1, variance, days, 0.001) == 0
