"""The soak's faults: the same from a seed, none twice at once, and quiet thirds in which no process ends."""

from __future__ import annotations

from itertools import combinations

from tests.soak.faults import KINDS
from tests.soak.timetable import timetable

SECONDS = 1800.0


def test_every_kind_comes_and_none_meets_another_on_its_target() -> None:
    for seed in range(20):
        planned = timetable(list(KINDS), SECONDS, seed)
        assert {one.kind for one in planned} == set(KINDS)
        assert planned == timetable(list(KINDS), SECONDS, seed)
        assert all(one.at > 0 and one.end < SECONDS for one in planned)
        for one, other in combinations(planned, 2):
            if one.kind.target == other.kind.target:
                assert one.end <= other.at
    assert timetable(list(KINDS), SECONDS, 1) != timetable(list(KINDS), SECONDS, 2)


def test_processes_end_in_the_middle_third_only_and_some_faults_overlap() -> None:
    planned = timetable(list(KINDS), SECONDS, 7)
    ends = [one.at for one in planned if one.kind.ends_processes]
    # One that waits for its target may begin a little later than it was drawn for.
    assert ends
    assert all(SECONDS / 3 <= at < 2 * SECONDS / 3 + 70 for at in ends)
    assert any(one.at < other.at < one.end for one, other in combinations(planned, 2))
