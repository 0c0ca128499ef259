"""What each side of a split knows of a label, and what is missing there."""

from tests.unit.training.rows import row
from training.data.coverage import Coverage, coverage, gaps, labels_seen, sides
from training.data.manifest import Split

ROWS = [
    row(1, ["DR"], ["NORMAL"], group="a", split=Split.TRAIN),
    row(2, ["DR"], group="a", split=Split.TRAIN),
    row(3, ["NORMAL"], ["DR"], group="b", split=Split.TRAIN),
    row(4, ["DR"], ["NORMAL"], group="c", split=Split.TEST),
    row(5, [], ["MYA"], group="d", split=Split.TEST),
    row(6, ["MYA"], group="e"),
]


def test_photographs_and_groups_are_counted_and_unknown_is_neither():
    train = dict(sides(ROWS))[Split.TRAIN]
    assert coverage(train, "DR") == Coverage(2, 1, 0, 1, 1)
    assert coverage(train, "MYA") == Coverage(0, 0, 3, 0, 0)


def test_only_splits_in_use_are_sides_and_only_known_labels_are_seen():
    assert [side for side, _ in sides(ROWS)] == [Split.TRAIN, Split.TEST, Split.NONE]
    assert set(labels_seen(ROWS)) == {"DR", "NORMAL", "MYA"}
    assert labels_seen([]) == ()


def test_a_side_without_a_positive_or_a_negative_is_told_for_labels_that_can_be_learned():
    assert set(gaps(ROWS)) == {
        "DR: test has no negative",
        "NORMAL: test has no positive",
        "MYA: train has no positive and no negative",
        "MYA: test has no positive",
    }
    assert gaps([row(1, [], ["DR"], split=Split.TRAIN)]) == []
