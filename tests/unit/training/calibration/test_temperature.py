"""The temperature is the minimum that another optimiser finds, to 1e-6, and a number on any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from training.calibration.temperature import HIGHEST, LOWEST, fit_label_temperatures, fit_temperature


def drawn(seed, rows=300, labels=3, *, true=2.0, scale=3.0):
    random = np.random.default_rng(seed)
    logits = random.normal(-1.0, scale, (rows, labels))
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits / true))).astype(np.float32)
    return logits, targets, random.random(logits.shape) < 0.7


def found_by_scipy(logits, targets, known):
    """Brent's method on the cross-entropy, written as the mean of log(1 + exp(-x)) of what was so."""
    signed = np.where(targets > 0.5, logits, -logits)[known]
    found = minimize_scalar(
        lambda inverse: np.logaddexp(0.0, -signed * inverse).mean(),
        bounds=(1 / HIGHEST, 1 / LOWEST),
        method="bounded",
        options={"xatol": 1e-13},
    )
    # The minimum of a smooth function is known to the root of the precision only; its slope is known better.
    slope = lambda inverse: -(signed / (1 + np.exp(signed * inverse))).mean()  # noqa: E731
    low, high = found.x * 0.999, found.x * 1.001
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.2, 6.0), st.floats(0.5, 20.0))
def test_it_is_the_minimum_that_scipy_finds(seed, true, scale):
    data = drawn(seed, true=true, scale=scale)
    said = fit_temperature(*data)
    expected = found_by_scipy(*data)
    if LOWEST * 1.01 < expected < HIGHEST * 0.99:
        assert said == pytest.approx(expected, abs=1e-6, rel=1e-6)
    else:
        assert said <= LOWEST * 1.01 or said >= HIGHEST * 0.99


def test_it_finds_the_temperature_that_the_labels_were_drawn_with():
    assert fit_temperature(*drawn(0, rows=20_000, true=1.7)) == pytest.approx(1.7, rel=0.05)


def test_each_label_has_its_own():
    logits, targets, known = drawn(1)
    said = fit_label_temperatures(logits, targets, known)
    for column in range(3):
        one = [part[:, [column]] for part in (logits, targets, known)]
        assert said[column] == pytest.approx(found_by_scipy(*one), abs=1e-6)


def test_a_label_without_both_keeps_the_temperature_of_all():
    logits, targets, known = drawn(2)
    targets[:, 1] = 0.0
    known[:, 2] = False
    said = fit_label_temperatures(logits, targets, known)
    assert said[1] == said[2] == fit_temperature(logits, targets, known) != said[0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_labels_told_apart_perfectly_stop_at_the_bound(scale):
    logits = scale * np.array([-3.0, -1.0, 2.0, 5.0])
    assert fit_temperature(logits, logits > 0, np.ones(4)) == LOWEST
    assert fit_temperature(logits, logits < 0, np.ones(4)) == HIGHEST


def test_what_is_unknown_and_what_is_nothing_changes_nothing():
    logits, targets, known = drawn(3)
    spoiled = np.where(known, logits, np.nan)
    assert fit_temperature(spoiled, np.where(known, targets, 7.0), known) == fit_temperature(logits, targets, known)
    assert fit_temperature(np.zeros((3, 2)), np.ones((3, 2)), np.ones((3, 2))) == 1.0
    assert fit_temperature(logits, targets, np.zeros_like(known)) == 1.0


def test_a_known_logit_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        fit_temperature([np.inf, 1.0], [1, 0], [1, 1])
    with pytest.raises(ValueError, match="have different shapes"):
        fit_temperature([1.0], [1, 0], [1, 1])
