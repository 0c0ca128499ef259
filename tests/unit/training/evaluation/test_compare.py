"""Two bundles on the same photographs: matched by key, and every figure's difference with an interval."""

import dataclasses
import json

import numpy as np
import pytest

from tests.unit.training.metrics.drawn import judged
from training.errors import ComparisonError
from training.evaluation.compare import compare
from training.metrics.bootstrap import paired
from training.metrics.figures import FIGURES
from training.metrics.labels import label_metrics, mean_average_precision


def another(first, seed=1, skill=2.0):
    """A second bundle's word on the same photographs."""
    said = judged(seed, len(first), first.labels, skill=0.0).logits + skill * (2 * first.targets - 1)
    return dataclasses.replace(
        first, logits=said, probabilities=1 / (1 + np.exp(-said)), bundle="b" * 64, name="second"
    )


def test_the_figures_are_both_sides_and_the_difference_is_the_paired_one():
    first = judged(rows=80)
    second = another(first)
    said = compare(first, second, draws=60, seed=4)
    assert (said.rows, said.groups) == (80, len(set(first.groups)))
    for label in first.labels:
        for mine, theirs in ((said.labels[label].first, first), (said.labels[label].second, second)):
            assert dataclasses.asdict(mine) == pytest.approx(dataclasses.asdict(label_metrics(theirs)[label]))
    for name, statistic in FIGURES.items():
        expected = paired(first, second, statistic, draws=60, seed=4)
        for mine, theirs in (
            (said.means[name].difference, expected.mean),
            (said.labels["MH"].differences[name], expected.labels["MH"]),
        ):
            assert dataclasses.asdict(mine) == pytest.approx(dataclasses.asdict(theirs))
    mean = said.means["average_precision"]
    assert (mean.first, mean.second) == pytest.approx((mean_average_precision(first), mean_average_precision(second)))
    assert mean.second - mean.first == pytest.approx(mean.difference.value)
    assert mean.difference.low > 0.0


def test_rows_are_matched_by_key_and_those_of_one_side_are_counted():
    first = judged(rows=50)
    second = another(first)
    order = np.random.default_rng(0).permutation(50)[:44]
    said = compare(first.select(np.arange(45)), second.select(order), draws=5)
    both = [row for row in range(45) if row in order]
    assert said.rows == len(both)
    assert (said.first.rows, said.first.rows_alone) == (45, 45 - len(both))
    assert (said.second.rows, said.second.rows_alone) == (44, 44 - len(both))
    expected = compare(first.select(both), second.select(both), draws=5)
    assert said.labels == expected.labels


def test_labels_are_matched_by_name_and_those_of_one_side_are_named():
    first = judged(rows=50)
    second = another(first)
    said = compare(first.select_labels(["DR", "MH", "DN"]), second.select_labels(["DN", "ARMD", "DR"]), draws=5)
    assert list(said.labels) == ["DR", "DN"]
    assert (said.first.labels_alone, said.second.labels_alone) == (("MH",), ("ARMD",))
    assert said.labels["DN"].second == label_metrics(second)["DN"]


def test_decisions_count_who_is_newly_right_and_newly_wrong():
    truth = [1, 1, 1, 0, 0, 0, 1]
    first = dataclasses.replace(
        judged(rows=7, labels=("DR",), unknown=0.0),
        targets=np.array([truth]).T,
        known=np.array([[1, 1, 1, 1, 1, 1, 0]]).T,
        probabilities=np.array([[0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1]]).T,
    )
    second = dataclasses.replace(first, probabilities=np.array([[0.1, 0.9, 0.9, 0.1, 0.9, 0.1, 0.9]]).T)
    said = compare(first, second, draws=2).labels["DR"].decisions
    assert (said.newly_right, said.newly_wrong, said.newly_found, said.newly_missed) == (3, 2, 2, 1)
    assert said.agreement == pytest.approx(1 / 6)


def test_each_has_its_own_thresholds():
    first = judged(rows=40)
    said = compare(first, dataclasses.replace(first, thresholds=np.zeros(4)), draws=20)
    assert said.means["sensitivity"].second == 1.0
    assert said.means["specificity"].second == 0.0
    assert said.means["auroc"].difference.value == 0.0


def test_different_truths_and_patients_are_refused_with_their_counts():
    first = judged(rows=30)
    other = another(first)
    targets, known = other.targets.copy(), other.known.copy()
    known[:, 0] = targets[:2, 0] = True
    targets[:2, 0] = 1 - first.targets[:2, 0]
    known[5, 2] = ~known[5, 2]
    groups = ("x", *other.groups[1:])
    with pytest.raises(ComparisonError) as caught:
        compare(first, dataclasses.replace(other, targets=targets, known=known, groups=groups), draws=2)
    said = str(caught.value).splitlines()
    assert said[0] == "1 photographs belong to different patients or groups"
    unlike = ((~first.known[:, 0]) | (targets[:, 0] != first.targets[:, 0])).sum()
    assert said[1] == f"DR: {unlike} photographs were judged against different truths"
    assert said[2] == "MH: 1 photographs were judged against different truths"
    assert said[3] == "evaluate both with the same manifest"


def test_a_truth_that_is_unknown_to_both_may_hold_anything():
    first = judged(rows=30)
    second = another(first)
    spoiled = dataclasses.replace(second, targets=np.where(second.known, second.targets, 1 - second.targets))
    assert compare(first, spoiled, draws=3).labels == compare(first, second, draws=3).labels


def test_nothing_in_common_is_refused():
    first = judged(rows=10)
    with pytest.raises(ComparisonError, match="no photograph"):
        compare(first, judged(rows=10, keys="other"))
    with pytest.raises(ComparisonError, match="no label"):
        compare(first.select_labels(["DR"]), first.select_labels(["MH"]))


def test_json_holds_null_where_nothing_can_be_said():
    first = judged(rows=20)
    first.targets[:, 1] = 0.0
    content = json.loads(compare(first, another(first), draws=5).to_json())
    assert content["labels"]["ARMD"]["differences"]["auroc"]["value"] is None
    assert content["labels"]["DR"]["differences"]["auroc"]["value"] is not None
    assert content["means"]["auroc"]["labels"] == ["DR", "MH", "DN"]
    assert content["second"]["name"] == "second"
