"""The whole of an evaluation: a bundle and a manifest's rows in, a page with all figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocunet_pacs.model.bundle import software_versions
from ocunet_pacs.model.manifest import DEFAULT_POINT
from ocunet_pacs.model.predictor import Predictor
from training.data.manifest import Split
from training.data.splits import check_splits
from training.errors import ManifestError
from training.evaluation.mistakes import paint_mistakes
from training.evaluation.page import write_page
from training.evaluation.predict import judge_with
from training.evaluation.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from training.data.manifest import Manifest, Row
    from training.evaluation.summary import Summary

ALL: Final = "all"
"""Instead of a split: every row of the manifest."""


def rows_of(manifest: Manifest, split: str) -> list[Row]:
    """The rows of a split, or ALL of them. ManifestError where there are none.

    Rows of the test must be apart from all others: LeakageError.
    """
    if split not in {ALL, *Split}:
        raise ManifestError(f"there is no split {split!r}: name train, validation, test or {ALL}")
    rows = list(manifest.rows) if split == ALL else manifest.of(Split(split))
    if not rows:
        has = ", ".join(sorted({str(row.split) or "none" for row in manifest.rows})) or "no rows"
        raise ManifestError(f"the manifest has no rows of the split {split!r} (it has: {has}); {ALL!r} takes every row")
    if split == Split.TEST:
        check_splits(manifest.rows)
    return rows


def evaluate(
    bundle: Path,
    manifest: Manifest,
    out: Path,
    *,
    now: datetime,
    workers: int,
    split: str = Split.TEST,
    device: str = "auto",
    allow_untrained: bool = False,
    operating_point: str = DEFAULT_POINT,
    draws: int = 1000,
    seed: int = 0,
    most_mistakes: int = 3,
    with_pictures: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Judge the bundle by the rows of `split` and write page, figures and scores to the folder `out`.

    See `judge_with` for what is judged and `write_page` for what is written. BundleError, ManifestError, LeakageError.
    """
    rows = rows_of(manifest, split)
    predictor = Predictor.load(bundle, device, allow_untrained=allow_untrained, operating_point=operating_point)
    judgement = judge_with(predictor, manifest, rows, workers=workers, progress=progress)
    summary = summarise(
        judgement,
        manifest,
        rows,
        made=now,
        software=software_versions(),
        draws=draws,
        seed=seed,
        most_mistakes=most_mistakes,
    )
    pictures = (
        paint_mistakes(predictor, manifest, judgement, summary.mistakes, workers=workers) if with_pictures else None
    )
    write_page(out, summary, judgement.judged, pictures)
    return summary
