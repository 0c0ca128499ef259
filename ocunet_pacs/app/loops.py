"""A role's worker threads: the same claim-step-finish loop, several times, on one queue."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.process import Watchdog, role_name
from ocunet_pacs.imaging.allocator import give_back
from ocunet_pacs.jobs.reaper import owner_name
from ocunet_pacs.pipeline.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from ocunet_pacs.domain.job import Job, JobKind, JobQueue, Outcome
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.pipeline.loop import StopFlag
    from ocunet_pacs.settings import Settings

EXIT_HUNG = 3
"""Exit status of a process whose device hangs."""
_LONGEST_LOAD_S = 60.0
"""A bundle takes seconds to load; within this the process may still end in good order before its stop times out."""
GIVE_BACK_SECONDS = 60.0
"""Seldom enough to cost nothing: tens of milliseconds, for pages that the next photographs may want again."""
_LAST_WORDS_SECONDS = 1.0
"""What the loops get to record why their jobs failed; the reaper sees to what is left."""


def start_loops(
    settings: Settings,
    queue: JobQueue,
    kind: JobKind,
    step: Callable[[Job, Callable[[], None]], Outcome | None],
    *,
    role: str,
    count: int,
    stop: StopFlag,
    clock: Callable[[], datetime],
    metrics: Metrics,
    poll: timedelta | None = None,
    may_claim: Callable[[], bool] = lambda: True,
    patience: float | None = None,
    first: int = 0,
) -> list[threading.Thread]:
    """Start `count` loops over the jobs of one kind; they end when `stop` is set. The threads, to be waited for.

    They are numbered from `first`, and daemons: one that hangs in a driver must not keep the process from ending.
    `clock` is the queue's, `poll` in place of the settings' interval; `may_claim` as for `Loop`, `patience` as for
    `Watchdog`.
    """
    watchdog = Watchdog(role, metrics, patience)

    def run(number: int) -> None:
        Loop(
            queue,
            [kind],
            step,
            owner=owner_name(f"{role_name(role)}-{number}"),
            stop=stop,
            clock=clock,
            random=random.random,
            lease=settings.jobs.lease,
            poll=poll or settings.jobs.poll_interval,
            beat=lambda: watchdog.beat(str(number)),
            may_claim=may_claim,
            count=metrics.count,
            observe=metrics.observe,
        ).run()

    threads = [
        threading.Thread(target=run, args=(n,), name=f"{role}-{n}", daemon=True) for n in range(first, first + count)
    ]
    for thread in threads:
        thread.start()
    return threads


def attend(
    threads: Sequence[threading.Thread],
    is_hung: Callable[[], bool],
    metrics: Metrics,
    role: str,
) -> None:
    """Return when the loops have ended. A device that hangs ends the process: whoever started it starts it again.

    Meanwhile `metrics` hears every second that the model is loaded and does not hang, and what is free between the
    heap's pieces goes back to the kernel: pictures of many sizes touch another part of it each time, and would in an
    hour or two hold the most that the process ever had, two bundles at a reload.
    """
    said, given_back = float("-inf"), time.monotonic()
    while any(thread.is_alive() for thread in threads):
        if is_hung():
            structlog.get_logger().error("device_hung")
            _wait_for(threads, _LAST_WORDS_SECONDS)
            os._exit(EXIT_HUNG)  # a thread that hangs in a driver ends in no other way
        if time.monotonic() - said >= 1.0:
            said = time.monotonic()
            metrics.set("model_answer_timestamp_seconds", time.time(), role=role_name(role))
        if time.monotonic() - given_back >= GIVE_BACK_SECONDS:
            given_back = time.monotonic()
            give_back()
        time.sleep(0.1)


def await_reload(reloading: threading.Thread) -> None:
    """Let a bundle be loaded whose loading a stop interrupts; where that hangs, the process ends all the same."""
    reloading.join(_LONGEST_LOAD_S)
    if reloading.is_alive():
        structlog.get_logger().error("device_hung")
        os._exit(EXIT_HUNG)


def _wait_for(threads: Sequence[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
