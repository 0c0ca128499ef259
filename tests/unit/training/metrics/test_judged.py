"""What was judged is kept as it is, in a file that holds no code, and never as something that does not fit together."""

import dataclasses

import numpy as np
import pytest

from tests.unit.training.metrics.drawn import judged
from training.errors import TrainingError
from training.metrics.judged import Judged


def same(one, other):
    for field in dataclasses.fields(Judged):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b
            assert type(a) is type(b)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_what_is_saved_is_loaded(tmp_path, rows):
    made = dataclasses.replace(judged(rows=rows), bundle="ab" * 32, name="site")
    made.save(tmp_path / "deep" / "judged.npz")
    same(Judged.load(tmp_path / "deep" / "judged.npz"), made)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["judged.npz"]


def test_rows_are_chosen_by_mask_or_in_an_order():
    made = judged(rows=5)
    same(made.select([False, True, False, True, False]), made.select([1, 3]))
    assert made.select([4, 0]).keys == ("k4", "k0")
    assert made.select([4, 0]).logits.tolist() == made.logits[[4, 0]].tolist()
    assert made.select(np.zeros(5, bool)).targets.shape == (0, 4)


def test_labels_are_chosen_in_an_order():
    made = dataclasses.replace(judged(), thresholds=[0.1, 0.2, 0.3, 0.4])
    some = made.select_labels(["DN", "DR"])
    assert some.labels == ("DN", "DR")
    assert some.thresholds.tolist() == [0.4, 0.1]
    assert some.logits.tolist() == made.logits[:, [3, 0]].tolist()
    with pytest.raises(ValueError, match="not in"):
        made.select_labels(["RD"])


def test_a_probability_at_its_threshold_is_positive_as_in_serving():
    made = dataclasses.replace(judged(rows=1, labels=("DR",)), probabilities=[[0.25]], thresholds=[0.25])
    assert made.positive.tolist() == [[True]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keys": ("a", "a", "b")}, "a key occurs twice"),
        ({"groups": ("a",)}, "1 groups for 3 keys"),
        ({"labels": ("DR",)}, r"targets has the shape \(3, 4\), not \(3, 1\)"),
        ({"labels": ("DR", "DR", "MH", "DN")}, "a label occurs twice"),
        ({"thresholds": [0.5]}, "thresholds has the shape"),
        ({"targets": np.full((3, 4), 0.5)}, "neither 0 nor 1"),
        ({"logits": np.full((3, 4), np.nan)}, "not finite"),
        ({"probabilities": np.full((3, 4), np.nan)}, "not between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(judged(rows=3, unknown=0.0), **change)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "judged.npz"
    with pytest.raises(TrainingError, match="cannot be read"):
        Judged.load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(TrainingError, match="no file of judged"):
        Judged.load(path)
    np.savez(path, a=np.arange(3))
    with pytest.raises(TrainingError, match="of this version"):
        Judged.load(path)
    np.savez(path, keys=np.array([object()]))
    with pytest.raises(TrainingError, match="no file of judged"):
        Judged.load(path)
