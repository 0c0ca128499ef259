import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.model.calibration import probabilities, score

LOGITS = st.floats(-1e6, 1e6)
TEMPERATURES = st.floats(0.05, 20)


@given(LOGITS, TEMPERATURES)
def test_a_probability_is_the_sigmoid_of_the_scaled_logit(logit: float, temperature: float) -> None:
    got = float(probabilities([logit], temperature)[0])
    scaled = logit / temperature
    expected = 1 / (1 + math.exp(-scaled)) if scaled > -700 else 0.0
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-300)


@given(st.lists(LOGITS, min_size=2, max_size=8), TEMPERATURES)
def test_probabilities_keep_the_order_and_mirror_at_zero(logits: list[float], temperature: float) -> None:
    values = np.sort(np.array(logits))
    assert (np.diff(probabilities(values, temperature)) >= 0).all()
    np.testing.assert_allclose(probabilities(values, temperature) + probabilities(-values, temperature), 1.0)


def test_each_label_may_have_a_temperature_of_its_own() -> None:
    logits, temperatures = [2.0, 2.0, -3.0], [1.0, 2.0, 3.0]
    expected = [1 / (1 + math.exp(-logit / t)) for logit, t in zip(logits, temperatures, strict=True)]
    np.testing.assert_allclose(probabilities([logits, logits], temperatures), [expected, expected], rtol=1e-12)
    scored = score(logits, ["DR", "MH", "DN"], temperatures, {"DR": 0.5, "MH": 0.75, "DN": 0.2})
    assert [s.positive for s in scored] == [True, False, True]
    with pytest.raises(ValueError, match="positive"):
        probabilities(logits, [1.0, 0.0, 1.0])


@given(st.floats(-30, 30), TEMPERATURES)
def test_a_label_is_positive_from_its_threshold_on(logit: float, temperature: float) -> None:
    reached = float(probabilities([logit], temperature)[0])
    above = math.nextafter(reached, 2)
    (at,) = score([logit], ["DR"], temperature, {"DR": reached})
    assert at.positive
    assert (at.label, at.logit, at.probability, at.threshold) == ("DR", logit, reached, reached)
    (below,) = score([logit], ["DR"], temperature, {"DR": above})
    assert not below.positive


@pytest.mark.parametrize("logit", [-math.inf, -1e300, 1e300, math.inf])
def test_no_logit_overflows(logit: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert probabilities([logit], 0.5)[0] == (logit > 0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_makes_no_sense_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        probabilities([0.0], temperature)


def test_scores_come_in_label_order_and_only_for_all_labels() -> None:
    thresholds = {"NORMAL": 0.5, "DR": 0.9}
    dr, normal = score([2.0, 0.5], ["DR", "NORMAL"], 1.0, thresholds)
    assert (dr.label, dr.positive, normal.label, normal.positive) == ("DR", False, "NORMAL", True)
    with pytest.raises(ValueError, match="zip"):
        score([2.0], ["DR", "NORMAL"], 1.0, thresholds)
