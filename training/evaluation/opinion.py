"""What a bundle says about photographs, and what speaks against them as its judges: asked now, or read from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.errors import ComparisonError
from training.evaluation.evaluate import rows_of
from training.evaluation.independence import Weight, independence
from training.evaluation.page import FIGURES, SCORES
from training.evaluation.predict import judge
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.data.manifest import Manifest

_SERIOUS: Final = (Weight.VOID, Weight.DOUBT)


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What was said, and remarks that a reader of the figures must know, a sentence each."""

    judged: Judged
    remarks: tuple[str, ...] = ()


def ask(
    bundle: Path,
    manifest: Manifest,
    split: str,
    *,
    workers: int,
    device: str = "auto",
    operating_point: str = "default",
    allow_untrained: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Opinion:
    """Ask the bundle in this folder about the rows of a split. See `predict.judge`."""
    rows = rows_of(manifest, split)
    said = judge(
        bundle,
        manifest,
        rows,
        workers=workers,
        device=device,
        operating_point=operating_point,
        allow_untrained=allow_untrained,
        progress=progress,
    )
    remarks = independence(said.bundle, manifest, rows)
    return Opinion(said.judged, tuple(one.text for one in remarks if one.weight in _SERIOUS))


def read_opinion(path: Path) -> Opinion:
    """What `ocunet-train evaluate` wrote into a folder, or its file of scores alone. TrainingError."""
    if not path.is_dir():
        return Opinion(Judged.load(path))
    scores = path / SCORES
    if not scores.exists():
        raise ComparisonError(f"{path}: is no folder of an evaluation: it holds no {SCORES}")
    return Opinion(Judged.load(scores), _remarks(path / FIGURES))


def _remarks(report: Path) -> tuple[str, ...]:
    try:
        remarks = json.loads(report.read_bytes())["remarks"]
        return tuple(str(one["text"]) for one in remarks if one["weight"] in _SERIOUS)
    except FileNotFoundError:
        return (f"{report.parent.name}: nothing says whether these photographs may judge the bundle",)
    except (OSError, ValueError, KeyError, TypeError):
        raise ComparisonError(f"{report}: is no report of an evaluation") from None
