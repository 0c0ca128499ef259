"""Rows of a manifest to batches on a device: what the loop eats.

Processes load pictures from the cache, and vary them where the device is a CPU; a GPU varies them itself. What is in a
batch depends on the recipe's seed, the epoch and the step, never on who loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from training.data.augment import Augment
from training.data.cache import pixel_digest
from training.data.loading import Pictures, worker_count
from training.data.manifest import targets
from training.data.sampling import epoch_order, sample_seed
from training.errors import CacheMiss, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from training.data.cache import PixelCache
    from training.data.manifest import Row
    from training.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some photographs, and what is known of them.

    `images` float32 (n, 3, side, side), normalised; `targets` float32 (n, labels) in {0, 1}; `known` bool of the same
    shape: where it is False the target is 0 and means nothing. They are on the device. `indices` int64 (n,), on the
    CPU, are the rows'.
    """

    images: Tensor
    targets: Tensor
    known: Tensor
    indices: Tensor


class TrainingBatches:
    """What one of a job's `processes`, number `rank`, learns from.

    A global batch of `optimisation.batch_size` rows, the next ones in the epoch's order, is cut into processes times
    accumulation micro-batches; process r's accumulation a gets number a * processes + r. So all processes together see
    the same rows, varied in the same way, however many they are. Use one `epoch` at a time.

    RunError where there are no rows, where the batch cannot be cut like that, or where the cache is of another
    preprocessing than the recipe's; CacheMiss where photographs are not in it. `workers` overrides the recipe's, and
    `vary_on_device` where pictures are varied: None means on the device where it is not a CPU, else by the workers.
    """

    def __init__(
        self,
        cache: PixelCache,
        rows: Sequence[Row],
        labels: Sequence[str],
        recipe: Recipe,
        *,
        device: torch.device,
        rank: int = 0,
        processes: int = 1,
        workers: int | None = None,
        vary_on_device: bool | None = None,
    ) -> None:
        _check_cache(cache, rows, recipe.cache_spec)
        self.labels = tuple(labels)
        self.targets, self.known = targets(rows, labels)
        self.batch_size = recipe.optimisation.batch_size
        self.steps_per_epoch = max(1, len(rows) // self.batch_size)
        self._recipe = recipe
        self._micro = _micro_batch(recipe, processes)
        self._numbers = [a * processes + rank for a in range(recipe.optimisation.accumulation)]
        self._to = _Device(recipe.preprocess, self.targets, self.known, device)
        augment = Augment(recipe.augmentation, recipe.preprocess.image_size, erased=_mean_colour(recipe.preprocess))
        here = device.type != "cpu" if vary_on_device is None else vary_on_device
        self._augment_here = augment if here else None
        self._pictures = Pictures(
            cache,
            rows,
            None if here else augment,
            workers=worker_count(recipe.data.workers) if workers is None else workers,
            pin=device.type == "cuda",
            keep=True,
        )
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def known_in_step(self, epoch: int, step: int) -> int:
        """How many labels are known in the whole global batch of this step, over all processes."""
        order = self._order_of(epoch)
        return int(self.known[order[step * self.batch_size : (step + 1) * self.batch_size]].sum())

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Batch]]:
        """This process's micro-batches of each optimiser step, from `first_step` on. CacheMiss, TrainingError."""
        order = self._order_of(epoch)
        cuts = [self._cut(step, number) for step in range(first_step, self.steps_per_epoch) for number in self._numbers]
        loaded = self._pictures.load(self._asked(epoch, order, cut) for cut in cuts)
        step: list[Batch] = []
        for cut, pixels in zip(cuts, loaded, strict=True):
            ready = self._to.moved(pixels)
            if self._augment_here is not None:
                ready = self._augment_here(ready, [seed for _, seed in self._asked(epoch, order, cut)])
            step.append(self._to.batch(ready, order[cut.start : cut.stop]))
            if len(step) == len(self._numbers):
                yield step
                step = []

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        """The rows of the whole job's epoch, in order."""
        if self._order[0] != epoch:
            order = epoch_order(
                self.targets,
                self.known,
                kind=self._recipe.optimisation.sampler,
                seed=self._recipe.seed,
                epoch=epoch,
                length=self.steps_per_epoch * self.batch_size,
            )
            self._order = (epoch, order)
        return self._order[1]

    def _cut(self, step: int, number: int) -> range:
        """Positions in the epoch's order of one micro-batch."""
        start = step * self.batch_size + number * self._micro
        return range(start, start + self._micro)

    def _asked(self, epoch: int, order: NDArray[np.int64], cut: range) -> list[tuple[int, int]]:
        return [(int(order[at]), sample_seed(self._recipe.seed, epoch, at)) for at in cut]


class PlainBatches:
    """All rows in their order, as serving would see them: for validation. Iterate any number of times, one at a time.

    RunError, CacheMiss as for `TrainingBatches`. The cache must be of `spec` itself: larger pictures that are scaled
    down are not what serving sees.
    """

    def __init__(
        self,
        cache: PixelCache,
        rows: Sequence[Row],
        labels: Sequence[str],
        spec: PreprocessSpec,
        *,
        batch_size: int,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        _check_cache(cache, rows, spec)
        self.labels = tuple(labels)
        self.targets, self.known = targets(rows, labels)
        self._to = _Device(spec, self.targets, self.known, device)
        self._cuts = [range(at, min(at + batch_size, len(rows))) for at in range(0, len(rows), batch_size)]
        self._pictures = Pictures(cache, rows, None, workers=workers, pin=device.type == "cuda", keep=False)

    def __len__(self) -> int:
        return len(self._cuts)

    def __iter__(self) -> Iterator[Batch]:
        loaded = self._pictures.load([(index, 0) for index in cut] for cut in self._cuts)
        for cut, pixels in zip(self._cuts, loaded, strict=True):
            yield self._to.batch(self._to.moved(pixels), np.arange(cut.start, cut.stop))


def normalise(spec: PreprocessSpec, pixels: Tensor) -> Tensor:
    """uint8 (n, 3, side, side) to float32, the numbers of `ocunet_pacs.imaging.preprocess.to_tensor_array` exactly."""
    # The same divisions in the same precision; by tensors, for by a number torch multiplies with its inverse on a GPU.
    highest, mean, std = (
        torch.tensor(values, dtype=torch.float32, device=pixels.device)[:, None, None]
        for values in ((255.0,), spec.mean, spec.std)
    )
    return pixels.to(torch.float32).div_(highest).sub_(mean).div_(std)


class _Device:
    """Where batches go, and what is known of the rows."""

    def __init__(
        self, spec: PreprocessSpec, values: NDArray[np.float32], known: NDArray[np.bool_], device: torch.device
    ) -> None:
        self._spec = spec
        self._values = torch.from_numpy(values)
        self._known = torch.from_numpy(known)
        self._device = device

    def moved(self, tensor: Tensor) -> Tensor:
        """There."""
        return tensor.to(self._device, non_blocking=True)

    def batch(self, pixels: Tensor, indices: NDArray[np.int64]) -> Batch:
        """Of pixels, uint8, that are there already."""
        rows = torch.from_numpy(indices.copy())
        return Batch(normalise(self._spec, pixels), self.moved(self._values[rows]), self.moved(self._known[rows]), rows)


def _check_cache(cache: PixelCache, rows: Sequence[Row], spec: PreprocessSpec) -> None:
    if not rows:
        raise RunError("there are no photographs to make batches of: the manifest has no rows for this split")
    if pixel_digest(cache.spec) != pixel_digest(spec):
        raise RunError(f"the cache {cache.folder} is of another preprocessing than the recipe's: fill one for this one")
    if absent := cache.absent(rows):
        raise CacheMiss(f"{len(absent)} of {len(rows)} photographs are not in the cache {cache.folder}: fill it first")


def _micro_batch(recipe: Recipe, processes: int) -> int:
    size, accumulation = recipe.optimisation.batch_size, recipe.optimisation.accumulation
    if size % (processes * accumulation):
        raise RunError(
            f"optimisation.batch_size: {size} photographs cannot be shared equally by {processes} processes "
            f"with an accumulation of {accumulation}: choose a multiple of {processes * accumulation}"
        )
    return size // (processes * accumulation)


def _mean_colour(spec: PreprocessSpec) -> tuple[int, int, int]:
    """What is 0, nothing to see, once it is normalised."""
    red, green, blue = (min(255, max(0, round(255 * value))) for value in spec.mean)
    return red, green, blue
