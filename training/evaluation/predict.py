"""A bundle's word on a manifest's rows, spoken by the predictor that serves.

What the daemon would refuse to score (not gradable, not a fundus, not decodable) is not scored here either: figures are
over what was scored, and what was refused is counted and listed with its reasons. A site's rules about headers (age,
region, kind of image) are not the model's, and are not applied.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.model.manifest import DEFAULT_POINT
from ocunet_pacs.model.predictor import Predictor
from training.data.manifest import targets
from training.errors import ManifestError
from training.evaluation.photographs import check_files, prepared_rows
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.result import Classification, LabelScore, Photograph
    from ocunet_pacs.model.manifest import Manifest as BundleManifest
    from training.data.manifest import Manifest, Row
    from training.evaluation.photographs import PhotoFacts


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a bundle said about photographs whose labels are known.

    `rows` are the photographs, each once, and `facts` what is known of each, in one order; `judged` holds those of them
    that were scored, in that order. `bundle` is the bundle's manifest, `operating_point` names the thresholds, and
    `runtime` says what computed. `copies` counts the rows that were left out because their pixels are another row's.
    """

    judged: Judged
    rows: tuple[Row, ...]
    facts: tuple[PhotoFacts, ...]
    bundle: BundleManifest
    operating_point: str
    runtime: str
    copies: int = 0

    @property
    def scored(self) -> list[tuple[Row, PhotoFacts]]:
        """The rows of `judged`, in its order."""
        return [(row, facts) for row, facts in self._pairs() if not facts.reasons]

    @property
    def refused(self) -> list[tuple[Row, PhotoFacts]]:
        """What was not scored; the facts hold the reasons."""
        return [(row, facts) for row, facts in self._pairs() if facts.reasons]

    def _pairs(self) -> Iterator[tuple[Row, PhotoFacts]]:
        return zip(self.rows, self.facts, strict=True)


def judge(
    bundle: Path,
    manifest: Manifest,
    rows: Sequence[Row],
    *,
    workers: int,
    device: str = "auto",
    allow_untrained: bool = False,
    operating_point: str = DEFAULT_POINT,
    progress: Callable[[int], None] | None = None,
) -> Judgement:
    """What the bundle in this folder says about `rows`; see `Predictor.load` and `judge_with`."""
    predictor = Predictor.load(bundle, device, allow_untrained=allow_untrained, operating_point=operating_point)
    return judge_with(predictor, manifest, rows, workers=workers, progress=progress)


def judge_with(
    predictor: Predictor,
    manifest: Manifest,
    rows: Sequence[Row],
    *,
    workers: int,
    progress: Callable[[int], None] | None = None,
) -> Judgement:
    """What the predictor says about `rows`, with photographs prepared in `workers` processes (0: in this one).

    Needs the memory of a few photographs, however many rows there are; maps are not kept (see `explained`). `progress`
    is told how many more are done. ManifestError where there are none, or files are gone or changed.
    """
    distinct = merge_copies(rows)
    if not distinct:
        raise ManifestError("there are no photographs to judge the bundle by")
    check_files(manifest, distinct)
    made = predictor.manifest
    facts: list[PhotoFacts] = []
    said: list[tuple[LabelScore, ...]] = []
    # While a GPU computes one batch, the next one is sent.
    at_once = predictor.batch_size * (2 if predictor.on_gpu else 1)
    with closing(
        prepared_rows(manifest, distinct, made.preprocess, made.quality_limits, workers=workers)
    ) as photographs:
        while some := list(islice(photographs, at_once)):
            facts += [one.facts for one in some]
            answers = predictor.classify([one.photograph for one in some if one.photograph is not None])
            said += [answer.scores for answer in answers]
            if progress is not None:
                progress(len(some))
    scored = [row for row, known in zip(distinct, facts, strict=True) if not known.reasons]
    return Judgement(
        _judged(scored, said, predictor),
        tuple(distinct),
        tuple(facts),
        made,
        predictor.bundle.operating_point,
        predictor.runtime,
        len(rows) - len(distinct),
    )


def explained(
    predictor: Predictor, manifest: Manifest, rows: Sequence[Row], *, workers: int
) -> Iterator[tuple[Row, Photograph, Classification]]:
    """Photographs that were scored once more, with what a reader is shown of them and all labels' maps, in order."""
    made = predictor.manifest
    with closing(
        prepared_rows(manifest, rows, made.preprocess, made.quality_limits, workers=workers, keep_shown=True)
    ) as photographs:
        for row, one in zip(rows, photographs, strict=True):
            if one.photograph is not None:
                yield row, one.photograph, predictor.classify([one.photograph])[0]


def merge_copies(rows: Sequence[Row]) -> list[Row]:
    """Each photograph once, where it came first; what its copies say of it is joined.

    A label that one copy has and another one lacks is unknown.
    """
    merged: dict[str, Row] = {}
    for row in rows:
        first = merged.get(row.key)
        if first is None:
            merged[row.key] = row
        else:
            merged[row.key] = replace(
                first, positive=first.positive | row.positive, negative=first.negative | row.negative
            )
    return [
        replace(row, positive=row.positive - row.negative, negative=row.negative - row.positive)
        for row in merged.values()
    ]


def _judged(rows: Sequence[Row], said: Sequence[tuple[LabelScore, ...]], predictor: Predictor) -> Judged:
    labels = predictor.manifest.labels
    thresholds = predictor.manifest.thresholds_at(predictor.bundle.operating_point)
    values, known = targets(rows, labels)
    shape = (len(rows), len(labels))
    return Judged(
        keys=tuple(row.key for row in rows),
        groups=tuple(row.group for row in rows),
        labels=labels,
        targets=values,
        known=known,
        logits=np.array([[score.logit for score in scores] for scores in said], np.float64).reshape(shape),
        probabilities=np.array([[score.probability for score in scores] for scores in said], np.float64).reshape(shape),
        thresholds=np.array([thresholds[label] for label in labels], np.float64),
        bundle=predictor.bundle.digest,
        name=predictor.bundle.name,
    )
