"""A trained network as a bundle that the daemon serves, written only when it is proved to say the same."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import check_room, software_versions, take_place, write_bundle
from ocunet_pacs.model.manifest import Manifest, Provenance, validation_problems
from training.errors import RunError
from training.export.proof import prove
from training.export.record import own_notes, record_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from torch import Tensor

    from training.data.manifest import Manifest as TrainingManifest
    from training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The outcome of a run: the averaged weights of its best epoch, in the network's own names.

    `epoch` counts from 1; 0 says that nothing was learned, and marks the bundle as untrained. `metrics` are those of
    that epoch on the validation split; what is undefined there is left out. `start` is the sentence of
    `learning.starts`.
    """

    weights: Mapping[str, Tensor]
    epoch: int
    metrics: Mapping[str, float]
    start: str
    data: TrainingManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was fitted on the validation split: see `model.manifest.Manifest`.

    `temperature_from` and `thresholds_from` say in words how; `notes` what was odd about it. `calibrated` is
    false where they were not fitted to these weights.
    """

    thresholds: Mapping[str, float]
    temperature: float = 1.0
    label_temperatures: Mapping[str, float] = field(default_factory=dict)
    operating_points: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    temperature_from: str
    thresholds_from: str
    notes: Sequence[str] = ()
    calibrated: bool = True


def export(
    out: Path,
    *,
    recipe: Recipe,
    labels: Sequence[str],
    learned: Learned,
    fitted: Fitted,
    now: datetime,
    photographs: Sequence[Path] = (),
    half: bool = False,
    prepare: bool = True,
    overwrite: bool = False,
) -> Manifest:
    """Write the bundle `out`, all of it or nothing, and return its manifest.

    It is made beside `out` and takes the name only when the serving predictor, on `photographs` (some of the validation
    split; drawn ones where none are given), says what the network in memory says: `proof.prove`. Otherwise RunError,
    and whatever was in `out` is still there. `half` and `prepare`: see `model.bundle.write_bundle`. `overwrite`
    replaces a bundle, and nothing else. BundleError where weights, labels or thresholds do not belong together.
    """
    try:
        check_room(out, overwrite=overwrite)
    except BundleError as error:
        raise RunError(str(error)) from None
    manifest = _manifest(recipe, labels, learned, fitted, now)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as room:
            made = Path(room) / "new"
            sealed = write_bundle(made, learned.weights, manifest, prepare=prepare, half=half)
            prove(made, sealed, learned.weights, photographs, half=half)
            take_place(made, out, Path(room) / "old")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from error
    return sealed


def _manifest(recipe: Recipe, labels: Sequence[str], learned: Learned, fitted: Fitted, now: datetime) -> Manifest:
    record = record_of(recipe, labels, learned.data, start=learned.start, calibration=fitted.notes)
    try:
        return Manifest(
            name=recipe.name,
            created_at=now,
            architecture=recipe.network.architecture,
            labels=tuple(labels),
            preprocess=recipe.preprocess,
            temperature=fitted.temperature,
            label_temperatures=dict(fitted.label_temperatures),
            thresholds=dict(fitted.thresholds),
            operating_points={name: dict(points) for name, points in fitted.operating_points.items()},
            quality=QualityLimits().to_dict(),
            calibrated=fitted.calibrated,
            trained=learned.epoch >= 1,
            research=recipe.research,
            provenance=Provenance(
                epoch=learned.epoch,
                metrics={name: float(value) for name, value in learned.metrics.items() if math.isfinite(value)},
                config_sha256=recipe.digest,
                software=software_versions(),
                temperature_from=fitted.temperature_from,
                thresholds_from=fitted.thresholds_from,
                notes=own_notes(recipe.notes) | record.to_notes(),
            ),
        )
    except ValidationError as error:
        raise BundleError("\n".join(validation_problems(error))) from None
