"""Clock-driven work (APScheduler): closing studies that are complete, taking jobs back from workers that are gone.

Every role may run it, on any number of hosts: each task is one guarded statement a row, so two at once do no harm.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from ocunet_pacs.app.process import utc_now
from ocunet_pacs.jobs.reaper import is_gone
from ocunet_pacs.pipeline.steps import AssemblyRule, assemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.ports import JobQueue, Ledger
    from ocunet_pacs.settings import Settings

REAP_EVERY = timedelta(seconds=5)


class Housekeeping:
    """Runs its tasks on threads of its own between `start` and `stop`."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._failing: set[str] = set()

    def reap(self, queue: JobQueue) -> None:
        """Take jobs back from owners that are gone: now (a process of ours may just have been killed) and regularly."""

        def task() -> None:
            taken = queue.reap(utc_now(), is_gone)
            if taken:
                structlog.get_logger().warning("jobs_taken_back", jobs=taken)

        self._guarded("reap", task)()
        self._every(REAP_EVERY, "reap", task)

    def close_studies(self, ledger: Ledger, settings: Settings) -> None:
        """Turn complete studies into analysis jobs."""
        rule = AssemblyRule(
            settings.assembly.quiet_period, settings.assembly.force_after, settings.jobs.analysis_attempts
        )
        # Often enough that the look adds little to the quiet period, and never busier than ten times a second.
        interval = min(max(rule.quiet_period / 10, timedelta(seconds=0.1)), timedelta(seconds=1))
        self._every(interval, "close_studies", lambda: assemble(ledger, rule, utc_now()))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, after the task that is running."""
        self._scheduler.shutdown(wait=True)

    def _every(self, interval: timedelta, name: str, task: Callable[[], object]) -> None:
        self._scheduler.add_job(
            self._guarded(name, task),
            "interval",
            seconds=interval.total_seconds(),
            id=name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )

    def _guarded(self, name: str, task: Callable[[], object]) -> Callable[[], None]:
        """The task, outliving whatever it throws (a database that is away): said once, and once when it is over."""

        def run() -> None:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - the schedule must survive a database that goes away
                if name not in self._failing:
                    self._failing.add(name)
                    structlog.get_logger().error("housekeeping_failed", task=name, exc_info=error)
            else:
                if name in self._failing:
                    self._failing.discard(name)
                    structlog.get_logger().info("housekeeping_works_again", task=name)

        return run
