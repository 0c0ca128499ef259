"""From a manifest to what a run learns from and is judged on: labels, rows whose pixels are in the cache, feeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.data.batches import PlainBatches, TrainingBatches
from training.data.cache import PixelCache
from training.data.loading import worker_count
from training.data.manifest import Split, known_labels
from training.data.splits import check_splits
from training.errors import RunError
from training.learning.identity import data_digest
from training.recipe import Auto

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from training.data.filling import Progress
    from training.data.manifest import Manifest, Row, Unreadable
    from training.learning.distributed import World
    from training.recipe import Recipe

_WORTH_PROCESSES: Final = 500
"""Photographs: fewer are validated sooner than processes that would load them have started."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run learns from and is judged on."""

    labels: tuple[str, ...]
    training: tuple[Row, ...]
    validation: tuple[Row, ...]
    unreadable: tuple[Unreadable, ...]
    """Rows of either split that are left out, and why; the first process's alone."""
    caches: tuple[PixelCache, PixelCache]
    """Of training, which may be larger, and of validation, which is as serving has it."""

    @property
    def data(self) -> str:
        """For `loop.train`."""
        return data_digest(self.training, self.validation)

    def training_feed(self, recipe: Recipe, *, device: torch.device, world: World) -> TrainingBatches:
        """This process's share of each step. RunError where the batch cannot be shared out."""
        return TrainingBatches(
            self.caches[0],
            self.training,
            self.labels,
            recipe,
            device=device,
            rank=world.rank,
            processes=world.processes,
        )

    def validation_feed(self, recipe: Recipe, *, device: torch.device, world: World) -> PlainBatches:
        """The whole validation split, in batches of a pass's size, which is known to fit."""
        chosen = recipe.optimisation
        many = len(self.validation) >= _WORTH_PROCESSES
        return PlainBatches(
            self.caches[1],
            self.validation,
            self.labels,
            recipe.preprocess,
            batch_size=max(1, chosen.batch_size // (chosen.accumulation * world.processes)),
            device=device,
            workers=worker_count(recipe.data.workers) if many else 0,
        )


def prepare(
    recipe: Recipe, manifest: Manifest, folder: Path, *, world: World, progress: Progress | None = None
) -> Prepared:
    """Fill the caches in `folder` with the training and validation rows; every process of `world` calls this.

    The first process fills, the others wait and see what is there. RunError where a split or the labels are missing,
    LeakageError where splits overlap, CacheMiss, StoreFull.
    """
    check_splits(manifest.rows)
    training, validation = manifest.of(Split.TRAIN), manifest.of(Split.VALIDATION)
    if not training or not validation:
        raise RunError(
            f"the manifest has {len(training)} rows for training and {len(validation)} for validation: assign splits "
            "first (ocunet-train split)"
        )
    labels = _labels(recipe, training)
    caches = PixelCache(folder, recipe.cache_spec), PixelCache(folder, recipe.preprocess)
    unreadable: list[Unreadable] = []
    if world.first:
        workers = max(1, worker_count(recipe.data.workers))
        for cache, rows in zip(caches, (training, validation), strict=True):
            unreadable += cache.fill(manifest, rows, workers=workers, progress=progress)
    world.wait()
    kept = [_present(cache, rows) for cache, rows in zip(caches, (training, validation), strict=True)]
    return Prepared(labels, kept[0], kept[1], tuple(unreadable), caches)


def _present(cache: PixelCache, rows: list[Row]) -> tuple[Row, ...]:
    absent = {row.key for row in cache.absent(rows)}
    return tuple(row for row in rows if row.key not in absent)


def _labels(recipe: Recipe, training: list[Row]) -> tuple[str, ...]:
    if recipe.data.labels != Auto:
        return tuple(recipe.data.labels)
    labels = known_labels(training, recipe.data.minimum_positives)
    if not labels:
        raise RunError(
            f"no label has {recipe.data.minimum_positives} positives (data.minimum_positives) and a negative among the "
            f"{len(training)} training rows: name data.labels, or lower the number"
        )
    return labels
