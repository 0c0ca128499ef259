"""The worst mistakes of each label, chosen to be looked at: nothing says more about what a network has learned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from training.evaluation.overlay import jpeg_uri, overlay, scaled
from training.evaluation.predict import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocunet_pacs.model.predictor import Predictor
    from training.data.manifest import Manifest
    from training.evaluation.predict import Judgement
    from training.metrics.judged import Judged

_SIDE: Final = 320
"""Longest side of a picture on the page, in pixels."""
_DIGITS: Final = 12


class Kind(StrEnum):
    """Which way the model was wrong."""

    MISSED = "missed"
    """The label is there and its score is below the threshold."""
    FALSE_ALARM = "false_alarm"
    """The label is absent and its score is at the threshold or above."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One label of one photograph. `photograph` names its pixels by the first digits of `Row.key`'s sha256.

    `shows` are the labels that are known to be there; `row` is the place in `Judged`.
    """

    label: str
    kind: Kind
    photograph: str
    probability: float
    threshold: float
    source: str
    shows: tuple[str, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """A mistake's photograph, and the same with what weighed for the label painted over, as `data:` addresses.

    `painted` is empty where nothing in the photograph weighed for the label.
    """

    plain: str
    painted: str


def short_name(key: str) -> str:
    """Enough of a row's key to find it in the manifest, and nothing that names a patient."""
    digest, _, frame = key.partition("-")
    return digest[:_DIGITS] + (f"-{frame}" if frame else "")


def worst_mistakes(judgement: Judgement, most: int) -> list[Mistake]:
    """For each label at most `most` of each kind, the farthest from the truth first, one from each group."""
    return [
        _mistake(judgement, row, column, kind)
        for column in range(len(judgement.judged.labels))
        for kind in Kind
        for row in _worst(judgement.judged, column, kind, most)
    ]


def paint_mistakes(
    predictor: Predictor, manifest: Manifest, judgement: Judgement, mistakes: list[Mistake], *, workers: int
) -> Mapping[tuple[int, str], Pictures]:
    """Pictures of the mistakes, by row and label. Their photographs are read and scored once more."""
    wanted: dict[int, list[Mistake]] = {}
    for mistake in mistakes:
        wanted.setdefault(mistake.row, []).append(mistake)
    scored = [row for row, _ in judgement.scored]
    painted: dict[tuple[int, str], Pictures] = {}
    again = explained(predictor, manifest, [scored[place] for place in wanted], workers=workers)
    for (_, photograph, said), here in zip(again, wanted.values(), strict=True):
        picture, crop = scaled(photograph.shown, photograph.crop, _SIDE)
        for mistake in here:
            activation = said.maps[judgement.judged.labels.index(mistake.label)]
            over = jpeg_uri(overlay(picture, activation, crop)) if activation.any() else ""
            painted[mistake.row, mistake.label] = Pictures(jpeg_uri(picture), over)
    return painted


def _worst(judged: Judged, column: int, kind: Kind, most: int) -> Iterator[int]:
    truth, called = judged.targets[:, column] > 0.5, judged.positive[:, column]
    wrong = judged.known[:, column] & ((truth & ~called) if kind is Kind.MISSED else (~truth & called))
    order = np.argsort(judged.logits[:, column], kind="stable")
    seen: set[str] = set()
    for row in order if kind is Kind.MISSED else order[::-1]:
        if len(seen) == most:
            return
        if wrong[row] and judged.groups[row] not in seen:
            seen.add(judged.groups[row])
            yield int(row)


def _mistake(judgement: Judgement, row: int, column: int, kind: Kind) -> Mistake:
    judged = judgement.judged
    own, _ = judgement.scored[row]
    return Mistake(
        label=judged.labels[column],
        kind=kind,
        photograph=short_name(own.key),
        probability=float(judged.probabilities[row, column]),
        threshold=float(judged.thresholds[column]),
        source=own.source,
        shows=tuple(label for label in judged.labels if label in own.positive),
        row=row,
    )
