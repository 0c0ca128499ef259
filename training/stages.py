"""The stages of a run, each by itself: splits, training, bundle, what the bundle's own photographs look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from ocunet_pacs.drift.bundle_reference import FEWEST, BundleReference, write_bundle_reference
from ocunet_pacs.model.bundle import rounded
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.network import empty_network
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import HALF_TOLERANCE
from training.calibration.fit import calibrate
from training.data.duplicates import contradictions, find_duplicates, group_duplicates
from training.data.manifest import read_manifest, write_manifest
from training.data.photo_fields import fields_path, read_fields
from training.data.splits import assign_splits, check_splits
from training.errors import RunError
from training.evaluation.observed import observed
from training.export.bundle import Fitted, Learned, export
from training.learning.checkpoints import BEST, read_checkpoint
from training.learning.loop import train
from training.learning.position import Position
from training.learning.stopping import stop_on_signals
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.model.manifest import Manifest as BundleManifest
    from training.calibration.fit import Calibrated
    from training.data.duplicates import Duplicate
    from training.data.manifest import Manifest
    from training.learning.distributed import World
    from training.learning.loop import Outcome
    from training.learning.prepared import Prepared
    from training.learning.progress import Display
    from training.recipe import Recipe

MANIFEST: Final = "manifest.csv"
HALF_MOVES: Final = "largest change of a probability by float16"
"""Among the metrics of a bundle that is stored so."""
_PROOF_PHOTOGRAPHS: Final = 8


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with: the device and its world, what shows it, the clock, and how many processes read."""

    device: torch.device
    world: World
    display: Display
    now: Callable[[], datetime]
    workers: int


def settled(recipe: Recipe, read: Callable[[], Manifest], out: Path, tools: Tools, *, resume: bool) -> Manifest:
    """The manifest with copies in one group and a split for every row, as it is kept in the run's folder.

    Splits that are assigned here stay what they are, whatever is resumed with; `read` is not called again.
    """
    path = out / MANIFEST
    if path.exists():
        if not resume:
            raise RunError(f"{out}: holds a run already; resume it, or name another folder")
        return read_manifest(path)
    manifest = read()
    tools.display.say(f"looking for copies among {len(manifest.rows)} photographs")
    duplicates = copies(manifest, path, tools)
    check_splits(manifest.rows, duplicates)
    for problem in contradictions(manifest.rows, duplicates):
        tools.display.say(f"attention: {problem}")
    grouped = group_duplicates(manifest, duplicates)
    shares = recipe.data
    rows = assign_splits(grouped.rows, validation=shares.validation, test=shares.test, seed=recipe.seed)
    write_manifest(replace(grouped, rows=rows), path)
    return read_manifest(path)


def copies(manifest: Manifest, kept: Path, tools: Tools) -> Sequence[Duplicate]:
    """The photographs that are one; what is compared stays beside the manifest that will be `kept`."""

    def progress(*_: object) -> None:
        """Minutes at most, of which a line was said."""

    kept.parent.mkdir(parents=True, exist_ok=True)
    fields = read_fields(manifest, workers=tools.workers, progress=progress, cache=fields_path(kept))
    return find_duplicates(manifest, workers=tools.workers, progress=progress, fields=fields)


def learn(recipe: Recipe, prepared: Prepared, folder: Path, tools: Tools, *, resume: bool) -> Outcome:
    """The training itself; a run that is complete is left as it is. Only here a signal waits for the step's end."""
    with stop_on_signals() as stop:
        return train(
            recipe,
            prepared.labels,
            prepared.training_feed(recipe, device=tools.device, world=tools.world),
            prepared.validation_feed(recipe, device=tools.device, world=tools.world),
            folder,
            data=prepared.data,
            device=tools.device,
            resume=resume,
            world=tools.world,
            stop=stop,
            display=tools.display,
        )


def to_bundle(
    recipe: Recipe, manifest: Manifest, prepared: Prepared, training: Path, bundle: Path, tools: Tools
) -> BundleManifest:
    """The best epoch's averaged weights, calibrated on the validation split, as a bundle. RunError, BundleError.

    Where the recipe stores float16, the manifest says how far that moves a probability over the whole validation split;
    RunError where by more than 0.005.
    """
    best = read_checkpoint(training / BEST)
    position = Position.from_dict(best["position"])
    record = position.history[position.best_epoch - 1]
    weights: Mapping[str, torch.Tensor] = best["averaged"]
    said = said_of_validation(recipe, prepared, weights, tools)
    calibrated = calibrate(said, recipe.calibration)
    metrics = {"validation mAP": record.mean_average_precision, "validation loss": record.validation_loss}
    if recipe.export.half:
        stored = said_of_validation(recipe, prepared, rounded(weights, str(bundle)), tools)
        moved = float(np.abs(calibrated.apply(stored.logits) - calibrated.apply(said.logits)).max())
        if not moved <= HALF_TOLERANCE:
            raise RunError(f"{bundle}: float16 moves a probability by {moved:.2g}: set export.half to false")
        metrics[HALF_MOVES] = moved
    return export(
        bundle,
        recipe=recipe,
        labels=prepared.labels,
        learned=Learned(
            weights=weights,
            epoch=position.best_epoch,
            metrics=metrics,
            start=str(best["origin"]),
            data=manifest,
        ),
        fitted=_fitted(calibrated, recipe),
        now=tools.now(),
        photographs=[manifest.path(row) for row in prepared.validation[:_PROOF_PHOTOGRAPHS] if row.frame is None],
        half=recipe.export.half,
        prepare=recipe.export.prepare,
    )


def write_drift_reference(bundle: Path, manifest: Manifest, prepared: Prepared, tools: Tools) -> None:
    """Leave in the bundle's folder what the validation photographs look like, if there are enough of them.

    They have chosen the epoch and the thresholds, so they say nothing of how good the bundle is; what is normal for it,
    they say as well as any. BundleError.
    """
    predictor = Predictor.load(bundle, str(tools.device), allow_untrained=True)
    seen = observed(predictor, manifest, prepared.validation, now=tools.now(), workers=tools.workers)
    scored = sum(bool(one.scores) for one in seen)
    if scored < FEWEST:
        tools.display.say(f"no reference for the drift watch: {scored} photographs could be scored, it takes {FEWEST}")
        return
    write_bundle_reference(bundle, BundleReference.of(seen, predictor.bundle.digest), predictor.manifest.weights_sha256)


@torch.inference_mode()
def said_of_validation(
    recipe: Recipe, prepared: Prepared, weights: Mapping[str, torch.Tensor], tools: Tools, *, mirrored: bool = False
) -> Judged:
    """What a network with these weights says of the validation split, without any calibration.

    `mirrored`: of the pictures' mirror images, left for right.
    """
    network = empty_network(recipe.network.architecture, len(prepared.labels))
    whole = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    network.load_state_dict(whole, assign=True)
    network = network.to(tools.device).eval()
    parts: list[Sequence[Any]] = []
    for batch in prepared.validation_feed(recipe, device=tools.device, world=tools.world):
        logits = network(batch.images.flip(-1) if mirrored else batch.images)
        parts.append([part.cpu().numpy() for part in (logits.double(), batch.targets, batch.known)])
    logits, targets, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judged(
        keys=tuple(row.key for row in prepared.validation),
        groups=tuple(row.group for row in prepared.validation),
        labels=prepared.labels,
        targets=targets,
        known=known,
        logits=logits,
        probabilities=probabilities(logits, 1.0),
        thresholds=np.full(len(prepared.labels), 0.5),
    )


def _fitted(calibrated: Calibrated, recipe: Recipe) -> Fitted:
    chosen = recipe.calibration
    where = f"the validation split ({len(calibrated.seen.keys)} photographs, {calibrated.seen.fingerprint[:16]})"
    kinds = {"one": "one for all labels", "per_label": "one for each label", "none": "none"}
    return Fitted(
        thresholds={label: one.threshold for label, one in calibrated.thresholds.items()},
        temperature=calibrated.temperature,
        label_temperatures=calibrated.label_temperatures,
        operating_points={
            name: {label: one.threshold for label, one in points.items()}
            for name, points in calibrated.operating_points.items()
        },
        temperature_from=f"{kinds[chosen.temperature]}, by L-BFGS on {where}",
        thresholds_from=f"{chosen.thresholds} on {where}",
        notes=calibrated.notes,
    )
