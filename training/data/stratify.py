"""Dealing groups out to the sides of a split so that each side gets its share of everything that is rare.

After K. Sechidis, G. Tsoumakas, I. Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011: what has the
fewest undealt examples is dealt first, each side by what it still lacks of it. Two things are ours. What is balanced is
any property of a group (a known positive, a known negative, where it comes from), so that unknown labels count as
nothing. And within one deal the groups go in the order of a hash of their names, the lowest to the last side, instead
of at random: a group then stays where it is when others come or go, unless it lies at a border that moved. What the
deals for rare things spoiled for others is then mended by moving single groups while that helps.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray


_ALL: Final = "\0all"
_SWEEPS: Final = 20
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True, order=True)
class Trait:
    """Something to be balanced: `kind` is what is found in every `source` (a label's positives, say)."""

    kind: str
    source: str = ""


@dataclass(slots=True)
class _Deal:
    """What is left to be dealt, and what each side lacks."""

    shares: NDArray[np.float64]
    lacks: dict[Trait, NDArray[np.float64]]
    owed: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def quotas(self, trait: Trait, n: int) -> NDArray[np.int64]:
        """How many of `n` groups with this trait each side takes; what rounding took from a side is owed to it."""
        lack = np.clip(self.lacks[trait], 0.0, None)
        if not lack.any():
            lack = self.shares
        want = n * lack / lack.sum()
        whole: NDArray[np.int64] = np.floor(want + 1e-9).astype(np.int64)
        owed = self.owed.setdefault(trait.kind, np.zeros_like(want))
        over_all = self.owed.setdefault("", np.zeros_like(want))
        for _ in range(n - int(whole.sum())):
            claim = np.where(lack > 0, want - whole + owed + over_all, -np.inf)
            whole[claim.argmax()] += 1
        owed += want - whole
        over_all += want - whole
        return whole


def deal(
    traits: Mapping[str, Collection[Trait]], given: Mapping[str, int], shares: Sequence[float], seed: int
) -> dict[str, int]:
    """The side, 0 .. len(shares) - 1, of every group of `traits`; `given` ones keep theirs, and count.

    The same for the same arguments, whatever the order of the mappings. Of every trait each side gets `shares` of the
    groups that have it, within rounding, unless `given` groups or a group's other traits forbid it.
    """
    members: dict[Trait, set[str]] = defaultdict(set)
    for group, its in traits.items():
        for trait in its:
            members[trait].add(group)
    part = np.asarray(shares, np.float64) / sum(shares)
    state = _Deal(part, {trait: part * len(groups) for trait, groups in members.items()})
    sides: dict[str, int] = {}

    def put(group: str, side: int) -> None:
        sides[group] = side
        for trait in traits[group]:
            state.lacks[trait][side] -= 1.0
            members[trait].discard(group)

    for group, side in given.items():
        put(group, side)
    while left := [trait for trait, groups in members.items() if groups]:
        trait = min(left, key=lambda t: (len(members[t]), t))
        quotas = state.quotas(trait, len(members[trait]))
        order = sorted(members[trait], key=lambda group: _place(group, seed))
        for group, side in zip(order, np.repeat(np.arange(len(part))[::-1], quotas[::-1]).tolist(), strict=True):
            put(group, side)
    return _mended(traits, given, part, sides, seed)


def _mended(
    traits: Mapping[str, Collection[Trait]],
    given: Mapping[str, int],
    shares: NDArray[np.float64],
    sides: Mapping[str, int],
    seed: int,
) -> dict[str, int]:
    """`sides` after moves of one group each, until none lowers the sum of (surplus of a side)^2 / groups with a trait.

    The sum goes over sides, and over traits within each source and over all sources; among these counts no source where
    all groups with a trait are given, a test set of its own, since nothing can be mended there.
    """
    order = sorted(traits, key=lambda group: _place(group, seed))
    free = [group for group in order if group not in given]
    own = _counted(traits, free)
    # Numbered in a fixed order, since sums of floats depend on it.
    number = {trait: n for n, trait in enumerate(sorted(set().union(*own.values())))}
    of = {group: np.array([number[trait] for trait in sorted(own[group])], np.intp) for group in order}
    count, surplus = np.zeros(len(number)), np.zeros((len(shares), len(number)))
    for group in order:
        count[of[group]] += 1.0
        surplus[sides[group], of[group]] += 1.0
    surplus -= shares[:, None] * count
    mended = dict(sides)
    for _ in range(_SWEEPS):
        before = dict(mended)
        for group in free:
            its, old = of[group], mended[group]
            change = ((surplus[:, its] - surplus[old, its] + 1.0) / count[its]).sum(axis=1)
            change[old] = 0.0
            change[shares == 0.0] = np.inf
            new = int(change.argmin())
            if change[new] < -_LEAST:
                surplus[old, its] -= 1.0
                surplus[new, its] += 1.0
                mended[group] = new
        if mended == before:
            break
    return mended


def _counted(traits: Mapping[str, Collection[Trait]], free: Sequence[str]) -> dict[str, set[Trait]]:
    """The traits of each group, with those over all sources of every trait that some `free` group has too."""
    movable = {trait for group in free for trait in traits[group]}
    return {
        group: {*its, *(Trait(trait.kind, _ALL) for trait in its if trait in movable)} for group, its in traits.items()
    }


def _place(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
