"""The curves' points are scikit-learn's."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from sklearn.metrics import f1_score, precision_recall_curve, roc_curve

from tests.unit.training.metrics.drawn import scored
from training.metrics.curves import curve


@settings(deadline=None, max_examples=60)
@given(scored())
def test_the_points_are_scikit_learns(drawn):
    truth, score = drawn
    assume(0 < truth.sum() < len(truth))
    made = curve(truth, score)
    precision, recall, at = precision_recall_curve(truth, score)
    assert made.score.tolist() == at[::-1].tolist()
    assert made.precision == pytest.approx(precision[:-1][::-1])
    assert made.recall == pytest.approx(recall[:-1][::-1])
    false, true, _ = roc_curve(truth, score, drop_intermediate=False)
    assert made.false_positive_rate == pytest.approx(false[1:])
    assert made.recall == pytest.approx(true[1:])
    assert made.f1 == pytest.approx([f1_score(truth, score >= one) for one in made.score])


def test_without_positives_or_negatives_a_rate_is_undefined():
    assert np.isnan(curve([0, 0], [1.0, 2.0]).recall).all()
    assert np.isnan(curve([1, 1], [1.0, 2.0]).false_positive_rate).all()
    assert len(curve([], []).precision) == 0


def test_a_thinned_curve_keeps_its_ends_and_its_shape():
    random = np.random.default_rng(0)
    truth = random.random(5000) < 0.1
    full = curve(truth, random.normal(size=5000) + truth)
    thin = full.thinned(200)
    assert 150 < len(thin.score) <= 200
    assert (thin.score[0], thin.score[-1]) == (full.score[0], full.score[-1])
    fine = np.interp(full.false_positive_rate, thin.false_positive_rate, thin.recall)
    assert np.abs(fine - full.recall).max() < 0.02
    assert full.thinned(5000) is full
