"""A label's figures are scikit-learn's over the rows where it is known, and undefined ones are not zeros."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tests.unit.training.metrics.drawn import LABELS, judged
from training.metrics.calibration import expected_calibration_error
from training.metrics.labels import label_metrics, mean_average_precision, means, micro_f1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.9]))
def test_the_figures_are_scikit_learns_where_the_label_is_known(seed, rows, unknown):
    made = judged(seed, rows, unknown=unknown)
    for column, said in enumerate(label_metrics(made).values()):
        known = made.known[:, column]
        truth = made.targets[known, column]
        called, score = made.positive[known, column], made.probabilities[known, column]
        assert (said.n_known, said.positives) == (known.sum(), truth.sum())
        both = 0 < truth.sum() < len(truth)
        expected = {
            "average_precision": metrics.average_precision_score(truth, score) if both else np.nan,
            "auroc": metrics.roc_auc_score(truth, score) if both else np.nan,
            "f1": metrics.f1_score(truth, called, zero_division=np.nan) if both else np.nan,
            "precision": metrics.precision_score(truth, called, zero_division=np.nan) if both else np.nan,
            "sensitivity": metrics.recall_score(truth, called, zero_division=np.nan) if len(truth) else np.nan,
            "specificity": (
                metrics.recall_score(truth, called, pos_label=0, zero_division=np.nan) if len(truth) else np.nan
            ),
            "brier": np.mean((score - truth) ** 2) if len(truth) else np.nan,
            "calibration_error": expected_calibration_error(score, truth),
        }
        for name, value in expected.items():
            assert getattr(said, name) == pytest.approx(value, abs=1e-9, nan_ok=True), name
        if len(truth):
            table = metrics.confusion_matrix(truth, called, labels=[0, 1]).ravel().tolist()
            assert [said.true_negatives, said.false_positives, said.false_negatives, said.true_positives] == table


def test_what_an_unknown_row_holds_changes_nothing():
    made = judged()
    noise = np.random.default_rng(1).random(made.targets.shape)
    other = dataclasses.replace(
        made,
        targets=np.where(made.known, made.targets, noise > 0.5),
        logits=np.where(made.known, made.logits, 10 * noise),
        probabilities=np.where(made.known, made.probabilities, noise),
    )
    assert label_metrics(other) == label_metrics(made)


def test_a_label_without_positives_is_undefined_and_leaves_the_mean():
    made = judged()
    made.targets[:, 1] = 0.0
    said = label_metrics(made)["ARMD"]
    for name in ("average_precision", "auroc", "f1", "precision", "sensitivity"):
        assert np.isnan(getattr(said, name)), name
    assert said.specificity > 0.5
    mean = means(made)["average_precision"]
    assert mean.labels == ("DR", "MH", "DN")
    defined = [label_metrics(made)[label].average_precision for label in mean.labels]
    assert mean.value == mean_average_precision(made) == pytest.approx(np.mean(defined))


def test_a_mean_over_no_label_is_undefined():
    made = judged()
    made.known[:] = False
    assert np.isnan(mean_average_precision(made))
    assert all(np.isnan(mean.value) and mean.labels == () for mean in means(made).values())
    assert np.isnan(micro_f1(made))


def test_patients_are_counted_and_not_photographs():
    made = dataclasses.replace(judged(rows=4, unknown=0.0), groups=("a", "a", "b", "c"))
    made.targets[:, 0] = [1, 1, 0, 1]
    made.known[3, 0] = False
    said = label_metrics(made)["DR"]
    assert (said.groups, said.positive_groups, said.positives, said.negatives) == (2, 1, 2, 1)
    assert said.prevalence == pytest.approx(2 / 3)


def test_micro_f1_is_scikit_learns_over_all_known_entries():
    made = judged(rows=60)
    expected = metrics.f1_score(made.targets[made.known], made.positive[made.known])
    assert micro_f1(made) == pytest.approx(expected)
    assert list(label_metrics(made)) == list(LABELS)
