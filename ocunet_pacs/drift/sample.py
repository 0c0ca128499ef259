"""Observations as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.drift import PATTERN_SIDE
from ocunet_pacs.domain.study import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ocunet_pacs.domain.drift import Observed
    from ocunet_pacs.drift.stability import Floats, Ids

REFUSED = "refused"
"""The measure that is 1 where a photograph's pixels kept it from being scored, else 0."""
PATTERN = "pattern"
"""The finding about what lies in the same place in every photograph."""


EVERY_LABEL = "every label"
"""The mean logit over all labels: what shifts them all a little shows here first."""
_SURE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One measure of some photographs, with the study and the day of each."""

    values: Floats
    studies: Ids
    days: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Photographs of one camera. `patterns` is uint8 (photographs, cells), `pattern_studies` the study of each."""

    photographs: int
    studies: int
    days: int
    columns: Mapping[str, Column]
    patterns: NDArray[np.uint8]
    pattern_studies: Ids


def image_sample(observed: Sequence[Observed]) -> Sample:
    """Of pixels. What is no fundus photograph says nothing about the camera, but counts as refused."""
    fundus = [one for one in observed if one.refused != ReasonCode.NOT_FUNDUS]
    rows: list[tuple[Observed, Mapping[str, float]]] = [(one, one.measures) for one in fundus]
    rows += [(one, {REFUSED: float(bool(one.refused))}) for one in observed]
    mapped = [one for one in fundus if len(one.pattern) == PATTERN_SIDE**2]
    patterns = np.frombuffer(b"".join(one.pattern for one in mapped), np.uint8).reshape(len(mapped), PATTERN_SIDE**2)
    return _sample(observed, rows, patterns, np.asarray([one.study_id for one in mapped], np.int64))


def score_sample(observed: Sequence[Observed], bundle_digest: str) -> Sample:
    """Of what these weights say."""
    scored = [one for one in observed if one.bundle_digest == bundle_digest and one.scores]
    nothing = np.zeros((0, PATTERN_SIDE**2), np.uint8)
    rows = [(one, {**one.scores, EVERY_LABEL: _mean_logit(one.scores)}) for one in scored]
    return _sample(scored, rows, nothing, np.zeros(0, np.int64))


def _mean_logit(scores: Mapping[str, float]) -> float:
    probabilities = np.clip(np.asarray(list(scores.values()), np.float64), _SURE, 1 - _SURE)
    return float(np.log(probabilities / (1 - probabilities)).mean())


def _sample(
    observed: Sequence[Observed],
    rows: Iterable[tuple[Observed, Mapping[str, float]]],
    patterns: NDArray[np.uint8],
    pattern_studies: Ids,
) -> Sample:
    found: dict[str, list[tuple[float, int, int]]] = {}
    for one, measures in rows:
        day = one.at.toordinal()
        for name, value in measures.items():
            found.setdefault(name, []).append((value, one.study_id, day))
    columns = {}
    for name, entries in found.items():
        values, studies, days = zip(*entries, strict=True)
        columns[name] = Column(
            np.asarray(values, np.float64), np.asarray(studies, np.int64), np.asarray(days, np.int64)
        )
    return Sample(
        photographs=len(observed),
        studies=len({one.study_id for one in observed}),
        days=len({one.at.toordinal() for one in observed}),
        columns=columns,
        patterns=patterns,
        pattern_studies=pattern_studies,
    )
