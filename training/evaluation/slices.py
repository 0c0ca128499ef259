"""The same figures over parts of the photographs: by source, camera, eye, and by how good the picture is.

A mean over all photographs hides a camera on which the model fails. Areas under the ROC curve can be compared between
parts; average precisions depend on how common a label is in each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from training.metrics.figures import FIGURES, counts
from training.metrics.labels import mean_average_precision, means

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.data.manifest import Row
    from training.evaluation.photographs import PhotoFacts
    from training.evaluation.predict import Judgement
    from training.metrics.judged import Judged

FEW: Final = 10
"""Positives, or negatives, below which a figure says little."""
_MOST_VALUES: Final = 8
"""Parts of one kind; the smaller ones are put together."""
_OTHERS: Final = "all others"
_SIDES: Final = {"R": "right eye", "L": "left eye"}
_THIRDS: Final = ("lowest third", "middle third", "highest third")
_FIGURES: Final = ("average_precision", "auroc", "sensitivity", "specificity")


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """One label in one part: what is undefined is nan."""

    positives: int
    negatives: int
    average_precision: float
    auroc: float
    sensitivity: float
    specificity: float

    @property
    def few(self) -> bool:
        """Whether these figures say little."""
        return min(self.positives, self.negatives) < FEW


@dataclass(frozen=True, slots=True)
class Slice:
    """One part; `mean_average_precision` and `mean_auroc` are over the labels where they are defined here.

    `refused` is None where the parts are of those photographs only that were scored.
    """

    value: str
    scored: int
    refused: int | None
    groups: int
    mean_average_precision: float
    mean_auroc: float
    averaged: tuple[str, ...]
    labels: dict[str, SliceFigures]


@dataclass(frozen=True, slots=True)
class Slicing:
    """All photographs, in parts of one kind."""

    by: str
    title: str
    slices: tuple[Slice, ...]


def slicings(judgement: Judgement) -> list[Slicing]:
    """Every way to cut these photographs that gives more than one part."""
    made = [
        _cut(judgement, "source", "Source", lambda row, _facts: row.source),
        _cut(judgement, "camera", "Camera", lambda row, _facts: row.camera or "not stated"),
        _cut(judgement, "eye", "Eye", lambda row, _facts: _SIDES.get(row.laterality, "not stated")),
        _thirds(judgement, "sharpness", "Sharpness (contrast of the finest structures)", "structure"),
        _thirds(judgement, "brightness", "Brightness (mean grey level of the field, 0 to 255)", "brightness"),
    ]
    return [one for one in made if len(one.slices) > 1]


def _cut(judgement: Judgement, by: str, title: str, value_of: Callable[[Row, PhotoFacts], str]) -> Slicing:
    scored = [value_of(row, facts) for row, facts in judgement.scored]
    refused = [value_of(row, facts) for row, facts in judgement.refused]
    everything = Counter([*scored, *refused])
    frequent = [value for value, _ in everything.most_common(_MOST_VALUES)]
    if len(everything) > _MOST_VALUES:
        frequent = [*frequent[:-1], _OTHERS]
        scored = [value if value in frequent else _OTHERS for value in scored]
        refused = [value if value in frequent else _OTHERS for value in refused]
    lost = Counter(refused)
    return Slicing(
        by,
        title,
        tuple(_slice(judgement.judged, value, [one == value for one in scored], lost[value]) for value in frequent),
    )


def _thirds(judgement: Judgement, by: str, title: str, measured: str) -> Slicing:
    """Thirds of the photographs that were scored: each name says which values it holds."""
    values = np.array([dict(facts.quality)[measured] for _, facts in judgement.scored], np.float64)
    if len(set(values)) < len(_THIRDS):
        return Slicing(by, title, ())
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    number = (values > low).astype(int) + (values > high)
    named = (f"up to {low:.3g}", f"{low:.3g} to {high:.3g}", f"above {high:.3g}")
    return Slicing(
        by,
        title,
        tuple(
            _slice(judgement.judged, f"{third} ({bounds})", (number == place).tolist(), None)
            for place, (third, bounds) in enumerate(zip(_THIRDS, named, strict=True))
        ),
    )


def _slice(judged: Judged, value: str, chosen: Sequence[bool], refused: int | None) -> Slice:
    part = judged.select(np.array(chosen, np.bool_))
    once = np.ones((len(part), 1))
    figures = {name: FIGURES[name](part)(once)[:, 0] for name in _FIGURES}
    found, missed, alarms, passed = (count[:, 0] for count in counts(part, once))
    area = means(part)["auroc"]
    return Slice(
        value=value,
        scored=len(part),
        refused=refused,
        groups=len(set(part.groups)),
        mean_average_precision=mean_average_precision(part),
        mean_auroc=area.value,
        averaged=area.labels,
        labels={
            label: SliceFigures(
                positives=int(found[column] + missed[column]),
                negatives=int(alarms[column] + passed[column]),
                **{name: float(values[column]) for name, values in figures.items()},
            )
            for column, label in enumerate(part.labels)
        },
    )
