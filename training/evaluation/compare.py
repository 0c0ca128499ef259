"""Two bundles on the same photographs: what the second does better or worse, and whether that is more than chance.

Both speak on every photograph, so their figures rise and fall together from one sample of patients to another; the
difference is resampled as one (a paired bootstrap by group), which is much surer than two intervals side by side.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.errors import ComparisonError
from training.metrics.bootstrap import paired
from training.metrics.figures import FIGURES
from training.metrics.labels import label_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.metrics.bootstrap import Difference
    from training.metrics.judged import Judged
    from training.metrics.labels import LabelMetrics

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its name and digest, and what is its alone and therefore not compared."""

    name: str
    bundle: str
    rows: int
    rows_alone: int
    labels_alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What became of each known photograph at the two's thresholds; McNemar's counts, and on which side they fell.

    `newly_right` and `newly_wrong` are those that only the second, or only the first, tells right. `newly_found` are
    the positives among the right ones, `newly_missed` those among the wrong ones. `agreement` is the share on which
    both say the same, nan where nothing is known.
    """

    newly_right: int
    newly_wrong: int
    newly_found: int
    newly_missed: int
    agreement: float


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """A label that both know. `differences` are the second's figures less the first's, by the figure's name."""

    label: str
    first: LabelMetrics
    second: LabelMetrics
    differences: Mapping[str, Difference]
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class MeanComparison:
    """A figure's mean over the labels where it is defined for both: `labels`. nan where there are none."""

    first: float
    second: float
    difference: Difference
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. `rows` and `groups` are those on which both spoke; `draws`, `seed`, `level` are of the intervals."""

    first: Side
    second: Side
    rows: int
    groups: int
    labels: Mapping[str, LabelComparison]
    means: Mapping[str, MeanComparison]
    draws: int
    seed: int
    level: float

    def to_json(self) -> bytes:
        """ASCII JSON with two spaces and a line end; null for what is undefined."""
        content = plain({"format_version": FORMAT, **asdict(self)})
        return json.dumps(content, indent=2, allow_nan=False).encode("ascii") + b"\n"


def compare(first: Judged, second: Judged, *, draws: int = 2000, seed: int = 0, level: float = 0.95) -> Comparison:
    """The second less the first, on the photographs and labels that both know, matched by key.

    ComparisonError where they share no photograph or no label, or were judged against different truths or patients.
    """
    shared = [label for label in first.labels if label in second.labels]
    mine, theirs = _aligned(first, second, shared)
    differences = {
        name: paired(mine, theirs, one, draws=draws, seed=seed, level=level) for name, one in FIGURES.items()
    }
    figures = label_metrics(mine), label_metrics(theirs)
    labels = {
        label: LabelComparison(
            label,
            figures[0][label],
            figures[1][label],
            {name: found.labels[label] for name, found in differences.items()},
            _decisions(mine, theirs, column),
        )
        for column, label in enumerate(shared)
    }
    return Comparison(
        _side(first, second, mine),
        _side(second, first, mine),
        len(mine),
        len(set(mine.groups)),
        labels,
        {name: _mean(name, labels, found.mean) for name, found in differences.items()},
        draws,
        seed,
        level,
    )


def plain(value: Any) -> Any:  # noqa: ANN401 -- JSON
    """The same in what JSON knows: None for a number that is none, lists for tuples."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _aligned(first: Judged, second: Judged, shared: list[str]) -> tuple[Judged, Judged]:
    if not shared:
        raise ComparisonError("the two bundles have no label in common")
    place = {key: row for row, key in enumerate(second.keys)}
    both = [row for row, key in enumerate(first.keys) if key in place]
    if not both:
        raise ComparisonError("no photograph was judged by both: evaluate them on the same split of the same manifest")
    mine = first.select(both).select_labels(shared)
    theirs = second.select([place[key] for key in mine.keys]).select_labels(shared)
    problems = []
    if moved := sum(one != other for one, other in zip(mine.groups, theirs.groups, strict=True)):
        problems.append(f"{moved} photographs belong to different patients or groups")
    unlike = (mine.known != theirs.known) | (mine.known & (mine.targets != theirs.targets))
    problems += [
        f"{label}: {count} photographs were judged against different truths"
        for label, count in zip(shared, unlike.sum(axis=0), strict=True)
        if count
    ]
    if problems:
        raise ComparisonError("\n".join([*problems, "evaluate both with the same manifest"]))
    return mine, theirs


def _side(own: Judged, other: Judged, shared: Judged) -> Side:
    alone = tuple(label for label in own.labels if label not in other.labels)
    return Side(own.name, own.bundle, len(own), len(own) - len(shared), alone)


def _decisions(mine: Judged, theirs: Judged, column: int) -> Decisions:
    known = mine.known[:, column]
    truth = mine.targets[known, column] > 0.5
    before, after = (one.positive[known, column] == truth for one in (mine, theirs))
    right, wrong = after & ~before, before & ~after
    return Decisions(
        newly_right=int(right.sum()),
        newly_wrong=int(wrong.sum()),
        newly_found=int((right & truth).sum()),
        newly_missed=int((wrong & truth).sum()),
        agreement=float((before == after).mean()) if known.any() else np.nan,
    )


def _mean(name: str, labels: Mapping[str, LabelComparison], difference: Difference) -> MeanComparison:
    over = [one for one in labels.values() if not math.isnan(one.differences[name].value)]
    first, second = (
        float(np.mean([getattr(side, name) for side in sides])) if over else math.nan
        for sides in ([one.first for one in over], [one.second for one in over])
    )
    return MeanComparison(first, second, difference, tuple(one.label for one in over))
