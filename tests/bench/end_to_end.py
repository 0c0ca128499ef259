"""Images a second from a file to probabilities and the leading label's overlay, as a ratio to the plain way.

Ours is what the daemon does: wrapped DICOM in, a pool of processes that decode and prepare, one resident model that
batches across studies, all maps out of one forward. The plain way (`plain.py`) gets the bare JPEG and every core that
torch takes by default. Both run in turn within each round, so that a machine whose speed drifts slows both alike.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.batching import BatchingClassifier
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import cpu_count
from ocunet_pacs.model.untrained import write_untrained_bundle
from ocunet_pacs.report.painting import overlay
from tests.bench import plain
from tests.conftest import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocunet_pacs.model.network import OcuNet

    Ours = Callable[[Path], tuple[np.ndarray, np.ndarray]]
    """A wrapped file to probabilities in the order of the labels and the leading label's overlay."""

ROUNDS = 5
PLAIN_PHOTOGRAPHS, OUR_PHOTOGRAPHS = 4, 32
STUDIES_AT_ONCE = 6
BAR = 4.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The same photographs twice: as files, and wrapped."""

    name: str
    files: tuple[Path, ...]
    wrapped: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Speeds:
    """Images a second, one value a round."""

    plain: list[float]
    ours: list[float]


def main() -> None:
    """Print a row a set of photographs: medians, and the ratio's median, least and greatest over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        bundle = room / "bundle"
        manifest = write_untrained_bundle(bundle, NOW)
        network = load_network(bundle, manifest).requires_grad_(requires_grad=True)
        sets = [_full_resolution(room), _drawn(room, (2000, 2000))]
        with _daemon(bundle) as ours:
            _check(network, manifest.temperature, ours, sets)
            sys.stdout.write(f"{'photographs':32}{'plain/s':>10}{'ours/s':>10}{'ratio':>8}{'least':>8}{'most':>8}\n")
            for pictures in sets:
                _print(pictures.name, _measure(network, manifest.temperature, ours, pictures))


def _print(name: str, speeds: Speeds) -> None:
    ratios = [ours / plain for ours, plain in zip(speeds.ours, speeds.plain, strict=True)]
    ratio = statistics.median(ratios)
    sys.stdout.write(
        f"{name:32}{statistics.median(speeds.plain):10.2f}{statistics.median(speeds.ours):10.2f}"
        f"{ratio:8.2f}{min(ratios):8.2f}{max(ratios):8.2f}  {'meets' if ratio >= BAR else 'MISSES'} {BAR:g} x\n"
    )


@contextmanager
def _daemon(bundle: Path) -> Iterator[Ours]:
    """What the worker does with one file, to be called by several threads: probabilities and overlay."""
    predictor = Predictor.load(bundle, device="cpu", allow_untrained=True)
    with (
        PreparingPool(
            predictor.manifest.preprocess,
            workers=cpu_count(),
            timeout=timedelta(seconds=60),
            memory_bytes=None,
            limits=QualityLimits(),
        ) as pool,
        BatchingClassifier(
            predictor,
            max_batch=predictor.batch_size,
            max_wait=timedelta(milliseconds=5),
            hung_after=timedelta(minutes=5),
        ) as classifier,
    ):
        predictor.warm_up()

        def work(path: Path) -> tuple[np.ndarray, np.ndarray]:
            (photograph,) = pool.photographs(path)
            (said,) = classifier.classify([photograph])
            probabilities = np.array([score.probability for score in said.scores], np.float32)
            painted = overlay(photograph.shown, said.maps[int(probabilities.argmax())], photograph.crop)
            return probabilities, painted

        yield work


def _check(network: OcuNet, temperature: float, ours: Ours, sets: list[Pictures]) -> None:
    """Two ways that do not give the same answer must not be compared."""
    for pictures in sets:
        for file, wrapped in zip(pictures.files, pictures.wrapped, strict=True):
            expected = plain.answer(network, temperature, file)
            probabilities, painted = ours(wrapped)
            np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=1e-3)
            assert painted.shape == expected.overlay.shape
            assert np.abs(painted.astype(int) - expected.overlay).mean() < 1.0


def _measure(network: OcuNet, temperature: float, ours: Ours, pictures: Pictures) -> Speeds:
    speeds = Speeds([], [])
    count = len(pictures.files)
    with ThreadPoolExecutor(STUDIES_AT_ONCE) as studies:
        for turn in range(ROUNDS):
            started = time.perf_counter()
            for n in range(PLAIN_PHOTOGRAPHS):
                plain.answer(network, temperature, pictures.files[(turn + n) % count])
            speeds.plain.append(PLAIN_PHOTOGRAPHS / (time.perf_counter() - started))
            work = [pictures.wrapped[n % count] for n in range(OUR_PHOTOGRAPHS)]
            started = time.perf_counter()
            list(studies.map(ours, work))
            speeds.ours.append(OUR_PHOTOGRAPHS / (time.perf_counter() - started))
    return speeds


def _full_resolution(room: Path) -> Pictures:
    """Real photographs of 4288 x 2848 pixels where they are, drawn ones elsewhere."""
    found = sorted((SHARED / "data" / "fullres").glob("idrid-*.jpg"))
    if found:
        return _wrapped(room, "4288 x 2848, real", found)
    return _drawn(room, (4288, 2848))


def _drawn(room: Path, size: tuple[int, int]) -> Pictures:
    files = []
    for seed in (1, 2, 3):
        files.append(room / f"{size[0]}-{seed}.jpg")
        eye = draw_fundus(seed=seed, laterality=Laterality.RIGHT, size=size, lesions=tuple(Lesion)[:seed])
        Image.fromarray(eye).save(files[-1], quality=92)
    return _wrapped(room, f"{size[0]} x {size[1]}, drawn", files)


def _wrapped(room: Path, name: str, files: list[Path]) -> Pictures:
    wrapped = []
    for file in files:
        dataset = wrap_photograph(
            file,
            laterality=Laterality.RIGHT,
            patient_id="BENCH",
            patient_name="Bench",
            study_instance_uid=derive_uid("bench", file.name),
            series_instance_uid=derive_uid("bench series", file.name),
            sop_instance_uid=derive_uid("bench image", file.name),
            instance_number=1,
            now=NOW,
        )
        wrapped.append(room / f"{file.stem}.dcm")
        write_dicom(dataset, wrapped[-1])
    return Pictures(name, tuple(files), tuple(wrapped))
