"""What is shown of a manifest: numbers that add up, and warnings where a figure would deceive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.training.test_manifest import row, rows
from training.corpora.summary import Count, count_sources, warnings
from training.data.manifest import Manifest, Split, Unreadable

COUNTS = st.lists(st.builds(Count, st.integers(0, 40), st.integers(0, 40), st.integers(0, 5)), max_size=5)


def told(tmp_path, *made, unreadable=()):
    return "\n".join(warnings(Manifest(tuple(made), tmp_path, tuple(unreadable))))


def of(source, positive, negative, label="DR", first=0, **fields):
    """Rows of a source: so many positive ones, so many negative ones."""
    return [
        row(first + n, [label] if n < positive else [], [] if n < positive else [label], source=source, **fields)
        for n in range(positive + negative)
    ]


@settings(max_examples=40)
@given(st.lists(rows(), max_size=8))
def test_positive_negative_and_unknown_are_all_rows(made):
    for source in count_sources(made):
        own = [one for one in made if one.source == source.source]
        assert source.rows == len(own)
        for label, count in source.labels.items():
            assert count.positive == sum(label in one.positive for one in own)
            assert count.positive + count.negative + count.unknown == len(own)
            assert count.positive + count.negative
        assert sum(source.splits.values()) == sum(one.split is not Split.NONE for one in own)


def test_a_label_that_the_source_gives_away_is_warned_of(tmp_path):
    apart = told(tmp_path, *of("a", 20, 0), *of("b", 0, 20, first=100))
    assert "DR: the source alone gives it away (AUROC 1.00" in apart
    mixed = told(tmp_path, *of("a", 20, 20), *of("b", 20, 20, first=100))
    assert "gives it away" not in mixed
    assert "one source alone" not in mixed


def test_a_label_of_one_source_is_warned_of_where_there_are_several(tmp_path):
    both = (*of("a", 20, 20), *of("b", 0, 5, first=100))
    assert "positive in one source alone: DR (a)" in told(tmp_path, *both)
    assert "positive in one source" not in told(tmp_path, *of("a", 20, 20))


def test_copies_and_what_they_contradict_are_counted(tmp_path):
    same = (row(1, ["DR"], source="a"), row(1, [], ["DR"], source="b", group="other"))
    text = told(tmp_path, *same)
    assert "1 photograph is there more than once" in text
    assert "in several groups" in text
    assert "DR 1" in text
    assert "more than once" not in told(tmp_path, row(1), row(1, frame=2))


def test_labels_of_which_nothing_can_be_learned_are_named(tmp_path):
    text = told(tmp_path, *of("a", 3, 20), *of("a", 12, 0, "MYA", first=100))
    assert "fewer than 10 positives: DR (3)" in text
    assert "no negatives: MYA" in text


def test_a_source_without_patients_is_named(tmp_path):
    assert "every picture is its own group" in told(tmp_path, *of("a", 2, 2))
    assert "its own group" not in told(tmp_path, *of("a", 2, 2, group="one"))


def test_short_names_that_mean_other_things_elsewhere_are_questioned(tmp_path):
    assert "MH in site: make sure that it is 'media haze' there" in told(tmp_path, *of("site", 12, 12, "MH"))
    assert "MH in" not in told(tmp_path, *of("rfmid", 12, 12, "MH"))


def test_many_lost_files_are_a_warning(tmp_path):
    lost = [Unreadable(f"{n}.jpg", "not_colour: grey") for n in range(3)]
    assert "3 files of 7" in told(tmp_path, *of("a", 2, 2), unreadable=lost)
    assert "unreadable" not in told(tmp_path, *of("a", 2, 2))


def test_nothing_is_nothing_to_fear(tmp_path):
    assert told(tmp_path) == ""
    assert count_sources([]) == []
