"""What the drift watch would note of a manifest's photographs: how they look, and what a bundle says of them."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import Observed
from training.evaluation.photographs import prepared_rows
from training.evaluation.predict import merge_copies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ocunet_pacs.model.predictor import Predictor
    from training.data.manifest import Manifest, Row
    from training.evaluation.photographs import Prepared


def observed(
    predictor: Predictor, manifest: Manifest, rows: Sequence[Row], *, now: datetime, workers: int
) -> list[Observed]:
    """Of each photograph once that can be decoded, prepared in `workers` processes; a group stands for a study."""
    distinct = merge_copies(rows)
    studies = {group: number for number, group in enumerate(dict.fromkeys(row.group for row in distinct))}
    made = predictor.manifest
    found: list[Observed] = []
    remaining = iter(distinct)
    with closing(
        prepared_rows(manifest, distinct, made.preprocess, made.quality_limits, workers=workers)
    ) as photographs:
        while some := list(islice(photographs, predictor.batch_size)):
            given = [one.photograph for one in some if one.photograph is not None]
            answers = iter(predictor.classify(given))
            for row, one in zip(islice(remaining, len(some)), some, strict=True):
                scores = next(answers).scores if one.photograph is not None else ()
                if one.facts.appearance:
                    said = {score.label: score.probability for score in scores}
                    found.append(_observed(one, said, studies[row.group], predictor.bundle.digest, now))
    return found


def _observed(one: Prepared, scores: dict[str, float], study: int, digest: str, now: datetime) -> Observed:
    facts = one.facts
    return Observed(
        study,
        now,
        digest,
        dict(facts.quality) | dict(facts.appearance),
        scores,
        facts.reasons[0].code.value if facts.reasons else "",
        b"",
    )
