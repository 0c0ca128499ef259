"""Calibration as the recipe asks, which remembers what it was fitted on."""

import numpy as np
import pytest

from ocunet_pacs.model.calibration import probabilities
from tests.unit.training.metrics.drawn import judged
from training.calibration.fit import calibrate
from training.calibration.seen import Seen
from training.calibration.temperature import fit_temperature
from training.calibration.thresholds import choose_thresholds
from training.data.manifest import Row
from training.errors import LeakageError
from training.metrics.calibration import expected_calibration_error
from training.recipe import Calibration


def overconfident(seed=0):
    """Labels drawn with the probabilities of logits that are then made three times too large."""
    made = judged(seed, 400, levels=400, patients=150)
    made.targets[:] = np.random.default_rng(seed + 1).random(made.logits.shape) < probabilities(made.logits, 1.0)
    made.logits[:] *= 3.0
    made.probabilities[:] = probabilities(made.logits, 1.0)
    return made


def test_one_temperature_and_the_rules_thresholds_on_calibrated_probabilities():
    made = overconfident()
    recipe = Calibration(operating_points=("sensitivity",))
    said = calibrate(made, recipe)
    assert said.temperature == fit_temperature(made.logits, made.targets, made.known) > 1.0
    assert said.label_temperatures == {}
    calibrated = probabilities(made.logits, said.temperature)
    np.testing.assert_array_equal(said.apply(made.logits), calibrated)
    for rule, chosen in (("f1", said.thresholds), ("sensitivity", said.operating_points["sensitivity"])):
        assert chosen == choose_thresholds(calibrated, made.targets, made.known, made.labels, recipe, rule)
    known = made.known
    before = expected_calibration_error(made.probabilities[known], made.targets[known])
    after = expected_calibration_error(calibrated[known], made.targets[known])
    assert after < before / 2


def test_each_label_can_have_a_temperature_and_one_that_cannot_is_named():
    made = overconfident()
    made.targets[:, 2] = 0.0
    said = calibrate(made, Calibration(temperature="per_label"))
    assert list(said.label_temperatures) == ["DR", "ARMD", "DN"]
    assert len(set(said.label_temperatures.values())) == 3
    assert any("temperature of all labels: MH" in note for note in said.notes)
    assert any(note.startswith("threshold of MH: 0 positives") for note in said.notes)
    expected = probabilities(made.logits[:, 2], said.temperature)
    np.testing.assert_array_equal(said.apply(made.logits)[:, 2], expected)


def test_without_a_temperature_probabilities_stay():
    made = overconfident()
    said = calibrate(made, Calibration(temperature="none"))
    assert said.temperature == 1.0
    np.testing.assert_array_equal(said.apply(made.logits), made.probabilities)


def test_what_it_was_fitted_on_does_not_judge_it():
    made, other = overconfident(), judged(1, 30, keys="other")
    apart = other.select([group not in made.groups for group in other.groups])
    said = calibrate(made.select([group not in other.groups for group in made.groups]), Calibration())
    said.require_unseen(other)
    with pytest.raises(LeakageError, match="1 of 1 photographs"):
        calibrate(made, Calibration()).require_unseen(made.select([7]))
    assert len(apart) < len(other)
    with pytest.raises(LeakageError, match="thresholds were fitted on them"):
        calibrate(made, Calibration()).require_unseen(other)  # other photographs, the same patients


def test_seen_is_the_same_in_any_order_and_in_rows_as_in_what_was_judged():
    made = judged(rows=6)
    rows = [
        Row("x.jpg", key, group, frozenset(), frozenset(), "s")
        for key, group in zip(made.keys, made.groups, strict=True)
    ]
    seen = Seen.in_rows(reversed(rows))
    assert seen == Seen.in_judged(made)
    assert seen.fingerprint == Seen.in_judged(made.select([3, 1, 0, 2, 5, 4])).fingerprint
    assert seen.fingerprint != Seen.in_judged(made.select([0, 1])).fingerprint
    assert seen.among(judged(rows=8)).tolist()[:6] == [True] * 6
