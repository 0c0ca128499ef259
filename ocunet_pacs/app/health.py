"""Is the process alive, and would a study that is sent now be analysed? For whoever restarts, and for monitoring.

/live: the loops of every role that is needed turn. What it says does not depend on database, disk or destinations: to
start again would not mend those. /ready: a study that is sent now would be kept and analysed. Destinations do not
count: what waits for one is not lost, and a PACS that is down must not turn cameras away.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url

from ocunet_pacs.app.asking import Asking
from ocunet_pacs.domain.errors import OcunetError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.store.files import Files

KEEP_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
"""Prometheus gives up after ten seconds, and whoever asks whether we live after one or a few."""
MODEL_SILENT_SECONDS = 10.0
"""A worker says every second that its model answers."""
_STILL_SECONDS = 60.0
"""What loops may stand still beside the longest things that they wait for: the database's lock is waited for, too."""
LEAST_DATABASE_BYTES = 64 << 20
"""With less on the database's disk a commit may find no room for its pages."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one part, in a sentence without patient data."""

    ok: bool
    state: str


class Liveness:
    """Whether the loops of these roles turn; what starts has `patience` from `started` on."""

    def __init__(
        self, metrics: Metrics, roles: Sequence[str], patience: timedelta, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._roles = roles
        self._patience = patience.total_seconds()
        self._clock = clock
        self._started = clock()

    def __call__(self) -> tuple[bool, dict[str, Any]]:
        """For `answering`."""
        turns, now = self._metrics.gauge("loop_turn_timestamp_seconds"), self._clock()
        still = {role: max(now - max(turns.get((role,), 0.0), self._started), 0.0) for role in self._roles}
        live = all(seconds <= self._patience for seconds in still.values())
        loops = {
            role: {"ok": seconds <= self._patience, "still_for_seconds": round(seconds, 1)}
            for role, seconds in still.items()
        }
        return live, {"live": live, "loops": loops}


class Readiness:
    """The named checks, each asked in a thread of its own: one that hangs holds up none of the others."""

    def __init__(self, checks: Mapping[str, Callable[[], Check]], *, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._asking = {name: Asking(check, keep=KEEP_SECONDS, patience=patience) for name, check in checks.items()}

    def checks(self) -> dict[str, Check]:
        """What is found of each part now."""
        for asking in self._asking.values():
            asking.begin()
        return {name: self._found(asking) for name, asking in self._asking.items()}

    def __call__(self) -> tuple[bool, dict[str, Any]]:
        """For `answering`."""
        found = self.checks()
        problems = [f"{name}: {check.state}" for name, check in found.items() if not check.ok]
        said = {name: {"ok": check.ok, "state": check.state} for name, check in found.items()}
        return not problems, {"ready": not problems, "checks": said, "problems": problems}

    def _found(self, asking: Asking[Check]) -> Check:
        try:
            return asking()
        except TimeoutError:
            return Check(ok=False, state=f"no answer within {self._patience:g} s")
        except OcunetError as error:
            return Check(ok=False, state=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is not well; a foreign text may quote a value
            return Check(ok=False, state=f"unexpected {type(error).__name__}")


def liveness(settings: Settings, metrics: Metrics, roles: Sequence[str]) -> Liveness:
    """Of these roles. They may stand still for as long as the longest thing that they wait for."""
    model = settings.model
    longest = max((one.timeout for one in settings.outgoing), default=model.hung_after)
    waits = max(model.hung_after, model.decode_timeout, longest)
    return Liveness(metrics, roles, type(waits)(seconds=waits.total_seconds() + _STILL_SECONDS))


def readiness(settings: Settings, metrics: Metrics, jobs: SqlJobs, files: Files, roles: Sequence[str]) -> Readiness:
    """What these roles need: database, store and disk; where one of them works, a model."""
    checks: dict[str, Callable[[], Check]] = {
        "database": lambda: _database(jobs),
        "store": lambda: _store(files),
        "disk": lambda: _disk(settings, files),
    }
    workers = [role for role in roles if role.partition("-")[0] == "work"]
    if workers:
        checks["model"] = lambda: model_check(metrics, workers, time.time())
    return Readiness(checks)


def _database(jobs: SqlJobs) -> Check:
    revision = jobs.try_writing()
    return Check(ok=True, state=f"takes writes; schema {revision}")


def _store(files: Files) -> Check:
    try:
        files.try_writing()
    except StoreFull:
        return Check(ok=False, state="full; C-STORE answers 0xA700 until there is room")
    return Check(ok=True, state="takes files")


def _disk(settings: Settings, files: Files) -> Check:
    free, wanted = files.free_bytes(), settings.store.min_free
    if free < wanted:
        state = f"{_mebibytes(free)} left for the store, less than store.min_free ({_mebibytes(wanted)})"
        return Check(ok=False, state=f"{state}; C-STORE answers 0xA700 until there is room")
    place = database_file(settings)
    if place is not None and (beside := free_beside(place)) < LEAST_DATABASE_BYTES:
        return Check(ok=False, state=f"{_mebibytes(beside)} left for the database: nothing can be recorded soon")
    return Check(ok=True, state=f"{_mebibytes(free)} left for the store")


def database_file(settings: Settings) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL, whose disk may be another machine's."""
    url = make_url(settings.database.url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def free_beside(file: Path) -> int:
    """Bytes that are left where the file lies. OSError."""
    status = os.statvfs(file.parent)
    return status.f_bavail * status.f_frsize


def model_check(metrics: Metrics, workers: Sequence[str], now: float) -> Check:
    """Whether at least one worker's model is loaded and does not hang."""
    said = metrics.gauge("model_answer_timestamp_seconds")
    silent = [role for role in workers if now - said.get((role,), 0.0) > MODEL_SILENT_SECONDS]
    if not silent:
        return Check(ok=True, state="loaded, and does not hang")
    few = len(silent) < len(workers)
    return Check(
        ok=few, state=f"{', '.join(silent)}: no model is loaded there, or it hangs; a worker that died restarts"
    )


def _mebibytes(number: int) -> str:
    return f"{number >> 20} MiB"
