"""What an epoch of training, after the first, costs a photograph without the network: cached against the plain way.

plain    decodes, crops, evens out the contrast and resizes each photograph anew in each epoch, by bare library calls
decoders the same, with this product's own decoders (simplejpeg) instead of Pillow: what a script could still do better
cached   loads what was prepared once

All three vary the pictures by OcuNet's recipe, with the same code and the same seeds, and end in the same batches.
Photographs of full resolution are read from OCUNET_SHARED, or drawn where it is not there. Processor time of one thread
in one process, so that other programs on the machine hardly matter; then, by the clock, with two worker processes each.
Bar: five times the images a second of `decoders`, the quicker of the two.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.preprocess import apply
from tests.bench.plain import field
from tests.bench.rounds import compared, measure, ratio, say
from training.data.batches import TrainingBatches
from training.data.cache import PixelCache
from training.data.manifest import Manifest, Row
from training.data.pixels import read_pixels
from training.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocunet_pacs.domain.ports import RgbImage

ROUNDS = 5
COUNT = 9
WORKERS = 2
BAR = 5.0
SHARED = Path(os.environ.get("OCUNET_SHARED", Path(__file__).resolve().parents[3] / "shared"))
STILL = {
    "rand_augment": 0, "rotation": 0.0, "zoom": (1.0, 1.0), "horizontal_flip": 0.0, "brightness": (1.0, 1.0),
    "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": 0.0, "erasing": 0.0,
}  # fmt: skip


class Decoders(PixelCache):
    """A cache that holds nothing: each load prepares the photograph anew."""

    def __init__(self, manifest: Manifest, recipe: Recipe) -> None:
        super().__init__(manifest.root, recipe.cache_spec)
        self._manifest = manifest

    def absent(self, rows: Iterable[Row]) -> list[Row]:
        return []

    def load(self, row: Row) -> RgbImage:
        return apply(self.spec, read_pixels(self._manifest.path(row)), reuse=True).pixels


class Plain(Decoders):
    """The same by bare calls, as scripts do it."""

    def load(self, row: Row) -> RgbImage:
        rgb = np.asarray(Image.open(self._manifest.path(row)).convert("RGB"))
        left, top, right, bottom = field(rgb)
        crop = rgb[top:bottom, left:right].copy()
        crop[:, :, 1] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(np.ascontiguousarray(crop[:, :, 1]))
        return np.asarray(Image.fromarray(crop).resize((self.spec.image_size,) * 2, Image.Resampling.BILINEAR))


def main() -> None:
    """Print milliseconds, images a second, and the ratios. Bar: 5 x."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    settle_allocator(256 << 20)  # as in the processes that load
    try:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder))
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def _measure(folder: Path) -> None:
    manifest = _photographs(folder)
    recipe = _recipe({})
    cache = PixelCache(folder / "cache", recipe.cache_spec)
    started = time.perf_counter()
    unreadable = cache.fill(manifest, manifest.rows, workers=WORKERS)
    assert not unreadable
    say(f"data_path: filled by {WORKERS} processes in {time.perf_counter() - started:.1f} s")
    ways = {"plain": Plain(manifest, recipe), "decoders": Decoders(manifest, recipe), "cached": cache}
    for row in manifest.rows:
        assert len({hashlib.sha256(np.ascontiguousarray(way.load(row))).hexdigest() for way in ways.values()}) == 1
    say("data_path: all ways give the same pixels (sha256)")
    epochs = {name: _epochs(way, manifest, recipe, 0) for name, way in ways.items()}
    epochs["cached, not varied"] = _epochs(cache, manifest, _recipe(STILL), 0)
    alone = measure(epochs, ROUNDS, clock=time.thread_time)
    _report("one thread, processor time", alone)
    share = 1 - ratio(alone, "cached, not varied", "cached")
    say(f"  varying is {100 * share:.0f} % of the cached way")
    _report(
        f"{WORKERS} worker processes, by the clock",
        measure({name: _epochs(way, manifest, recipe, WORKERS) for name, way in ways.items()}, ROUNDS),
    )


def _report(how: str, times: dict[str, list[float]]) -> None:
    say(f"data_path: {how}, medians of {ROUNDS} epochs")
    for name, values in times.items():
        ms = 1000 * statistics.median(values) / COUNT
        say(f"  {name:20}{ms:9.1f} ms a photograph{1000 / ms:9.1f} images/s")
    for slow in ("plain", "decoders"):
        say(f"  {slow} / cached {compared(times, slow, 'cached')} (bar {BAR:g})")


def _recipe(augmentation: dict[str, object]) -> Recipe:
    optimisation = {"batch_size": COUNT, "sampler": "shuffled"}
    return recipe_of({"augmentation": augmentation, "optimisation": optimisation}, "data_path")


def _epochs(cache: PixelCache, manifest: Manifest, recipe: Recipe, workers: int) -> Callable[[], object]:
    """One epoch a call, in which every photograph comes once."""
    batches = TrainingBatches(
        cache, manifest.rows, ("DR", "NORMAL"), recipe, device=torch.device("cpu"), workers=workers
    )
    numbers = cycle(range(1000))
    return lambda: [len(batch.images) for step in batches.epoch(next(numbers)) for batch in step]


def _photographs(folder: Path) -> Manifest:
    source = SHARED / "data" / "fullres"
    paths = sorted(source.glob("*.jpg"))[:COUNT]
    if len(paths) < COUNT:
        paths = [folder / f"{number}.jpg" for number in range(COUNT)]
        for number, path in enumerate(paths):
            eye = draw_fundus(seed=number, laterality=Laterality.RIGHT, size=(4288, 2848))
            Image.fromarray(eye).save(path, "JPEG", quality=92)
    sizes = {Image.open(path).size for path in paths}
    say(f"data_path: {len(paths)} photographs of {' and '.join(f'{w} x {h}' for w, h in sorted(sizes))}")
    rows = [
        Row(
            path.name, hashlib.sha256(path.read_bytes()).hexdigest(), path.name, frozenset(), frozenset({"DR"}), "bench"
        )
        for path in paths
    ]
    return Manifest(tuple(rows), paths[0].parent)
