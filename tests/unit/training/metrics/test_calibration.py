"""Calibration error by Guo et al., against bins filled one row at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.calibration import expected_calibration_error, reliability

sayings = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1) | st.sampled_from([k / 15 for k in range(16)])), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=60)
@given(sayings, st.sampled_from([1, 4, 15]))
def test_it_is_the_sum_over_bins_of_share_times_gap(pairs, bins):
    truth, said = (np.array(part, float) for part in zip(*pairs, strict=True))
    expected = 0.0
    for number in range(1, bins + 1):
        inside = (said > (number - 1) / bins) & (said <= number / bins) | ((number == 1) & (said == 0.0))
        if inside.any():
            expected += inside.mean() * abs(truth[inside].mean() - said[inside].mean())
    assert expected_calibration_error(said, truth, bins) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(sayings)
def test_bins_of_equal_mass_hold_every_row_once_and_never_part_equal_probabilities(pairs):
    truth, said = (np.array(part, float) for part in zip(*pairs, strict=True))
    made = reliability(said, truth, 5, "mass")
    assert made.rows.sum() == len(said)
    assert (made.high[:-1] < made.low[1:]).all()
    assert made.predicted @ made.rows == pytest.approx(said.sum())
    assert made.observed @ made.rows == pytest.approx(truth.sum())


def test_distinct_probabilities_fill_bins_of_equal_mass_evenly():
    assert reliability(np.linspace(0, 1, 100) ** 3, np.zeros(100), 5, "mass").rows.tolist() == [20] * 5


def test_who_says_what_is_so_has_no_error_and_who_is_sure_of_the_wrong_has_all():
    assert expected_calibration_error([0.25] * 4, [1, 0, 0, 0]) == 0.0
    assert expected_calibration_error([1.0, 0.0], [0, 1]) == 1.0
    assert reliability([1.0, 0.0, 0.0], [0, 0, 0]).worst == 1.0


def test_nothing_has_no_error_and_no_bins():
    assert np.isnan(expected_calibration_error([], []))
    assert np.isnan(reliability([], [], 5, "mass").worst)


@pytest.mark.parametrize(
    ("said", "truth", "bins"), [([1.1], [1], 15), ([np.nan], [1], 15), ([0.5], [], 15), ([0.5], [1], 0)]
)
def test_what_makes_no_sense_is_refused(said, truth, bins):
    with pytest.raises(ValueError, match=r"probabilit|bin"):
        reliability(said, truth, bins)
