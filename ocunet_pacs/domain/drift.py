"""Has what a camera sends changed? What is kept of each photograph, what it is compared with, and what a night found.

Nothing on the way of a result reads or waits for any of this, and a result is the same without it. No row holds patient
data: a camera is a device of the site, an observation is numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

BUNDLE_REFERENCE = "drift.json"
"""The file in a bundle's folder that says what its own photographs look like."""
SEEN_EVERY = timedelta(minutes=1)
"""How exactly is kept when a camera was last seen."""
PATTERN_SIDE = 32
"""Cells of a pattern on each side. A cell is 4 % of the field's width: dust out of focus is as large."""
OUTSIDE, MIDDLE = 0, 128
"""What a pattern's cell holds outside the field, and where it is as bright as its neighbours."""
FULL = 0.15
"""The relative difference to its neighbours at which a cell's value ends, 127 from `MIDDLE`: vessels and discs must not
outweigh what lies in the same place in every photograph."""
_LONGEST = 64
"""Characters of one word of a camera, as DICOM's LO has."""


@dataclass(frozen=True, slots=True)
class Camera:
    """The device that took a photograph. `digest` (16 hex digits) tells it from others, `words` name it to a person."""

    digest: str
    words: str

    @classmethod
    def of(cls, manufacturer: str, model: str, serial: str, station: str, sender: str) -> Camera:
        """By what a header says; the serial number where there is one, else the station and who sent it.

        A camera that says nothing at all is "the camera of" its sender.
        """
        maker, model, serial, station, sender = map(_word, (manufacturer, model, serial, station, sender))
        parts = (maker, model, serial) if serial else (maker, model, "", station, sender)
        known = " ".join(word for word in (maker, model) if word)
        details = [f"{what} {word}".strip() for what, word in (("serial", serial), ("station", station)) if word] or [
            f"of {sender or 'an unknown sender'}"
        ]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        return cls(digest, ", ".join([known or "camera", *details]))


def _word(said: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:_LONGEST]


@dataclass(frozen=True, slots=True)
class Observation:
    """What is kept of one frame whose pixels were measured.

    `measures` are `Photograph.quality` and `Photograph.appearance`, `scores` the calibrated probabilities by label
    (empty where it was not scored), `refused` why its pixels kept it from being scored ("" where they did not),
    `pattern` the bytes of `Photograph.pattern`.
    """

    instance_id: int
    frame: int | None
    camera: Camera
    measures: Mapping[str, float]
    scores: Mapping[str, float]
    refused: str
    pattern: bytes


class Watch(Protocol):
    """Where observations go. Never raises, and nobody waits for it."""

    def __call__(self, observations: Sequence[Observation], bundle_digest: str) -> None:
        """Keep these of a study that was just finished."""


def watch_nothing(observations: Sequence[Observation], bundle_digest: str) -> None:
    """For callers that keep no observations."""


@dataclass(frozen=True, slots=True)
class Observed:
    """An observation as it was kept; `study_id` stands for the patient, whose photographs are alike."""

    study_id: int
    at: datetime
    bundle_digest: str
    measures: Mapping[str, float]
    scores: Mapping[str, float]
    refused: str
    pattern: bytes


@dataclass(frozen=True, slots=True)
class KnownCamera:
    """A camera that was seen. `reference_since`: a person wants its reference made of photographs since then."""

    id: int
    digest: str
    words: str
    first_seen_at: datetime
    last_seen_at: datetime
    reference_since: datetime | None = None


class Part(StrEnum):
    """What a reference, or a finding, is about."""

    CAMERA = "camera"
    """The camera as such: one finding a night, with a word on how it stands."""
    IMAGE = "image"
    """Pixels: they do not depend on the weights."""
    SCORES = "scores"
    """What the weights say: other weights need another reference."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The reference of one camera. `content` is JSON (`drift.reference`); `bundle_digest` is "" for the image part.

    It was made of photographs up to `until`, which are compared with nothing any more.
    """

    camera_id: int
    part: Part
    bundle_digest: str
    until: datetime
    content: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a night found of one camera and measure.

    `value` is the measure's index (or, of the pattern, how far its furthest cell is away, in standard errors) and
    `limit` what it has to pass to be an alert. Of the part CAMERA there is one without numbers. `photographs` and
    `studies`, which stand for patients, are those of the night. `words` are for a person.
    """

    camera_id: int
    part: Part
    measure: str
    value: float
    limit: float
    alert: bool
    photographs: int
    studies: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class Night:
    """One nightly comparison, by the day on which it was due."""

    day: date
    ran_at: datetime
    findings: tuple[Finding, ...]


class DriftLedger(Protocol):
    """Cameras, observations, references and findings. Every call is one transaction."""

    def note_observations(self, observations: Sequence[Observation], bundle_digest: str, now: datetime) -> None:
        """Keep them, and when their cameras were seen. A frame that is there already stays as it is."""

    def cameras(self) -> list[KnownCamera]:
        """Those that were seen, in the order in which they first were."""

    def observed(self, camera_id: int, since: datetime | None = None, until: datetime | None = None) -> list[Observed]:
        """What is kept of one camera, after `since` and up to `until`, in order of time."""

    def baselines(self, camera_id: int) -> list[Baseline]:
        """The references of one camera."""

    def keep_baseline(self, baseline: Baseline) -> None:
        """Keep a reference, unless one of its camera, part and bundle is there."""

    def forget_baselines(self, camera_id: int, since: datetime) -> int:
        """A person accepts how the camera looks since then: its references go, new ones are made; how many went."""

    def keep_night(self, night: Night) -> None:
        """Keep what a night found, in place of what is there of the same day."""

    def nights(self, since: date | None = None, limit: int = 1) -> list[Night]:
        """The latest nights, the newest first, with their findings."""

    def remove_observations(self, before: datetime, limit: int) -> int:
        """Remove the oldest observations from before that; how many."""

    def remove_nights(self, before: date) -> int:
        """Remove findings of nights before that; how many findings."""


def encode_numbers(measures: Mapping[str, float], scores: Mapping[str, float]) -> str:
    """Measures and scores as JSON, to five digits; what is no number is left out."""
    kept = [
        {name: float(f"{value:.5g}") for name, value in part.items() if math.isfinite(value)}
        for part in (measures, scores)
    ]
    return json.dumps(kept, separators=(",", ":"))


def decode_numbers(text: str) -> tuple[dict[str, float], dict[str, float]]:
    """What `encode_numbers` was given."""
    measures, scores = json.loads(text)
    return measures, scores
