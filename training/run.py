"""The whole way on one screen: from a manifest and a recipe to a bundle, its evaluation and its card.

A run's folder holds, in the order in which they are made: `manifest.csv` (copies grouped, every row with its split),
`cache/`, `training/` (see `learning.loop`), `bundle/` (what the daemon serves), `evaluation/` (its page) and `card.md`.
Each stage is done when what it makes is there; a run that is resumed goes on from the first that is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from ocunet_pacs.model.manifest import read_manifest as read_bundle
from ocunet_pacs.model.network import empty_network
from training.calibration.fit import calibrate
from training.data.duplicates import contradictions, find_duplicates, group_duplicates
from training.data.manifest import Split, read_manifest, write_manifest
from training.data.photo_fields import fields_path, read_fields
from training.data.splits import assign_splits, check_splits
from training.errors import RunError
from training.evaluation.evaluate import evaluate
from training.evaluation.page import FIGURES
from training.export.bundle import Fitted, Learned, export
from training.export.card import model_card, write_card
from training.export.evaluated import read_evaluated
from training.learning.checkpoints import BEST, read_checkpoint
from training.learning.loop import train
from training.learning.position import Position
from training.learning.prepared import prepare
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
_PROOF_PHOTOGRAPHS: Final = 8


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with: the device and its world, what shows it, the clock, and how many processes read."""

    device: torch.device
    world: World
    display: Display
    now: Callable[[], datetime]
    workers: int


def run(recipe: Recipe, manifest: Manifest, out: Path, tools: Tools, *, resume: bool, draws: int = 1000) -> Outcome:
    """All of it, into the folder `out`. An interrupted training ends the run; resumed, it goes on.

    RunError where `out` holds a run and it is not to be resumed, LeakageError where given splits overlap.
    """
    if tools.world.processes > 1:
        raise RunError("several processes train together with `ocunet-train train`; split before, export after it")
    rows = settled(recipe, manifest, out, tools, resume=resume)
    prepared = prepare(recipe, rows, out / "cache", world=tools.world)
    for left_out in prepared.unreadable:
        tools.display.say(f"left out: {left_out.reason}")
    outcome = learn(recipe, prepared, out / "training", tools, resume=resume)
    if outcome.stopped == "interrupted":
        return outcome
    bundle = out / "bundle"
    if not bundle.exists():
        tools.display.say("calibrating on the validation split, and proving the bundle")
        to_bundle(recipe, rows, prepared, out / "training", bundle, tools)
    if rows.of(Split.TEST):
        tools.display.say("judging the bundle by the test split, as the daemon would")
        evaluate(bundle, rows, out / "evaluation", now=tools.now(), workers=tools.workers, draws=draws)
    write_model_card(bundle, out / "evaluation" / FIGURES, out / "card.md")
    return outcome


def settled(recipe: Recipe, manifest: Manifest, out: Path, tools: Tools, *, resume: bool) -> Manifest:
    """The manifest with copies in one group and a split for every row, as it is kept in the run's folder.

    Splits that are assigned here stay what they are, whatever is resumed with.
    """
    path = out / MANIFEST
    if path.exists():
        if not resume:
            raise RunError(f"{out}: holds a run already; resume it, or name another folder")
        return read_manifest(path)
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
    recipe: Recipe,
    manifest: Manifest,
    prepared: Prepared,
    training: Path,
    bundle: Path,
    tools: Tools,
    *,
    half: bool = False,
) -> BundleManifest:
    """The best epoch's averaged weights, calibrated on the validation split, as a bundle. RunError, BundleError."""
    best = read_checkpoint(training / BEST)
    position = Position.from_dict(best["position"])
    record = position.history[position.best_epoch - 1]
    weights: Mapping[str, torch.Tensor] = best["averaged"]
    calibrated = calibrate(said_of_validation(recipe, prepared, weights, tools), recipe.calibration)
    return export(
        bundle,
        recipe=recipe,
        labels=prepared.labels,
        learned=Learned(
            weights=weights,
            epoch=position.best_epoch,
            metrics={"validation mAP": record.mean_average_precision, "validation loss": record.validation_loss},
            start=str(best["origin"]),
            data=manifest,
        ),
        fitted=_fitted(calibrated, recipe),
        now=tools.now(),
        photographs=[manifest.path(row) for row in prepared.validation[:_PROOF_PHOTOGRAPHS] if row.frame is None],
        half=half,
    )


@torch.inference_mode()
def said_of_validation(recipe: Recipe, prepared: Prepared, weights: Mapping[str, torch.Tensor], tools: Tools) -> Judged:
    """What a network with these weights says of the validation split, without any calibration."""
    network = empty_network(recipe.network.architecture, len(prepared.labels))
    network.load_state_dict(dict(weights), assign=True)
    network = network.to(tools.device).eval()
    parts: list[Sequence[Any]] = []
    for batch in prepared.validation_feed(recipe, device=tools.device, world=tools.world):
        logits = network(batch.images)
        parts.append([part.cpu().numpy() for part in (logits.double(), batch.targets, batch.known)])
    logits, targets, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judged(
        keys=tuple(row.key for row in prepared.validation),
        groups=tuple(row.group for row in prepared.validation),
        labels=prepared.labels,
        targets=targets,
        known=known,
        logits=logits,
        probabilities=1.0 / (1.0 + np.exp(-logits)),
        thresholds=np.full(len(prepared.labels), 0.5),
    )


def write_model_card(bundle: Path, report: Path, out: Path) -> None:
    """The card of a bundle, with the figures of its evaluation where there is one."""
    evaluated = read_evaluated(report) if report.exists() else None
    write_card(model_card(read_bundle(bundle), evaluated), out, bundle)


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
