"""The tables of docs/image-quality.md: what the quality limits pass and refuse.

The real photographs lie outside the project
(OCUNET_SHARED). They are reported in two halves, parted by group so that no eye is in both; docs/image-quality.md says
what the limits were chosen on.
"""

from __future__ import annotations

import csv
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply
from ocunet_pacs.imaging.quality import Quality, QualityLimits, judge, measure
from tests.conftest import SHARED
from tests.unit.imaging.not_fundus import NOT_FUNDUS
from tests.unit.imaging.spoiled import SPOILED, inner

SAMPLE = 63
"""Photographs that are spoiled, balanced over the data sets."""
SEEDS = range(20)
FULL_FRAME = "full-frame crop, % of the field"


@dataclass(frozen=True)
class Row:
    image: str
    dataset: str
    group: str
    label: str


@dataclass(frozen=True)
class Curve:
    """Rejected shares by strength of one way to spoil a photograph."""

    name: str
    points: tuple[tuple[float, float], ...]


def rows(half: int | None) -> list[Row]:
    """The manifest's photographs: of one half of the groups (0 or 1), or all."""
    with (SHARED / "data/fundus/manifest.csv").open(newline="") as file:
        found = [
            Row(row["image"], row["dataset"], row["group"], row["positive"].split("|")[-1] or "graded without DR")
            for row in csv.DictReader(file)
        ]
    return [row for row in found if half is None or int(row.group, 16) % 2 == half]


def sample(half: int, size: int = SAMPLE) -> list[Row]:
    """Photographs of a half, about as many of each data set, the same at each call."""
    rng = np.random.default_rng(20)
    by_dataset = defaultdict(list)
    for row in rows(half):
        by_dataset[row.dataset].append(row)
    each = size // len(by_dataset)
    return [found[i] for found in by_dataset.values() for i in rng.permutation(len(found))[:each]]


def read(row: Row) -> np.ndarray:
    """One photograph, uint8 RGB."""
    with Image.open(SHARED / "data/fundus/images" / row.image) as picture:
        return np.array(picture.convert("RGB"))


def measured(row: Row) -> Quality:
    """One photograph as it is."""
    cv2.setNumThreads(1)
    return measure(read(row))


def spoiled(row: Row) -> dict[tuple[str, float], Quality]:
    """One photograph in every way and strength; ("", 0) as it is."""
    cv2.setNumThreads(1)
    rgb = read(row)
    found = {("", 0.0): measure(rgb)}
    for name, (spoil, strengths) in SPOILED.items():
        found |= {(name, strength): measure(spoil(rgb, strength)) for strength in strengths}
    return found | {(FULL_FRAME, share): measure(inner(rgb, share)) for share in (70.0, 60.0, 50.0)}


def refused(quality: Quality, limits: QualityLimits) -> bool:
    return bool(judge(quality, limits))


def main() -> None:
    """Print the tables."""
    limits = QualityLimits()
    with multiprocessing.get_context("spawn").Pool() as pool:
        for half, name in ((0, "first half"), (1, "second half")):
            found = rows(half)
            _say(f"\n## Real photographs, {name}\n")
            _real(found, pool.map(measured, found, chunksize=64), limits)
        _say("\n## Spoiled photographs of the second half: refused of those that pass unspoiled\n")
        for curve in curves(pool.map(spoiled, sample(1), chunksize=4), limits):
            _say(f"{curve.name:34}" + "  ".join(f"{s:g}: {share:6.1%}" for s, share in curve.points))
    _say("\n## Not a fundus\n")
    for name, draw in NOT_FUNDUS.items():
        verdicts = [judge(measure(draw(seed)), limits) for seed in SEEDS]
        codes = sorted({said[0].code.value for said in verdicts if said})
        share = statistics.mean(bool(said) for said in verdicts)
        _say(f"{name:34}{share:6.0%}  {', '.join(codes)}")
    _cost()


def curves(found: list[dict[tuple[str, float], Quality]], limits: QualityLimits) -> list[Curve]:
    """Refused shares of the photographs that pass as they are."""
    good = [qualities for qualities in found if not refused(qualities["", 0.0], limits)]
    by_name: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, strength in good[0]:
        share = statistics.mean(refused(qualities[name, strength], limits) for qualities in good)
        by_name[name or "as they are"].append((strength, share))
    return [Curve(name, tuple(points)) for name, points in by_name.items()]


def _real(found: list[Row], qualities: list[Quality], limits: QualityLimits) -> None:
    table: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row, quality in zip(found, qualities, strict=True):
        verdict = tuple(reason.detail.split(":")[0] for reason in judge(quality, limits))
        for key in ("all", row.dataset, f"{row.dataset} {row.label}"):
            table[key].append(verdict)
    for key in sorted(table):
        verdicts = table[key]
        bad = [verdict for verdict in verdicts if verdict]
        why = statistics.multimode(verdict[0] for verdict in bad)
        passed = 1 - len(bad) / len(verdicts)
        _say(f"{key:34}{len(verdicts):6} {passed:8.2%} pass, {len(bad):3} refused  {'; '.join(why[:2])}")


def _cost() -> None:
    """Time of a measurement as a ratio to preprocessing, alternating, medians."""
    _say("\n## Cost, ratio of measure and judge to preprocessing\n")
    cv2.setNumThreads(1)
    for size in ((2000, 2000), (4288, 2848)):
        rgb = draw_fundus(seed=1, laterality=Laterality.LEFT, size=(1000, 1000 * size[1] // size[0]))
        rgb = cv2.resize(rgb, size)
        scale = 1024 / max(size)
        shown = cv2.resize(rgb, (round(size[0] * scale), round(size[1] * scale)), interpolation=cv2.INTER_AREA)
        ratios, costs = [], []
        for _ in range(9):
            started = time.perf_counter()
            apply(PreprocessSpec(), rgb)
            between = time.perf_counter()
            judge(measure(shown), QualityLimits())
            ended = time.perf_counter()
            ratios.append((ended - between) / (between - started))
            costs.append(1000 * (ended - between))
        ratio, cost = statistics.median(ratios), statistics.median(costs)
        _say(f"{size[0]} x {size[1]}: {ratio:.3f} of preprocessing, {cost:.1f} ms")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
