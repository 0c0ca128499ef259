"""Resident memory over five hundred photographs, from JPEG in DICOM through the decoding pool and the network.

The photographs are drawn, in sizes that change all the time, so that what an allocator keeps is of no use to it. The
bar: after the warm-up, no reading is more than 5 % from the middle of all.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.result import Photograph

COUNT, STEP, WARM_UP = 500, 50, 100
SIZES = ((1200, 1200), (2000, 2000), (640, 480), (2976, 1984), (1444, 1444))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """A row every fifty photographs, then the spread."""
    settle_allocator()
    readings: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [_photograph(Path(folder), number, size) for number, size in enumerate(SIZES)]
        bundle = Path(folder) / "bundle"
        manifest = write_untrained_bundle(bundle, NOW)
        predictor = Predictor.load(bundle, device="cpu", allow_untrained=True, batch_size=4)
        with PreparingPool(manifest.preprocess, workers=2, timeout=timedelta(seconds=60), memory_bytes=3 << 30) as pool:
            say(f"{'photographs':>12}{'process MiB':>14}{'workers MiB':>14}")
            waiting: list[Photograph] = []
            for number, photograph in enumerate(_prepared(pool, paths), 1):
                waiting.append(photograph)
                if len(waiting) == 4:
                    predictor.classify(waiting)
                    waiting.clear()
                if number % STEP == 0:
                    ours, theirs = _resident("self"), sum(map(_resident, pool.process_ids))
                    say(f"{number:12}{ours / 2**20:14.0f}{theirs / 2**20:14.0f}")
                    if number > WARM_UP:
                        readings.append((ours, theirs))
    for name, values in zip(("process", "workers", "together"), _columns(readings), strict=True):
        spread = (max(values) - min(values)) / (max(values) + min(values))
        say(f"{name:10} max / min {max(values) / min(values):.3f}, +- {100 * spread:.1f} % (bar 5 %)")


def _columns(readings: list[tuple[int, int]]) -> Iterator[list[int]]:
    yield [ours for ours, _ in readings]
    yield [theirs for _, theirs in readings]
    yield [ours + theirs for ours, theirs in readings]


def _prepared(pool: PreparingPool, paths: list[Path]) -> Iterator[Photograph]:
    """Two are decoded at a time, no more than eight ahead."""
    with ThreadPoolExecutor(2) as threads:
        turn = itertools.islice(itertools.cycle(paths), COUNT)
        while batch := list(itertools.islice(turn, 8)):
            for photographs in threads.map(lambda path: list(pool.photographs(path)), batch):
                yield from photographs


def _resident(process: int | str) -> int:
    """Bytes in memory."""
    for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    sys.exit("the kernel does not tell resident memory")


def _photograph(folder: Path, number: int, size: tuple[int, int]) -> Path:
    jpeg, path = folder / f"{number}.jpg", folder / f"{number}.dcm"
    Image.fromarray(draw_fundus(seed=number, laterality=Laterality.LEFT, size=size)).save(jpeg, quality=92)
    dataset = wrap_photograph(
        jpeg,
        laterality=Laterality.LEFT,
        patient_id="BENCH",
        patient_name="Bench",
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.1",
        sop_instance_uid=f"1.2.3.1.{number}",
        instance_number=number,
        now=NOW,
    )
    write_dicom(dataset, path)
    return path
