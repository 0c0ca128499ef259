"""Cameras, observations, references and nights, in memory: what `sql_drift` does, as plain assignments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import SEEN_EVERY, KnownCamera, Observed, decode_numbers, encode_numbers
from ocunet_pacs.jobs.memory_shadows import MemoryShadows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from threading import RLock

    from ocunet_pacs.domain.drift import Baseline, Night, Observation, Part


class MemoryDrift(MemoryShadows):
    """The methods of `DriftLedger`."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._cameras: dict[str, KnownCamera] = {}
        self._observed: dict[tuple[int, int], tuple[int, Observed]] = {}
        self._baselines: dict[tuple[int, Part, str], Baseline] = {}
        self._nights: dict[date, Night] = {}

    def note_observations(self, observations: Sequence[Observation], bundle_digest: str, now: datetime) -> None:
        """See `DriftLedger.note_observations`."""
        with self._lock:
            for camera in sorted({one.camera for one in observations}, key=lambda camera: camera.digest):
                new = KnownCamera(len(self._cameras) + 1, camera.digest, camera.words, now, now)
                known = self._cameras.setdefault(camera.digest, new)
                if now - known.last_seen_at >= SEEN_EVERY:
                    self._cameras[camera.digest] = replace(known, last_seen_at=now)
            for one in observations:
                kept = Observed(
                    self._study_of(one.instance_id),
                    now,
                    bundle_digest,
                    # Through the text that a database keeps.
                    *decode_numbers(encode_numbers(one.measures, one.scores)),
                    one.refused,
                    one.pattern,
                )
                key = (one.instance_id, one.frame or 0)
                self._observed.setdefault(key, (self._cameras[one.camera.digest].id, kept))

    def _study_of(self, instance_id: int) -> int:
        return next(row.study_id for row in self._instances.values() if row.stored.id == instance_id)

    def cameras(self) -> list[KnownCamera]:
        """See `DriftLedger.cameras`."""
        with self._lock:
            return list(self._cameras.values())

    def observed(self, camera_id: int, since: datetime | None = None, until: datetime | None = None) -> list[Observed]:
        """See `DriftLedger.observed`."""
        with self._lock:
            found = [kept for camera, kept in self._observed.values() if camera == camera_id]
        wanted = [kept for kept in found if (since is None or kept.at > since) and (until is None or kept.at <= until)]
        return sorted(wanted, key=lambda kept: kept.at)

    def baselines(self, camera_id: int) -> list[Baseline]:
        """See `DriftLedger.baselines`."""
        with self._lock:
            return [kept for (camera, _, _), kept in self._baselines.items() if camera == camera_id]

    def keep_baseline(self, baseline: Baseline) -> None:
        """See `DriftLedger.keep_baseline`."""
        with self._lock:
            self._baselines.setdefault((baseline.camera_id, baseline.part, baseline.bundle_digest), baseline)

    def forget_baselines(self, camera_id: int, since: datetime) -> int:
        """See `DriftLedger.forget_baselines`."""
        with self._lock:
            for digest, camera in self._cameras.items():
                if camera.id == camera_id:
                    self._cameras[digest] = replace(camera, reference_since=since)
            gone = [key for key in self._baselines if key[0] == camera_id]
            for key in gone:
                del self._baselines[key]
            return len(gone)

    def keep_night(self, night: Night) -> None:
        """See `DriftLedger.keep_night`."""
        with self._lock:
            self._nights[night.day] = night

    def nights(self, since: date | None = None, limit: int = 1) -> list[Night]:
        """See `DriftLedger.nights`."""
        with self._lock:
            wanted = [day for day, night in self._nights.items() if night.findings and (since is None or day >= since)]
            return [self._nights[day] for day in sorted(wanted, reverse=True)[:limit]]

    def remove_observations(self, before: datetime, limit: int) -> int:
        """See `DriftLedger.remove_observations`."""
        with self._lock:
            old = sorted((kept.at, key) for key, (_, kept) in self._observed.items() if kept.at < before)[:limit]
            for _, key in old:
                del self._observed[key]
            return len(old)

    def remove_nights(self, before: date) -> int:
        """See `DriftLedger.remove_nights`."""
        with self._lock:
            old = [day for day in self._nights if day < before]
            return sum(len(self._nights.pop(day).findings) for day in old)
