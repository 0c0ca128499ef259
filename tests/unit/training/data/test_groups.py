"""Groups of copies: joined however they hang together, and contradictions told by their lines."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.rows import row
from training.data.duplicates import Duplicate, contradictions, group_duplicates
from training.data.manifest import Manifest


def grouped(rows, pairs=()):
    made = group_duplicates(Manifest(tuple(rows), Path()), [Duplicate(rows[a].key, rows[b].key) for a, b in pairs])
    return [one.group for one in made.rows]


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=30))
def test_two_are_in_one_group_exactly_when_a_chain_of_copies_joins_them(n, pairs):
    pairs = [(a % n, b % n) for a, b in pairs]
    reach = [{i} for i in range(n)]
    for _ in range(n):
        for a, b in pairs:
            reach[a] |= reach[b]
            reach[b] |= reach[a]
    groups = grouped([row(i) for i in range(n)], pairs)
    for i in range(n):
        assert {j for j in range(n) if groups[j] == groups[i]} == reach[i]
        assert groups[i] == min(f"patient {j}" for j in reach[i])


def test_groups_that_share_a_file_are_one_and_keep_their_labels():
    rows = [row(1, ["DR"], group="b"), row(2, group="b"), row(1, ["DN"], group="a"), row(3, group="c")]
    assert grouped(rows) == ["a", "a", "a", "c"]
    again = group_duplicates(Manifest(tuple(rows), Path()), ())
    assert [one.positive for one in again.rows] == [one.positive for one in rows]


def test_frames_of_one_file_are_different_photographs():
    assert grouped([row(1, group="a", frame=1), row(1, group="b", frame=2)]) == ["a", "b"]


def test_a_label_that_copies_contradict_is_told_by_lines():
    rows = [row(1, ["DR"], ["DN"]), row(2, [], ["DR"]), row(1, ["DN"], []), row(1, [], ["DR"])]
    assert contradictions(rows) == [
        "the same file, DN: positive in line 4, negative in line 2",
        "the same file, DR: positive in line 2, negative in line 5",
    ]


def test_copies_that_contradict_each_other_are_told_too():
    rows = [row(1, ["DR"]), row(2, [], ["DR"]), row(3, ["DR"])]
    pairs = [Duplicate(rows[0].key, rows[1].key, mirrored=True, likeness=0.9), Duplicate(rows[0].key, rows[2].key)]
    told = ["copies (mirrored, likeness 0.90), DR: positive in line 2, negative in line 3"]
    assert contradictions(rows, pairs) == told
