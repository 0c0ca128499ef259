"""Clock-driven work (APScheduler): closing studies, taking jobs back from workers that are gone, keeping the store.

Every role may run it, on any number of hosts: each task is one guarded statement a row, so two at once do no harm. How
each task last went is on record in the database, for `status`; one that had nothing to do writes there once a minute.
`in_force` gives the settings that count at each run.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from ocunet_pacs.app.drift import TASK as DRIFT_TASK
from ocunet_pacs.app.drift import is_due, last_due, watch
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.errors import OcunetError
from ocunet_pacs.domain.job import LONGEST_BACKOFF
from ocunet_pacs.domain.ports import count_nothing, observe_nothing
from ocunet_pacs.domain.upkeep import CLOCKS_DIFFER, LongestWaits
from ocunet_pacs.jobs.reaper import is_gone
from ocunet_pacs.pipeline.steps import AssemblyRule, assemble
from ocunet_pacs.store.consistency import Consistency
from ocunet_pacs.store.retention import RetentionRule, remove_files
from ocunet_pacs.store.usage import measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.job import JobQueue
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.shadow import ShadowLedger
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.domain.upkeep import Upkeep
    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.store.files import Files

REAP_EVERY = timedelta(seconds=5)
RETENTION_EVERY = timedelta(minutes=1)
MEND_EVERY = timedelta(minutes=1)
CLEAN_EVERY = timedelta(hours=1)
CHECK_EVERY = timedelta(days=1)
DRIFT_EVERY = timedelta(minutes=5)
"""How often somebody looks whether the night's comparison is due."""
CHECKED_LATELY = timedelta(minutes=10)
"""A check that another process began since then is not done again: listeners start together."""
ABANDONED_AFTER = timedelta(hours=1)
"""What was last written to longer ago lies in `incoming` because its process is gone: others may be receiving there."""
_JUMP_SECONDS = 5.0
"""Less is not worth a word: tasks wait for as long at most."""
_LOOKS_AT_ONCE = 100
"""So few that nobody waits for the database meanwhile."""
_WRITE_IDLE_EVERY = 60.0
_WRITE_BUSY_EVERY = 5.0


class Housekeeping:
    """Runs its tasks on threads of its own between `start` and `stop`. Without `upkeep` nothing is put on record.

    `clock`: the queue's, because other hosts do the same.
    """

    def __init__(
        self,
        upkeep: Upkeep | None = None,
        metrics: Metrics | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._upkeep = upkeep
        self._metrics = metrics
        self._clock = clock
        self._count = count_nothing if metrics is None else metrics.count
        self._observe = observe_nothing if metrics is None else metrics.observe
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._stopping = threading.Event()
        self._failing: set[str] = set()
        self._written: dict[str, tuple[float, bool]] = {}

    def reap(self, queue: JobQueue) -> None:
        """Take jobs back from owners that are gone: now (a process of ours may just have been killed) and regularly."""

        def task() -> str:
            taken = queue.reap(self._clock(), is_gone)
            if taken:
                structlog.get_logger().warning("jobs_taken_back", jobs=taken)
            return f"{taken} jobs taken back" if taken else ""

        self._guarded("reap", task)()
        self._every(REAP_EVERY, "reap", task)

    def close_studies(
        self, ledger: Ledger, in_force: Callable[[], Settings], wake: Callable[[], None] = lambda: None
    ) -> None:
        """Turn complete studies into analysis jobs; `wake` tells the workers."""
        settings = in_force()
        quiet_periods = (source.quiet_period for source in settings.sources if source.quiet_period is not None)
        shortest = min([settings.assembly.quiet_period, *quiet_periods])
        # Often enough that the look adds little to the quiet period; it asks an index of the studies that are open.
        interval = min(max(shortest / 10, timedelta(seconds=0.1)), timedelta(seconds=0.25))

        def task() -> str:
            settings = in_force()
            rule = AssemblyRule(settings.assembly.force_after, settings.jobs.analysis_attempts)
            closed = assemble(ledger, rule, self._clock(), self._count, self._observe)
            if closed:
                wake()
            return f"{closed} studies closed" if closed else ""

        self._every(interval, "close_studies", task)

    def mend_times(self, upkeep: Upkeep, in_force: Callable[[], Settings]) -> None:
        """After the clock was put back: let nothing wait for the times that it showed. Now and regularly."""

        def task() -> str:
            mended = upkeep.mend_times(self._clock(), _longest_waits(in_force()))
            if mended:
                structlog.get_logger().warning("times_mended", rows=mended, why="the clock was put back")
            return f"{mended} times mended after the clock was put back" if mended else ""

        self._guarded("mend_times", task)()
        self._every(MEND_EVERY, "mend_times", task)

    def remove_files(self, files: Files, upkeep: Upkeep, in_force: Callable[[], Settings]) -> None:
        """Remove files that are old, or that are in the way, and that nobody needs.

        Without a destination nothing: the store then holds the only copy of the results.
        """

        def task() -> str | None:
            settings = in_force()
            if not settings.destinations:
                return None
            rule = RetentionRule(settings.retention.keep, settings.retention.keep_free)
            removed = remove_files(
                files, upkeep, rule, now=self._clock(), count=self._count, stopping=self._stopping.is_set
            )
            return f"{removed} files removed" if removed else ""

        self._every(RETENTION_EVERY, "retention", task)

    def measure_store(self, files: Files) -> None:
        """Count the bytes of its files, soon and hourly: a walk over all of them, so not when somebody asks."""

        def task() -> str:
            usage = measure(files, self._clock())
            if self._metrics is not None:
                for part, number in usage.parts.items():
                    self._metrics.set("store_bytes", number, part=part)
            return ""

        self._every(CLEAN_EVERY, "measure_store", task, first=utc_now())

    def check_store(self, files: Files, jobs: SqlJobs, read_header: Callable[[Path], ImageHeader]) -> None:
        """Compare the store with the database, at start and daily."""

        def task() -> str | None:
            since = self._clock() - CHECKED_LATELY
            if any(run.task == "consistency" and run.started_at > since for run in jobs.task_runs()):
                return None
            check = Consistency(
                files,
                jobs,
                jobs,
                read_header=read_header,
                now=self._clock,
                count=self._count,
                stopping=self._stopping.is_set,
            )
            found = check.check()
            return (
                ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in sorted(found.items()))
                or "as it should be"
            )

        self._every(CHECK_EVERY, "consistency", task, first=utc_now())

    def clean_incoming(self, files: Files) -> None:
        """Remove what processes that are gone had begun to receive: now and regularly."""

        def task() -> str:
            removed = files.clean_incoming(ABANDONED_AFTER)
            return f"{removed} files removed" if removed else ""

        self._guarded("clean_incoming", task)()
        self._every(CLEAN_EVERY, "clean_incoming", task)

    def remove_looks(self, looks: ShadowLedger, in_force: Callable[[], Settings]) -> None:
        """Remove what candidates said long ago, whether or not one is in the shadow now."""

        def task() -> str:
            before, removed = self._clock() - in_force().shadow.keep, 0
            while not self._stopping.is_set():
                some = looks.remove_looks(before, _LOOKS_AT_ONCE)
                removed += some
                if some < _LOOKS_AT_ONCE:
                    break
            return f"{removed} looks of candidates removed" if removed else ""

        self._every(CLEAN_EVERY, "remove_looks", task)

    def watch_drift(self, jobs: SqlJobs, in_force: Callable[[], Settings]) -> None:
        """Compare every camera's photographs with what they were like, once a night, whoever comes first."""

        def task() -> str | None:
            settings, now = in_force(), self._clock()
            if not settings.drift.enabled or not is_due(jobs.task_runs(), last_due(settings.drift.at, now)):
                return None
            night = watch(settings, jobs, now, self._stopping.is_set)
            cameras = {found.camera_id for found in night.findings}
            changed = {found.camera_id for found in night.findings if found.alert}
            return f"{len(cameras)} cameras, {len(changed)} that need attention"

        self._every(DRIFT_EVERY, DRIFT_TASK, task)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()
        threading.Thread(target=self._watch_clock, name="clock", daemon=True).start()

    def stop(self) -> None:
        """End, after the task that is running; the long ones stop where they are."""
        self._stopping.set()
        self._scheduler.shutdown(wait=True)

    def _watch_clock(self) -> None:
        """The scheduler waits for times of day: when the clock is put back, its tasks would wait for as long."""
        ahead = time.time() - time.monotonic()
        while not self._stopping.wait(1.0):
            before, ahead = ahead, time.time() - time.monotonic()
            if ahead < before - _JUMP_SECONDS:
                structlog.get_logger().warning("clock_put_back", seconds=round(before - ahead))
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=utc_now())

    def _every(
        self, interval: timedelta, name: str, task: Callable[[], str | None], first: datetime | None = None
    ) -> None:
        self._scheduler.add_job(
            self._guarded(name, task),
            "interval",
            seconds=interval.total_seconds(),
            id=name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            **({} if first is None else {"next_run_time": first}),
        )

    def _guarded(self, name: str, task: Callable[[], str | None]) -> Callable[[], None]:
        """The task, outliving whatever it throws (a database that is away): said once, and once when it is over.

        It returns what it did, "" for nothing worth a word, None when it found that it was not its turn.
        """

        def run() -> None:
            started_at, began = self._clock(), time.monotonic()
            try:
                note = task()
            except Exception as error:  # noqa: BLE001 - the schedule must survive a database that goes away
                # A foreign exception's text may quote a value.
                note = str(error) if isinstance(error, OcunetError) else type(error).__name__
                self._record(name, started_at, time.monotonic() - began, succeeded=False, note=note)
                if name not in self._failing:
                    self._failing.add(name)
                    structlog.get_logger().error("housekeeping_failed", task=name, exc_info=error)
            else:
                if note is not None:
                    self._record(name, started_at, time.monotonic() - began, succeeded=True, note=note)
                if name in self._failing:
                    self._failing.discard(name)
                    structlog.get_logger().info("housekeeping_works_again", task=name)

        return run

    def _record(self, name: str, started_at: datetime, seconds: float, *, succeeded: bool, note: str) -> None:
        self._count("housekeeping_runs", task=name, outcome="success" if succeeded else "failure")
        if succeeded and self._metrics is not None:
            self._metrics.set(
                "housekeeping_last_success_timestamp_seconds", started_at.timestamp() + seconds, task=name
            )
        moment, before = self._written.get(name, (float("-inf"), not succeeded))
        pause = _WRITE_BUSY_EVERY if note and succeeded else _WRITE_IDLE_EVERY
        if self._upkeep is None or (succeeded == before and time.monotonic() - moment < pause):
            return
        try:
            self._upkeep.record_run(name, started_at, seconds, succeeded=succeeded, note=note)
        except OcunetError:
            # The database is away: the task itself says so, where it needs it.
            return
        self._written[name] = (time.monotonic(), succeeded)


def _longest_waits(settings: Settings) -> LongestWaits:
    quiet_periods = (source.quiet_period for source in settings.sources if source.quiet_period is not None)
    return LongestWaits(
        job=max(LONGEST_BACKOFF, settings.jobs.unavailable_delay) + CLOCKS_DIFFER,
        lease=settings.jobs.lease + CLOCKS_DIFFER,
        quiet=max([settings.assembly.quiet_period, *quiet_periods]) + CLOCKS_DIFFER,
    )
