"""Whether a network may have learned where a photograph comes from instead of what it shows.

Data sets are often of one disease each, by one camera. A network that tells the cameras apart then scores well and
knows nothing. Four signs are looked for: a label whose positives all come from one source; one that the source alone
gives away; a score that orders photographs well across sources and badly within them; and absent labels that score
higher in one source than in another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.metrics.ranking import auroc, auroc_by_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class Absent:
    """The scores of one label where it is known to be absent, in one source.

    `called` is the share at the threshold or above; `median` and `high` (95th percentile) are probabilities.
    """

    label: str
    source: str
    photographs: int
    called: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Healthy:
    """Photographs of one source that are known to show nothing: NORMAL is there, or Disease_Risk is not.

    `alarmed` is the share of them on which a label that is known to be absent is called.
    """

    source: str
    photographs: int
    alarmed: float


def positive_sources(judged: Judged, sources: Sequence[str], label: str) -> dict[str, int]:
    """How many of the label's positives each source has, most first."""
    column = judged.labels.index(label)
    there = judged.known[:, column] & (judged.targets[:, column] > 0.5)
    return dict(Counter(source for source, one in zip(sources, there, strict=True) if one).most_common())


def auroc_within(judged: Judged, groups: Sequence[str], label: str) -> float:
    """The share of pairs of a positive and a negative from the same source that are in order; a tie is half a pair.

    nan where no source has both.
    """
    column = judged.labels.index(label)
    of = np.asarray(groups)
    ordered, pairs = 0.0, 0
    for one in dict.fromkeys(groups):
        here = judged.known[:, column] & (of == one)
        truth = judged.targets[here, column] > 0.5
        some = int(truth.sum()) * int((~truth).sum())
        if some:
            ordered += some * auroc(truth, judged.logits[here, column])
            pairs += some
    return ordered / pairs if pairs else np.nan


def auroc_by_source(judged: Judged, sources: Sequence[str], label: str) -> float:
    """The AUROC that the source alone gives: of a reader who sees no picture, only where each is from."""
    column = judged.labels.index(label)
    known, of = judged.known[:, column], np.asarray(sources)
    there = judged.targets[:, column] > 0.5
    parts = [known & (of == one) for one in dict.fromkeys(sources)]
    return auroc_by_part([(int((part & there).sum()), int((part & ~there).sum())) for part in parts])


def absent_scores(judged: Judged, sources: Sequence[str]) -> list[Absent]:
    """Every label in every source that has photographs without it, by label."""
    of = np.asarray(sources)
    made = []
    for column, label in enumerate(judged.labels):
        absent = judged.known[:, column] & (judged.targets[:, column] < 0.5)
        for source in sorted(set(sources)):
            here = absent & (of == source)
            if here.any():
                scores = judged.probabilities[here, column]
                called = float(judged.positive[here, column].mean())
                median, high = np.quantile(scores, [0.5, 0.95])
                made.append(Absent(label, source, int(here.sum()), called, float(median), float(high)))
    return made


def healthy_photographs(judged: Judged, sources: Sequence[str]) -> list[Healthy]:
    """Every source that has some."""
    healthy = np.logical_or(_is(judged, "NORMAL", present=True), _is(judged, "Disease_Risk", present=False))
    absent = judged.known & (judged.targets < 0.5)
    alarmed = np.asarray((absent & judged.positive).any(axis=1), np.bool_)
    of = np.asarray(sources)
    made = []
    for source in sorted(set(sources)):
        here = np.asarray(healthy & (of == source), np.bool_)
        if here.any():
            made.append(Healthy(source, int(here.sum()), float(alarmed[here].mean())))
    return made


def _is(judged: Judged, label: str, *, present: bool) -> NDArray[np.bool_]:
    if label not in judged.labels:
        return np.zeros(len(judged), np.bool_)
    column = judged.labels.index(label)
    return np.asarray(judged.known[:, column] & ((judged.targets[:, column] > 0.5) == present), np.bool_)
