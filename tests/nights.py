"""A clinic for the drift watch: drawn eyes, measured once by the product's own function, and drawn from night by night.

Patients differ (pigment, light, a lens that clouds) and so do days (who comes on a Tuesday), as they do everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import TYPE_CHECKING

import cv2
import numpy as np
from sqlalchemy import insert

from ocunet_pacs.domain.drift import Camera, Observation
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.jobs.memory_drift import MemoryDrift
from ocunet_pacs.jobs.schema import instances, studies
from ocunet_pacs.pipeline.drift_watch import WatchRule, watch_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from ocunet_pacs.domain.drift import DriftLedger, Night

    Rgb = np.ndarray

SIZE = (256, 192)
SPEC = PreprocessSpec(image_size=64)
LABELS = ("DR", "ARMD", "MH", "DN", "MYA", "ODC")
FIRST = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CAMERA = Camera.of("Acme", "Retina 7", "0815", "", "")


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of one photograph, and what kind of patient it is of: -2 to 2, young to old say."""

    kind: float
    measures: dict[str, float]
    pattern: bytes
    refused: str


def drawn_eyes(number: int) -> list[Rgb]:
    """Right and left eyes in turn."""
    eyes = [draw_fundus(seed=seed, laterality=Laterality.RIGHT, size=SIZE) for seed in range(number)]
    return [np.ascontiguousarray(eye[:, ::-1]) if place % 2 else eye for place, eye in enumerate(eyes)]


def photographed(eyes: Sequence[Rgb], seed: int, lens: Callable[[Rgb], Rgb] = lambda rgb: rgb) -> list[Measured]:
    """Every eye once, as a patient of some kind, through a camera's lens; two in turn are of one patient."""
    rng = np.random.default_rng(seed)
    found = []
    for place, eye in enumerate(eyes):
        if place % 2 == 0:
            kind = float(np.clip(rng.normal(), -2, 2))
            pigment, light = 1 + rng.normal(0, 0.08, 3), 1 + rng.normal(0, 0.08) - 0.04 * kind
            clouded = max(0.01, 0.5 + 0.25 * kind)
        seen = cv2.GaussianBlur(eye.astype(np.float32) * pigment * light, (0, 0), clouded)
        rgb = lens(np.clip(seen + rng.normal(0, 1.0, eye.shape), 0, 255).astype(np.uint8))
        found.append(looked_at(rgb, kind))
    return found


def dusty(rgb: Rgb) -> Rgb:
    """Three specks on the lens, out of focus: each a 25th of the field, up to two fifths darker."""
    height, width = rgb.shape[:2]
    shade = np.zeros((height, width), np.float32)
    for across, down in ((0.59, 0.31), (0.37, 0.63), (0.66, 0.68)):
        cv2.circle(shade, (round(across * width), round(down * height)), max(2, round(width / 85)), 1.0, -1)
    return (rgb * (1 - 0.4 * cv2.GaussianBlur(shade, (0, 0), width / 170))[:, :, None]).astype(np.uint8)


def smeared(rgb: Rgb) -> Rgb:
    """A fingerprint: the middle of the picture is hazy."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    share = 0.75 * np.exp(-(((x / width - 0.47) / 0.27) ** 2) - ((y / height - 0.47) / 0.31) ** 2)[:, :, None]
    lit = rgb.max(axis=2, keepdims=True) > 25
    veil = 0.7 * cv2.GaussianBlur(rgb, (0, 0), width / 64) + 0.3 * np.array([110, 95, 80]) * lit
    return (rgb * (1 - share) + veil * share).astype(np.uint8)


def another_camera(rgb: Rgb) -> Rgb:
    """Other colours, a darker rim, and more pixels."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    rim = 1 - 0.35 * (np.hypot(x - 128, y - 96) / 96).clip(0, 1)[:, :, None] ** 2
    other = (rgb.astype(np.float32) @ np.array([[0.85, 0.1, 0], [0.1, 0.95, 0.1], [0, 0.05, 1.3]], np.float32)) * rim
    return cv2.resize(other.clip(0, 255).astype(np.uint8), (384, 288), interpolation=cv2.INTER_CUBIC)


def looked_at(rgb: Rgb, kind: float = 0.0) -> Measured:
    """What the daemon's decoding processes say of a photograph."""
    ready = prepare(SPEC, rgb, QualityLimits())
    assert ready.pattern is not None
    refused = ready.reasons[0].code.value if ready.reasons else ""
    return Measured(kind, dict(ready.quality + ready.appearance), ready.pattern.tobytes(), refused)


def study_of(photograph: int) -> int:
    """Two photographs of each patient, one after the other, from 1."""
    return (photograph + 1) // 2


class RememberedNights(MemoryDrift):
    """A ledger of photographs that nobody received: for thousands of nights."""

    def __init__(self) -> None:
        super().__init__(RLock())

    def _study_of(self, instance_id: int) -> int:
        return study_of(instance_id)


@dataclass
class Clinic:
    """Days of one camera after another; every night the watch looks.

    `patients` a day, two photographs of each. `days_differ` is by how many standard deviations the patients of one day
    are of another kind than those of the next.
    """

    ledger: DriftLedger
    seed: int
    rule: WatchRule = field(default_factory=WatchRule)
    engine: Engine | None = None
    patients: int = 40
    days_differ: float = 0.25
    bundle: str = "b" * 64
    first: datetime = FIRST
    day: int = 0
    taken: int = 0
    nights: list[Night] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 77])

    @property
    def now(self) -> datetime:
        return self.first + self.day * DAY

    def open(self, *takings: tuple[Camera, Sequence[Measured], float]) -> None:
        """A day: each camera with its photographs, and by how much the logits of their scores are shifted."""
        self.day += 1
        for camera, pool, shift in takings:
            self.ledger.note_observations(list(self._taken(camera, pool, shift)), self.bundle, self.now - DAY / 2)

    def _taken(self, camera: Camera, pool: Sequence[Measured], shift: float) -> Iterator[Observation]:
        kinds = np.asarray([one.kind for one in pool[::2]])
        weights = np.exp(self.rng.normal(0, self.days_differ) * kinds)
        rows = []
        for patient in self.rng.choice(len(kinds), self.patients, p=weights / weights.sum()).tolist():
            ill = self.rng.normal(0, 1, len(LABELS))
            for one in pool[2 * patient : 2 * patient + 2]:
                self.taken += 1
                rows.append((self.taken, study_of(self.taken)))
                logits = -3 + 0.4 * one.kind + 1.2 * ill + self.rng.normal(0, 0.6, len(LABELS)) + shift
                scores = {} if one.refused else dict(zip(LABELS, (1 / (1 + np.exp(-logits))).tolist(), strict=True))
                yield Observation(self.taken, None, camera, one.measures, scores, one.refused, one.pattern)
        if self.engine is not None:
            self._receive(rows)

    def _receive(self, rows: Sequence[tuple[int, int]]) -> None:
        """Their studies and instances, as intake would have left them."""
        assert self.engine is not None
        with self.engine.begin() as connection:
            connection.execute(
                insert(studies),
                [
                    {"id": study, "study_instance_uid": f"1.2.{study}", "last_received_at": self.now, "revision": 1}
                    for study in sorted({study for _, study in rows})
                ],
            )
            connection.execute(
                insert(instances),
                [
                    {
                        "id": one,
                        "study_id": study,
                        "series_instance_uid": "1.2",
                        "sop_instance_uid": f"1.2.{study}.{one}",
                        "sop_class_uid": "1.2",
                        "transfer_syntax_uid": "1.2",
                        "file_key": f"{one}",
                        "size_bytes": 1,
                        "sha256": "",
                        "source_ae_title": "CAMERA",
                        "received_at": self.now,
                        "opens_study": True,
                        "ordinal": one,
                    }
                    for one, study in rows
                ],
            )

    def night(self) -> Night:
        """The watch looks, at half past two; what it finds."""
        self.nights.append(watch_night(self.ledger, self.rule, self.now.date(), self.now))
        return self.nights[-1]

    def ordinary(self, pool: Sequence[Measured], days: int) -> None:
        """So many days of the clinic's camera, each with its night."""
        for _ in range(days):
            self.open((CAMERA, pool, 0.0))
            self.night()
