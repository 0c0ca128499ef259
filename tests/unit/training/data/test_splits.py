"""Splits: a group on one side, each side its share of what is rare, and every overlap found and told."""

import random
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.training.rows import row
from training.data.duplicates import Duplicate
from training.data.manifest import Split
from training.data.splits import assign_splits, check_splits
from training.errors import LeakageError, ManifestError

SIDES = (Split.TRAIN, Split.VALIDATION, Split.TEST)
LABELS = ("DR", "ARMD", "MH", "DN", "MYA", "BRVO")


@st.composite
def collections(draw):
    """Rows of up to 80 patients with one to four photographs, partly labelled, some with a split from before."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    some_given = draw(st.booleans())
    rows = []
    for patient in range(draw(st.integers(1, 80))):
        side = chance.choice(SIDES) if some_given and chance.random() < 0.2 else Split.NONE
        source = chance.choice(["one", "two"])
        for _ in range(chance.randint(1, 4)):
            known = {label: chance.random() < 0.2 for label in LABELS if chance.random() < 0.6}
            rows.append(
                row(
                    len(rows),
                    [label for label, value in known.items() if value],
                    [label for label, value in known.items() if not value],
                    group=f"patient {patient}",
                    source=source,
                    split=side if chance.random() < 0.5 else Split.NONE,
                )
            )
    return rows


def sides_of(rows):
    sides = defaultdict(set)
    for one in rows:
        sides[one.group].add(one.split)
    return sides


@given(collections(), st.floats(0, 0.45), st.floats(0, 0.45), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_each_group_is_on_one_side_and_given_ones_stay(rows, validation, test, seed):
    assigned = assign_splits(rows, validation=validation, test=test, seed=seed)
    assert [replace(one, split=Split.NONE) for one in assigned] == [replace(one, split=Split.NONE) for one in rows]
    assert all(len(sides) == 1 and Split.NONE not in sides for sides in sides_of(assigned).values())
    assert all(after.split is before.split for before, after in zip(rows, assigned, strict=True) if before.split)
    check_splits(assigned)


@given(collections(), st.integers(0, 99), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_changes_nothing(rows, seed, chance):
    shuffled = rows.copy()
    chance.shuffle(shuffled)
    one = assign_splits(rows, validation=0.2, test=0.2, seed=seed)
    other = assign_splits(shuffled, validation=0.2, test=0.2, seed=seed)
    assert set(one) == set(other)


def clinic(seed, patients=600):
    """Two sources with different label sets, correlated labels from 30 % down to 1 %, one to four photographs each."""
    chance = np.random.default_rng(seed)
    rates = dict(zip(LABELS, (0.3, 0.15, 0.08, 0.04, 0.02, 0.01), strict=True))
    rows = []
    for patient in range(patients):
        source = "one" if patient % 3 else "two"
        ill = chance.random() < 0.5
        for _ in range(chance.integers(1, 5)):
            asked = LABELS if source == "one" else LABELS[:3]
            found = {label for label in asked if ill and chance.random() < 2 * rates[label]}
            names = {"positive": frozenset(found), "negative": frozenset(asked) - found}
            rows.append(row(len(rows), group=f"patient {patient}", source=source, **names))
    return rows


def uneven(rows, shares):
    """For each label and sign: groups by which the worst side misses its share."""
    off = []
    for label in LABELS:
        for sign in ("positive", "negative"):
            side = {one.group: one.split for one in rows if label in getattr(one, sign)}
            counts = Counter(side.values())
            off.append(max(abs(counts[s] - share * len(side)) for s, share in zip(SIDES, shares, strict=True)))
    return off


@pytest.mark.parametrize("seed", range(5))
def test_every_label_is_shared_out_far_more_evenly_than_by_chance(seed):
    rows, shares = clinic(seed), (0.7, 0.15, 0.15)
    dealt = assign_splits(rows, validation=0.15, test=0.15, seed=seed)
    chance = np.random.default_rng(seed)
    thrown = {group: SIDES[chance.choice(3, p=shares)] for group in sorted({one.group for one in rows})}
    by_chance = [replace(one, split=thrown[one.group]) for one in rows]
    assert max(uneven(dealt, shares)) < 4
    assert np.mean(uneven(dealt, shares)) < 0.25 * np.mean(uneven(by_chance, shares))
    counts = Counter(next(iter(sides)) for sides in sides_of(dealt).values())
    assert [counts[side] / 600 for side in SIDES] == pytest.approx(shares, abs=0.01)
    photographs = Counter(one.split for one in dealt)
    assert [photographs[side] / len(rows) for side in SIDES] == pytest.approx(shares, abs=0.03)


def test_another_seed_gives_another_split():
    rows = clinic(0)
    assert assign_splits(rows, validation=0.2, test=0.2, seed=1) != assign_splits(
        rows, validation=0.2, test=0.2, seed=2
    )


def test_few_groups_move_when_all_is_assigned_anew_with_more_rows():
    rows = clinic(3)
    fewer = [one for one in rows if not one.group.endswith("7")]
    before = {one.group: one.split for one in assign_splits(fewer, validation=0.15, test=0.15, seed=0)}
    after = {one.group: one.split for one in assign_splits(rows, validation=0.15, test=0.15, seed=0)}
    # Two independent splits with these shares would differ for 47 %.
    assert np.mean([after[group] is not side for group, side in before.items()]) < 0.2


def test_rows_that_come_later_move_nobody_and_even_the_shares_out():
    rows = clinic(1)
    settled = assign_splits(rows[:700], validation=0.15, test=0.15, seed=0)
    later = [one for one in rows[700:] if one.group != rows[699].group]
    whole = assign_splits([*settled, *later], validation=0.15, test=0.15, seed=5)
    assert whole[:700] == settled
    counts = Counter(next(iter(sides)) for sides in sides_of(whole).values())
    assert [counts[side] / len(sides_of(whole)) for side in SIDES] == pytest.approx((0.7, 0.15, 0.15), abs=0.01)


def test_a_test_set_of_its_own_leaves_other_sources_their_balance():
    rows = [replace(one, split=Split.TEST) if one.source == "two" else one for one in clinic(2)]
    assigned = assign_splits(rows, validation=0.15, test=0.15, seed=0)
    ill = {one.group: one.split for one in assigned if one.source == "one" and "ARMD" in one.positive}
    counts = Counter(ill.values())
    assert counts[Split.VALIDATION] / len(ill) == pytest.approx(0.15, abs=0.05)
    assert counts[Split.TEST] > 0


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (0.2, float("nan"))])
def test_shares_that_leave_nothing_to_train_on_are_refused(shares):
    with pytest.raises(ManifestError, match="shares"):
        assign_splits([row()], validation=shares[0], test=shares[1], seed=0)


def test_a_group_that_was_given_two_sides_is_refused_with_its_lines():
    rows = [row(n, group="a", split=side) for n, side in enumerate((Split.TRAIN, Split.NONE, Split.TEST))]
    with pytest.raises(LeakageError, match=r"^one group on two sides: line 2 \(train\), 4 \(test\)$"):
        assign_splits(rows, validation=0.2, test=0.2, seed=0)


def test_every_overlap_is_told_and_no_name_of_a_group_or_file():
    rows = [
        row(1, group="Miller", split=Split.TRAIN),
        row(2, group="Miller", split=Split.VALIDATION),
        row(3, group="Jones", split=Split.TRAIN),
        row(3, group="Smith", split=Split.TEST),
        row(4, group="Brown", split=Split.TEST),
        row(5, group="Green"),
    ]
    with pytest.raises(LeakageError) as caught:
        check_splits(rows)
    assert str(caught.value).splitlines() == [
        "one group on two sides: line 2 (train), 3 (validation)",
        "one photograph on two sides: line 4 (train), 5 (test)",
    ]
    assert not re.search("Miller|Jones|Smith|images", str(caught.value))


@given(collections(), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_one_group_put_on_the_other_side_is_always_found(rows, pick):
    assigned = list(assign_splits(rows, validation=0.3, test=0.3, seed=0))
    at = pick % len(assigned)
    assume(sum(one.group == assigned[at].group for one in assigned) > 1)
    assigned[at] = replace(assigned[at], split=next(side for side in SIDES if side is not assigned[at].split))
    with pytest.raises(LeakageError, match=rf"\b{at + 2}\b"):
        check_splits(assigned)


def test_a_pair_of_copies_is_an_overlap_only_across_sides_and_groups():
    rows = [row(1, split=Split.TRAIN), row(2, split=Split.TEST), row(3, split=Split.TRAIN), row(4)]
    near = Duplicate(rows[0].key, rows[1].key, mirrored=True, angle=180, likeness=0.951)
    check_splits(rows, [Duplicate(rows[0].key, rows[2].key), Duplicate(rows[1].key, rows[3].key)])
    with pytest.raises(LeakageError) as caught:
        check_splits(rows, [near])
    assert str(caught.value) == (
        "copies on two sides (mirrored, turned by 180 degrees, likeness 0.95): line 2 (train), 3 (test)"
    )
    with pytest.raises(LeakageError, match=r"^one group on two sides: [^\n]*$"):
        check_splits([replace(one, group="one") for one in rows], [near])
