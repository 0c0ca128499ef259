"""The drift watch in the daemon: observations from workers, a comparison every night, and what a person reads of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from ocunet_pacs.domain.drift import Part, watch_nothing
from ocunet_pacs.domain.errors import BundleError, OcunetError
from ocunet_pacs.drift.bundle_reference import read_bundle_reference
from ocunet_pacs.drift.judgement import Rule
from ocunet_pacs.drift.words import about
from ocunet_pacs.pipeline.drift_watch import BESIDE_BUNDLE, STANDING, WatchRule, watch_night

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from ocunet_pacs.domain.drift import DriftLedger, Finding, KnownCamera, Night, Observation, Watch
    from ocunet_pacs.domain.upkeep import TaskRun
    from ocunet_pacs.drift.bundle_reference import BundleReference
    from ocunet_pacs.settings import Settings

TASK = "drift"
DAY = timedelta(days=1)
_AT_ONCE = 1000
"""Observations removed in one transaction: so few that nobody waits for the database meanwhile."""


def observing(settings: Settings, ledger: DriftLedger, clock: Callable[[], datetime]) -> Watch:
    """Keeps what workers measured. A result is the same without it, so nothing of this may stop one."""
    if not settings.drift.enabled:
        return watch_nothing

    def keep(observations: Sequence[Observation], bundle_digest: str) -> None:
        try:
            ledger.note_observations(observations, bundle_digest, clock())
        except OcunetError as error:
            structlog.get_logger().warning("observations_lost", observations=len(observations), exc_info=error)

    return keep


def watch_rule(settings: Settings) -> WatchRule:
    """The settings in the words of the watch."""
    drift = settings.drift
    return WatchRule(
        photographs=drift.reference_photographs,
        days=drift.reference_days,
        patients=drift.patients,
        window=drift.window,
        keep=drift.keep,
        alert=Rule(drift.index, drift.chance),
    )


def last_due(at: str, now: datetime) -> datetime:
    """When the watch was last due: `at` (HH:MM) of this machine's time."""
    hour, minute = map(int, at.split(":"))
    # Local time is asked for again after each step: another day may have another offset.
    due = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0)
    while due > now:
        due = (due.replace(tzinfo=None) - DAY).astimezone()
    return due


def is_due(runs: Sequence[TaskRun], due: datetime) -> bool:
    """Whether nobody has begun it since then."""
    return not any(run.task == TASK and run.started_at >= due for run in runs)


def watch(settings: Settings, ledger: DriftLedger, now: datetime, stopping: Callable[[], bool]) -> Night:
    """One night: compare, tell the log, and remove what is too old."""
    rule = watch_rule(settings)
    day = last_due(settings.drift.at, now).date()
    night = watch_night(ledger, rule, day, now, _bundle_reference(settings))
    digests = {camera.id: camera.digest for camera in ledger.cameras()}
    log = structlog.get_logger()
    for camera_id, found in _by_camera(night).items():
        changed = [one.measure for one in found if one.alert]
        if changed:
            log.warning("drift_alert", camera=digests[camera_id], measures=changed)
    while not stopping() and ledger.remove_observations(now - settings.drift.keep, _AT_ONCE) == _AT_ONCE:
        pass
    ledger.remove_nights((now - settings.drift.keep_nights).date())
    return night


def _bundle_reference(settings: Settings) -> BundleReference | None:
    try:
        return read_bundle_reference(settings.model.bundle)
    except BundleError as error:
        structlog.get_logger().warning("drift_reference_refused", exc_info=error)
        return None


def _by_camera(night: Night) -> dict[int, list[Finding]]:
    found: dict[int, list[Finding]] = {}
    for one in night.findings:
        found.setdefault(one.camera_id, []).append(one)
    return found


def drift_status(settings: Settings, ledger: DriftLedger | None) -> dict[str, Any] | None:
    """The `drift` of `status --json`: the last night, and the cameras that have alerts; None where it is off."""
    if not settings.drift.enabled:
        return None
    night = None if ledger is None else next(iter(ledger.nights()), None)
    if ledger is None or night is None:
        return {"night": None, "ran_at": None, "cameras": None, "alerts": []}
    known = {camera.id: camera for camera in ledger.cameras()}
    found = _by_camera(night)
    alerts = [
        {"camera": known[camera_id].digest, "name": known[camera_id].words, "words": in_a_sentence(of_camera)}
        for camera_id, of_camera in found.items()
        if any(one.alert for one in of_camera)
    ]
    return {
        "night": night.day.isoformat(),
        "ran_at": night.ran_at.isoformat(timespec="seconds"),
        "cameras": len(found),
        "alerts": alerts,
    }


def in_a_sentence(findings: Sequence[Finding]) -> str:
    """What has changed of one camera, what has changed most first."""
    standing = [one.words for one in findings if one.measure == STANDING and one.alert]
    changed = sorted((one for one in findings if one.alert and one.measure != STANDING), key=_size)
    named = [_named(one) for one in changed[:3]]
    more = [f"{len(changed) - 3} more"] if len(changed) > 3 else []
    return "; ".join([*standing, *named, *more])


def _size(found: Finding) -> float:
    return -found.value / found.limit if found.limit else 0.0


def _named(found: Finding) -> str:
    what, look_at = about(found.part, found.measure)
    return f"{what}: {found.words} (look at {look_at})"


def drift_report(ledger: DriftLedger, since: date | None = None, limit: int = 1) -> list[dict[str, Any]]:
    """The shape of `drift report --json`, as docs/drift.md describes it: nights, the newest first."""
    known = {camera.id: camera for camera in ledger.cameras()}
    return [
        {
            "night": night.day.isoformat(),
            "ran_at": night.ran_at.isoformat(timespec="seconds"),
            "cameras": [_camera(known[camera_id], found) for camera_id, found in _by_camera(night).items()],
        }
        for night in ledger.nights(since, limit)
    ]


def _camera(camera: KnownCamera, findings: Sequence[Finding]) -> dict[str, Any]:
    [standing] = [one for one in findings if one.measure == STANDING]
    return {
        "camera": camera.digest,
        "name": camera.words,
        "first_seen": camera.first_seen_at.isoformat(timespec="seconds"),
        "last_seen": camera.last_seen_at.isoformat(timespec="seconds"),
        "photographs": standing.photographs,
        "patients": standing.studies,
        "standing": standing.words,
        "alert": any(one.alert for one in findings),
        "new": standing.alert,
        "beside_bundle": next((one.words for one in findings if one.measure == BESIDE_BUNDLE), None),
        "measures": [_measure(one) for one in sorted(findings, key=_size) if one.part is not Part.CAMERA],
    }


def _measure(found: Finding) -> dict[str, Any]:
    what, look_at = about(found.part, found.measure)
    return {
        "part": str(found.part),
        "measure": found.measure,
        "value": found.value,
        "limit": found.limit,
        "alert": found.alert,
        "direction": found.words,
        "what": what,
        "look_at": look_at,
    }


def find_camera(ledger: DriftLedger, digest: str) -> KnownCamera | None:
    """The one camera whose digest begins so; None where there is none, or more than one."""
    found = [camera for camera in ledger.cameras() if camera.digest.startswith(digest)]
    return found[0] if len(found) == 1 else None
