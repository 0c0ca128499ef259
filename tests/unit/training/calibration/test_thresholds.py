"""Thresholds: the best there are by each rule, by trying them all, and in serving what they were when chosen."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from ocunet_pacs.model.manifest import threshold_problems
from training.calibration.thresholds import choose_thresholds
from training.recipe import Calibration

GRID = np.arange(0.05, 0.95, 0.025)
RULES = ("f1", "precision_at_recall", "sensitivity")


def one(truth, said, rule, **given_fields):
    columns = [np.asarray(part).reshape(-1, 1) for part in (said, truth, np.ones(len(truth)))]
    return choose_thresholds(*columns, ["DR"], Calibration(**given_fields), rule, minimum_positives=1)["DR"]


probabilities = st.floats(1e-6, 1.0) | st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0, 1 / (1 + np.exp(-20.0))])
rows = st.lists(st.tuples(st.booleans(), probabilities), min_size=2, max_size=25).map(
    lambda pairs: tuple(np.array(part) for part in zip(*pairs, strict=True))
)


def every_threshold(said):
    """One in each gap, by brute force, and the grid."""
    values = np.unique(np.r_[0.0, said])
    return np.r_[(values[1:] + values[:-1]) / 2, GRID]


@settings(deadline=None, max_examples=60)
@given(rows, st.sampled_from([0.3, 0.5, 0.8, 0.9, 1.0]))
def test_no_other_threshold_is_better(drawn, asked):
    truth, said = drawn
    assume(0 < truth.sum() < len(truth))
    made = {rule: one(truth, said, rule, recall=asked, sensitivity=asked) for rule in RULES}
    close = np.diff(np.unique(said)).min(initial=1.0) < 1e-4
    assume(not close)
    called = said >= every_threshold(said)[:, None]
    found, calls = (called & truth).sum(axis=1), called.sum(axis=1)
    assert made["f1"].f1 == pytest.approx((2 * found / (calls + truth.sum())).max())
    enough = found / truth.sum() >= asked
    assert made["precision_at_recall"].recall >= asked
    assert made["precision_at_recall"].precision == pytest.approx((found[enough] / calls[enough]).max())
    assert made["sensitivity"].recall >= asked
    assert (said >= made["sensitivity"].threshold).sum() == calls[enough].min()


@settings(deadline=None, max_examples=60)
@given(rows, st.sampled_from(RULES))
def test_what_it_says_of_itself_is_so_and_a_bundle_takes_it(drawn, rule):
    truth, said = drawn
    assume(0 < truth.sum() < len(truth))
    made = one(truth, said, rule)
    assert 0.0 < made.threshold < 1.0
    assert threshold_problems({"DR": made.threshold}, ["DR"]) == []
    called = said >= made.threshold
    assert made.recall == pytest.approx(recall_score(truth, called))
    assert made.f1 == pytest.approx(f1_score(truth, called, zero_division=0.0))
    if called.any():
        assert made.precision == pytest.approx(precision_score(truth, called))
    assert (made.positives, made.negatives) == (truth.sum(), (~truth).sum())


@settings(deadline=None, max_examples=60)
@given(rows, st.sampled_from(RULES), st.integers(0, 100))
def test_rounding_in_serving_changes_no_answer(drawn, rule, seed):
    truth, said = drawn
    assume(0 < truth.sum() < len(truth))
    made = one(truth, said, rule)
    assume(not made.note)
    called = said >= made.threshold
    assert (said.astype(np.float32) >= np.float32(made.threshold)).tolist() == called.tolist()
    noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, len(said))  # of the logits
    assert (said + noise * said * (1 - said) >= made.threshold).tolist() == called.tolist()


def test_of_equals_the_lowest_is_taken_whatever_the_order_of_the_rows():
    truth, said = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.7, 0.5, 0.3, 0.1])
    # F1 is 2/3 at .8 (1 of 2 found, none wrong) and 4/5 at .4; precision at recall .5 is 1 at .8.
    assert one(truth, said, "f1").threshold == pytest.approx(0.4)
    assert one(truth, said, "precision_at_recall", recall=0.5).threshold == pytest.approx(0.8)
    assert one(truth, said, "sensitivity", sensitivity=0.5).threshold == pytest.approx(0.8)
    assert one(truth, said, "sensitivity", sensitivity=0.51).threshold == pytest.approx(0.4)
    order = [3, 1, 4, 0, 2]
    for rule in RULES:
        assert one(truth[order], said[order], rule) == one(truth, said, rule)
    equal = one(np.array([1, 0, 0, 1]), np.array([0.8, 0.6, 0.4, 0.2]), "f1")  # 2/3 at .7 and at .1
    assert equal.threshold == pytest.approx(0.1)


def test_a_label_with_too_few_positives_gets_the_others_median_and_says_so():
    random = np.random.default_rng(0)
    said = random.random((200, 5))
    truth = (random.random((200, 5)) < said).astype(float)
    truth[:, 3] = np.arange(200) < 4
    known = np.ones((200, 5), bool)
    known[:, 4] = truth[:, 4] > 0
    labels = ["DR", "ARMD", "MH", "RD", "RP"]
    made = choose_thresholds(said, truth, known, labels, Calibration())
    expected = float(np.median([made[label].threshold for label in labels[:3]]))
    for label in ("RD", "RP"):
        assert made[label].threshold == expected
        assert "too few" in made[label].note
        assert "median" in made[label].note
    assert all(not made[label].note for label in labels[:3])
    assert made["RD"].note.startswith("4 positives and 196 negatives")
    assert made["RD"].recall == pytest.approx((said[:4, 3] >= expected).mean())
    assert np.isnan([made["RP"].precision, made["RP"].f1]).all()


def test_without_any_label_to_go_by_it_is_a_half_and_says_so():
    made = choose_thresholds(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((3, 1)), ["DR"], Calibration())["DR"]
    assert made.threshold == 0.5
    assert "no label has enough" in made.note
    assert np.isnan(made.recall)
    assert choose_thresholds(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 1)), ["DR"], Calibration())["DR"].note


def test_a_positive_that_no_threshold_reaches_is_said():
    made = one(np.array([1, 1, 0]), np.array([0.9, 0.0, 0.4]), "sensitivity")
    assert made.recall == 0.5
    assert "the lowest threshold finds 50%" in made.note
    assert "no threshold parts" in one(np.array([1, 0]), np.array([0.0, 0.0]), "f1").note


def test_the_rule_is_the_recipes_unless_another_is_asked_for():
    random = np.random.default_rng(1)
    said = random.random((100, 1))
    truth, known = random.random((100, 1)) < said, np.ones((100, 1))
    recipe = Calibration(thresholds="sensitivity", sensitivity=0.95)
    assert choose_thresholds(said, truth, known, ["DR"], recipe)["DR"].recall >= 0.95
    assert choose_thresholds(said, truth, known, ["DR"], recipe, "f1") == choose_thresholds(
        said, truth, known, ["DR"], Calibration()
    )


def test_what_is_unknown_does_not_count():
    random = np.random.default_rng(2)
    said, known = random.random((100, 2)), random.random((100, 2)) < 0.6
    truth = random.random((100, 2)) < said
    spoiled = np.where(known, truth, ~truth)
    noise = np.where(known, said, random.random((100, 2)))
    assert choose_thresholds(noise, spoiled, known, ["DR", "MH"], Calibration()) == choose_thresholds(
        said, truth, known, ["DR", "MH"], Calibration()
    )


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="must be"):
        choose_thresholds(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2)), ["DR"], Calibration())
