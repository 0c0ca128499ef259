"""How a backfill shows itself: a progress bar on a terminal, a line in the log now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from ocunet_pacs.pipeline.backfill import Tally, Watcher
    from ocunet_pacs.settings import Settings

_LINE_EVERY_S = 30.0
_RATE_OVER_S = 600.0


@contextmanager
def watching(settings: Settings, name: str) -> Iterator[Watcher]:
    """What shows the run, with the log set up to fit: beside a bar only warnings are written."""
    if not sys.stderr.isatty():
        said = settings.logging
        logs.configure(said.level, said.format, role="backfill", study_uids=said.study_uids)
        yield Lines(name)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    logs.configure("warning", "console", role="backfill")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}"),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=_RATE_OVER_S) as progress:
        yield Bar(progress, name)


class Bar:
    """A bar over the days of the range, with counts, rate and the time left."""

    def __init__(self, progress: Progress, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None, counts="", waiting="")
        self._now = now
        self._began = now()

    def moved(self, tally: Tally) -> None:
        """See `Watcher.moved`."""
        self._progress.update(
            self._task,
            total=tally.total or None,
            completed=tally.done,
            counts=_counts(tally, self._now() - self._began),
        )

    def waiting(self, why: str) -> None:
        """See `Watcher.waiting`."""
        self._progress.update(self._task, waiting=f"waiting: {why}" if why else "")


class Lines:
    """A line every half minute while something moves, and one whenever it begins to wait for something else."""

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._now = now
        self._began = self._said = now()
        self._why = ""

    def moved(self, tally: Tally) -> None:
        """See `Watcher.moved`."""
        self._why = ""
        now = self._now()
        if now - self._said < _LINE_EVERY_S:
            return
        self._said = now
        structlog.get_logger().info(
            "backfill_progress",
            archive=self._name,
            done=f"{tally.done}/{tally.total}",
            fetched=tally.fetched,
            failed=tally.failed,
            studies_per_minute=_rate(tally, now - self._began),
        )

    def waiting(self, why: str) -> None:
        """See `Watcher.waiting`."""
        if why and why != self._why:
            self._why = why
            structlog.get_logger().info("backfill_waiting", archive=self._name, reason=why)


def _counts(tally: Tally, seconds: float) -> str:
    skipped = tally.known + tally.present + tally.nothing
    failed = f", {tally.failed} failed" if tally.failed else ""
    return f"{tally.fetched} fetched, {skipped} skipped{failed}, {_rate(tally, seconds)}/min"


def _rate(tally: Tally, seconds: float) -> float:
    return round((tally.fetched + tally.failed) * 60 / max(seconds, 1.0), 1)
