"""Which side of the split a photograph is on, and the proof that no eye, patient or picture is on two."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from training.data.manifest import Split
from training.data.stratify import Trait, deal
from training.errors import LeakageError, ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from training.data.duplicates import Duplicate
    from training.data.manifest import Row

_SIDES: Final = (Split.TRAIN, Split.VALIDATION, Split.TEST)


def assign_splits(rows: Sequence[Row], *, validation: float, test: float, seed: int) -> tuple[Row, ...]:
    """The rows in their order, each with a split; a row that names one keeps it, and takes its group with it.

    `validation` and `test` are shares of each source's groups, those with a given split among them. Balanced are,
    within each source, the groups with a known positive and those with a known negative of each label, and by size.
    The same rows give the same splits whatever their order. Rows that are added to a manifest whose splits were written
    move nobody; when all is assigned anew, few groups move (see `stratify`).

    LeakageError where a group has been given to two splits, ManifestError for shares that leave nothing to train on.
    """
    if not (min(validation, test) >= 0.0 and validation + test < 1.0):
        raise ManifestError("the shares of validation and test must be 0 or more, and less than 1 together")
    check_splits(rows)
    groups = _by(rows, lambda row: row.group)
    traits = {group: _traits([rows[n] for n in places]) for group, places in groups.items()}
    given = {row.group: _SIDES.index(row.split) for row in rows if row.split}
    sides = deal(traits, given, (1.0 - validation - test, validation, test), seed)
    return tuple(replace(row, split=_SIDES[sides[row.group]]) for row in rows)


def check_splits(rows: Sequence[Row], duplicates: Iterable[Duplicate] = ()) -> None:
    """LeakageError with a line for every group, file and pair of `duplicates` that is on two sides.

    Rows are named by their lines in the manifest, since paths and groups may name a patient: `rows` must be all of them
    in order. Rows without a split are on no side.
    """
    problems = [
        f"{what}: {_lines(rows, places)}"
        for what, shared in (
            ("one group on two sides", _by(rows, lambda row: row.group)),
            ("one photograph on two sides", _by(rows, lambda row: row.key)),
        )
        for places in shared.values()
        if _on_two_sides(rows, places)
    ]
    keys = _by(rows, lambda row: row.key)
    for pair in duplicates:
        places = [*keys.get(pair.first, ()), *keys.get(pair.second, ())]
        told = pair.first == pair.second or len({rows[n].group for n in places}) == 1
        if not told and _on_two_sides(rows, places):
            problems.append(f"copies on two sides ({pair.words}): {_lines(rows, places)}")
    if problems:
        raise LeakageError("\n".join(problems))


def _traits(rows: Sequence[Row]) -> set[Trait]:
    """What is to be balanced of a group: its evidence, its sources, and its size in powers of two."""
    traits = {Trait(f"size {len(rows).bit_length()}")}
    for row in rows:
        traits.add(Trait("photographs", row.source))
        traits |= {Trait(f"{label} +", row.source) for label in row.positive}
        traits |= {Trait(f"{label} -", row.source) for label in row.negative}
    return traits


def _by(rows: Sequence[Row], name: Callable[[Row], str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        places[name(row)].append(n)
    return places


def _on_two_sides(rows: Sequence[Row], places: Sequence[int]) -> bool:
    return len({rows[n].split for n in places} - {Split.NONE}) > 1


def _lines(rows: Sequence[Row], places: Sequence[int]) -> str:
    """Lines by side, in the order of the sides: `line 2, 5 (train), 9 (test)`."""
    sides = ((side, [str(n + 2) for n in sorted(set(places)) if rows[n].split is side]) for side in _SIDES)
    return "line " + ", ".join(f"{', '.join(lines)} ({side})" for side, lines in sides if lines)
