"""A role's worker threads: the same claim-step-finish loop, several times, on one queue."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from ocunet_pacs.app.process import Watchdog, role_name, utc_now
from ocunet_pacs.jobs.reaper import owner_name
from ocunet_pacs.pipeline.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.job import Job, JobKind, Outcome
    from ocunet_pacs.domain.ports import JobQueue
    from ocunet_pacs.pipeline.loop import StopFlag
    from ocunet_pacs.settings import Settings


def start_loops(
    settings: Settings,
    queue: JobQueue,
    kind: JobKind,
    step: Callable[[Job, Callable[[], None]], Outcome | None],
    *,
    role: str,
    count: int,
    stop: StopFlag,
) -> list[threading.Thread]:
    """Start `count` loops over the jobs of one kind; they end when `stop` is set. The threads, to be waited for.

    They are daemons: one that hangs in a driver must not keep the process from ending.
    """
    watchdog = Watchdog()

    def run(number: int) -> None:
        Loop(
            queue,
            [kind],
            step,
            owner=owner_name(f"{role_name(role)}-{number}"),
            stop=stop,
            clock=utc_now,
            random=random.random,
            lease=settings.jobs.lease,
            poll=settings.jobs.poll_interval,
            beat=watchdog.beat,
        ).run()

    threads = [threading.Thread(target=run, args=(n,), name=f"{role}-{n}", daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads
