"""The two figures of an order are scikit-learn's, ties and all, and a multiplicity is a row that is there so often."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.unit.training.metrics.drawn import scored
from training.metrics.ranking import Ranking, auroc, auroc_by_part, average_precision


@settings(deadline=None, max_examples=60)
@given(scored())
def test_both_are_scikit_learns(drawn):
    truth, score = drawn
    assume(0 < truth.sum() < len(truth))
    assert average_precision(truth, score) == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert auroc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(scored(), st.integers(0, 2**32))
def test_a_multiplicity_is_the_row_so_many_times(drawn, seed):
    truth, score = drawn
    times = np.random.default_rng(seed).integers(0, 4, (len(truth), 3))
    ranking = Ranking.of(truth, score)
    for figure, plain in ((ranking.average_precision, average_precision), (ranking.auroc, auroc)):
        expected = [plain(np.repeat(truth, column), np.repeat(score, column)) for column in times.T]
        assert figure(times.astype(float)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("truth", [[], [0, 0], [1, 1], [1]])
def test_without_both_nothing_can_be_said(truth):
    for figure in (average_precision, auroc):
        assert np.isnan(figure(truth, np.arange(len(truth))))


def test_a_draw_without_both_says_nothing_though_the_rows_have_both():
    ranking = Ranking.of([1, 0, 0], [3.0, 2.0, 1.0])
    times = np.array([[0, 1, 1], [1, 0, 1], [1, 0, 0]], float)
    assert np.isnan(ranking.average_precision(times)).tolist() == [True, True, False]
    assert np.isnan(ranking.auroc(times)).tolist() == [True, True, False]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        auroc([0, 1], [np.nan, 1.0])
    with pytest.raises(ValueError, match="one length"):
        auroc([0, 1], [1.0])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_what_the_part_alone_gives_away_is_the_auroc_of_its_share_of_positives(counts):
    truth = [one for here, absent in counts for one in [1] * here + [0] * absent]
    score = [here / (here + absent) for here, absent in counts for _ in range(here + absent)]
    expected = roc_auc_score(truth, score) if len(set(truth)) == 2 else np.nan
    assert auroc_by_part(counts) == pytest.approx(expected, nan_ok=True)
