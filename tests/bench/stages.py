"""Where the time of one photograph goes, stage by stage, as ratios to the network's forward pass.

The stages run in turn within each round, so that a machine whose speed drifts slows them all alike; medians over the
rounds. Photographs: two drawn eyes of 2000 x 2000 pixels.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from ocunet_pacs.domain.result import ImageResult, Output, StudyResult
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.untrained import write_untrained_bundle
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ROUNDS = 7
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Print a row a stage: median milliseconds a photograph, and the ratio to the forward pass."""
    with tempfile.TemporaryDirectory() as folder:
        times = _measure(Path(folder))
    forward = statistics.median(times["forward and maps"])
    sys.stdout.write(f"{'stage':24}{'median ms':>12}{'x forward':>12}{'min':>10}{'max':>10}\n")
    for stage, values in times.items():
        median = statistics.median(values)
        sys.stdout.write(
            f"{stage:24}{1000 * median:12.1f}{median / forward:12.2f}"
            f"{1000 * min(values):10.1f}{1000 * max(values):10.1f}\n"
        )


def _measure(folder: Path) -> dict[str, list[float]]:
    bundle = folder / "bundle"
    write_untrained_bundle(bundle, NOW)
    predictor = Predictor.load(bundle, device="cpu", allow_untrained=True, batch_size=1)
    predictor.warm_up()
    reports = Reports(ReportSettings(), clock=lambda: NOW, software_version="bench")
    paths = [_photograph(folder, seed) for seed in (1, 2)]
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = work()
        times.setdefault(stage, []).append(time.perf_counter() - started)
        return result

    for _ in range(ROUNDS):
        for path in paths:
            header = timed("header", lambda path=path: read_header(path))
            pixels = timed("decode", lambda path=path: next(iter(frames(path))))
            pixels = timed("prepare", lambda pixels=pixels: prepare(predictor.manifest.preprocess, pixels))
            said = timed("forward and maps", lambda pixels=pixels: predictor.classify([pixels])[0])
            image = ImageResult(header.sop_instance_uid, header.sop_class_uid, None, 1, header.laterality, said.scores)
            made = timed(
                "heatmap",
                lambda image=image, pixels=pixels, said=said, path=path: reports.heatmap(
                    image, pixels, said, predictor.bundle, path
                ),
            )
            output = Output(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, "")
            result = StudyResult(header.study_instance_uid, 1, "key", predictor.bundle, (image,))
            timed(
                "report",
                lambda result=result, header=header, path=path, output=output: reports.report(
                    result, {header.sop_instance_uid: path}, {output.sop_instance_uid: output}
                ),
            )
    return times


def _photograph(folder: Path, seed: int) -> Path:
    photograph, path = folder / f"{seed}.jpg", folder / f"{seed}.dcm"
    Image.fromarray(draw_fundus(seed=seed, laterality=Laterality.RIGHT, size=(2000, 2000))).save(photograph, quality=92)
    dataset = wrap_photograph(
        photograph,
        laterality=Laterality.RIGHT,
        patient_id="BENCH",
        patient_name="Bench",
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.1",
        sop_instance_uid=f"1.2.3.1.{seed}",
        instance_number=seed,
        now=NOW,
    )
    write_dicom(dataset, path)
    return path
