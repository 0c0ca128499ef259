"""Processes that decode photographs: whatever a picture does to one of them, it costs only that picture."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import cv2

from ocunet_pacs.imaging.confined import settle_limits, silence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import Future

Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE_S: Final = 60
"""As in the daemon: a picture that takes longer is given up."""
_AHEAD: Final = 4
"""Jobs under way for each process: enough that none waits, few enough for the memory."""


def in_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    given_up: Callable[[Job], Result],
    patience_s: int = PATIENCE_S,
) -> Generator[Result]:
    """`work` on each of `jobs`, in `workers` processes, with results in order and few of them at once.

    `work`, jobs and results are pickled. A job that kills its process, or keeps it for longer than `patience_s`, has
    the result `given_up(job)`; all others are as they would have been.
    """
    patient = _Patient(work, patience_s)
    waiting = deque(jobs)
    under_way: deque[tuple[Job, Future[Result]]] = deque()
    with ExitStack() as held:
        open_pool = held.enter_context(pool(workers))
        while waiting or under_way:
            try:
                for job in list(islice(waiting, _AHEAD * workers - len(under_way))):
                    under_way.append((job, open_pool.submit(patient, job)))
                    waiting.popleft()
                result = under_way[0][1].result()
            except BrokenProcessPool:
                suspects = [job for job, _ in under_way]
                under_way.clear()
                yield from _one_by_one(patient, suspects, given_up)
                open_pool = held.enter_context(pool(workers))
            else:
                under_way.popleft()
                yield result


@dataclass(frozen=True, slots=True)
class _Patient(Generic[Job, Result]):
    """The work, in a process that ends when it takes too long."""

    work: Callable[[Job], Result]
    seconds: int

    def __call__(self, job: Job) -> Result:
        signal.alarm(self.seconds)
        try:
            return self.work(job)
        finally:
            signal.alarm(0)


def _one_by_one(
    work: Callable[[Job], Result], jobs: Sequence[Job], given_up: Callable[[Job], Result]
) -> Generator[Result]:
    """Jobs of which one killed its process. It is blamed only in a fresh one, because damage can show late."""
    left = deque(jobs)
    while left:
        is_fresh = True
        with pool(1) as alone, suppress(BrokenProcessPool):
            while left:
                result = alone.submit(work, left[0]).result()
                left.popleft()
                is_fresh = False
                yield result
            return
        if is_fresh:
            yield given_up(left.popleft())


def pool(workers: int) -> ProcessPoolExecutor:
    """Processes of one thread each that leave Ctrl-C to their parent, and do not outlive it."""
    # Started as fresh programs: a fork would inherit the locks of torch's threads.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _settle)


def _settle() -> None:
    """What a worker does to itself: it leaves Ctrl-C to its parent, writes nothing, and does not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    settle_limits(None)
    silence()
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
