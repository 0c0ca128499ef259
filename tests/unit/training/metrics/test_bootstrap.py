"""Weights by group are the same as copying patients' rows, and the intervals hold what they promise."""

import dataclasses

import numpy as np
import pytest

from tests.unit.training.metrics.drawn import judged
from training.metrics.bootstrap import intervals, multiplicities, paired
from training.metrics.figures import FIGURES, average_precision, f1, sensitivity
from training.metrics.judged import Judged
from training.metrics.labels import label_metrics, means


def copied(made: Judged, times: np.ndarray) -> Judged:
    """The rows so many times each, under keys of their own."""
    rows = np.repeat(np.arange(len(made)), times)
    return dataclasses.replace(
        made,
        keys=tuple(str(n) for n in range(len(rows))),
        groups=tuple(made.groups[row] for row in rows),
        **{name: getattr(made, name)[rows] for name in ("targets", "known", "logits", "probabilities")},
    )


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("rows", [3, 50])
def test_a_reweighting_is_a_resampling(name, rows):
    made = judged(3, rows)
    weights = np.concatenate(list(multiplicities(made.groups, draws=140, seed=5)), axis=1)
    assert weights.shape == (rows, 140)
    under = FIGURES[name](made)(weights)
    for draw in range(0, 140, 7):
        said = label_metrics(copied(made, weights[:, draw].astype(int)))
        expected = [getattr(label, name) for label in said.values()]
        assert under[:, draw] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_patients_are_drawn_whole_and_as_many_as_there_are():
    groups = ["a", "b", "a", "c", "b", "a"]
    weights = np.concatenate(list(multiplicities(groups, draws=300, seed=1)), axis=1)
    assert (weights[[0, 2, 5]] == weights[0]).all()
    assert (weights[[1, 4]] == weights[1]).all()
    assert (weights[[0, 1, 3]].sum(axis=0) == 3).all()
    assert weights.mean() == pytest.approx(1.0, abs=0.1)


def test_equal_seeds_give_equal_draws_and_others_others():
    first, again, other = (np.concatenate(list(multiplicities(list("abcd"), draws=200, seed=s)), 1) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_an_interval_is_the_percentiles_of_the_defined_draws():
    made = judged(4)
    made.targets[:, 3] = 0.0
    made.targets[0, 3], made.known[0, 3] = 1.0, True
    said = intervals(made, sensitivity, draws=200, seed=9, level=0.9)
    weights = np.concatenate(list(multiplicities(made.groups, draws=200, seed=9)), axis=1)
    values = sensitivity(made)(weights)
    one = said.labels["DR"]
    assert (one.low, one.high) == pytest.approx(tuple(np.nanquantile(values[0], [0.05, 0.95])))
    assert one.value == label_metrics(made)["DR"].sensitivity
    lost = int((weights[0] == 0).sum())
    assert said.labels["DN"].undefined == lost > 20
    assert said.mean.partial == lost
    assert said.mean.undefined == 0
    assert said.mean.value == means(made)["sensitivity"].value


def test_a_label_of_which_nothing_can_be_said_has_no_interval():
    made = judged()
    made.known[:, 2] = False
    said = intervals(made, average_precision, draws=20, seed=0).labels["MH"]
    assert np.isnan([said.value, said.low, said.high]).all()
    assert said.undefined == 20
    nothing = intervals(judged(rows=0), average_precision, draws=20, seed=0).mean
    assert np.isnan(nothing.value)


def test_an_interval_by_patient_holds_the_truth_where_one_by_photograph_does_not():
    """Photographs of a patient are copies here, so the sample is as large as the patients are many."""
    random, held = np.random.default_rng(0), {"patient": 0, "photograph": 0}
    trials, patients, photographs, truth = 120, 40, 6, 0.5
    for trial in range(trials):
        called = np.repeat(random.random(patients) < truth, photographs)[:, None]
        made = Judged(
            keys=tuple(str(n) for n in range(len(called))),
            groups=tuple(str(n // photographs) for n in range(len(called))),
            labels=("DR",),
            targets=np.ones(called.shape),
            known=np.ones(called.shape),
            logits=np.where(called, 1.0, -1.0),
            probabilities=np.where(called, 0.9, 0.1),
            thresholds=[0.5],
        )
        for name, one in (("patient", made), ("photograph", dataclasses.replace(made, groups=made.keys))):
            said = intervals(one, sensitivity, draws=200, seed=trial).labels["DR"]
            held[name] += said.low <= truth <= said.high
    assert held["patient"] >= 0.88 * trials
    assert held["photograph"] <= 0.7 * trials


def test_a_paired_difference_is_that_of_the_same_draws():
    first, other = judged(1, skill=0.2), judged(1, skill=2.0)
    second = dataclasses.replace(first, logits=other.logits, probabilities=other.probabilities)
    said = paired(first, second, f1, draws=150, seed=3)
    weights = np.concatenate(list(multiplicities(first.groups, draws=150, seed=3)), axis=1)
    values = f1(second)(weights) - f1(first)(weights)
    one = said.labels["MH"]
    assert (one.low, one.high) == pytest.approx(tuple(np.nanquantile(values[2], [0.025, 0.975])))
    assert one.value == label_metrics(second)["MH"].f1 - label_metrics(first)["MH"].f1
    assert one.not_above == (values[2] < 0).mean() + (values[2] == 0).mean() / 2
    assert said.mean.low > 0.0
    back = paired(second, first, f1, draws=150, seed=3)
    assert back.mean.value == -said.mean.value
    assert back.mean.not_above == pytest.approx(1 - said.mean.not_above)


def test_what_is_compared_with_itself_differs_by_nothing():
    made = judged()
    said = paired(made, made, average_precision, draws=30, seed=0)
    assert all((one.low, one.value, one.high, one.not_above) == (0, 0, 0, 0.5) for one in said.labels.values())


def test_only_the_same_photographs_and_truths_make_pairs():
    made = judged()
    with pytest.raises(ValueError, match="same photographs"):
        paired(made, made.select(np.arange(len(made))[::-1]), f1, draws=1, seed=0)
    with pytest.raises(ValueError, match="different labels"):
        paired(made, dataclasses.replace(made, known=~made.known), f1, draws=1, seed=0)
