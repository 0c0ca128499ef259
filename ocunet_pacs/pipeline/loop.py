"""Claim, step, finish: the loop that every worker runs."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog
from structlog.contextvars import clear_contextvars

from ocunet_pacs.domain.errors import DatabaseError, DeviceHung, OcunetError, StoreFull
from ocunet_pacs.domain.job import Later, Outcome, Retry
from ocunet_pacs.domain.ports import count_nothing, observe_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ocunet_pacs.domain.job import Job, JobKind, JobQueue
    from ocunet_pacs.domain.ports import Count, Observe


_NOW = timedelta(0)
_RENEWALS = 20
"""How often a lease is renewed while it would last, at most: a step may say that it is alive after every frame."""
_ROOM_AGAIN = timedelta(seconds=30)
"""Work that found no room is done again after this: it may cost a processor a minute to find none again."""
_DATABASE_AGAIN = timedelta(seconds=2)
_LEVELS = {"Done": logging.INFO, "Later": logging.INFO, "Retry": logging.WARNING, "Never": logging.ERROR}


class StopFlag(Protocol):
    """Set when the process is asked to stop (threading.Event is one)."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Sleep, but not past a stop; whether to stop."""


class _Interrupted(Exception):
    """Asked to stop in the middle of a step."""


class _LeaseLost(Exception):
    """Somebody else has the job now."""


class Loop:
    """One worker's loop. `step` does the work of a job and calls its second argument between pieces of it.

    `beat` is called whenever the loop turns and whenever a step says that it is alive: it feeds the service manager's
    watchdog from the loop that does the work, so that a worker that hangs is noticed. `may_claim` is asked before each
    claim: False is as if there were nothing to do. How a job's turn ended is counted here, unless the step finished the
    job itself.
    """

    def __init__(
        self,
        queue: JobQueue,
        kinds: Sequence[JobKind],
        step: Callable[[Job, Callable[[], None]], Outcome | None],
        *,
        owner: str,
        stop: StopFlag,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        lease: timedelta,
        poll: timedelta,
        beat: Callable[[], None] = lambda: None,
        may_claim: Callable[[], bool] = lambda: True,
        count: Count = count_nothing,
        observe: Observe = observe_nothing,
    ) -> None:
        self._queue = queue
        self._kinds = tuple(kinds)
        self._step = step
        self._owner = owner
        self._stop = stop
        self._clock = clock
        self._random = random
        self._lease = lease
        self._poll = poll
        self._beat = beat
        self._may_claim = may_claim
        self._count = count
        self._observe = observe
        self._renewed = clock()
        self._hung = False
        self._log = structlog.get_logger()
        self._troubled = False

    def run(self) -> None:
        """Until asked to stop, or until its device hangs: what is claimed in such a process cannot be done there.

        Survives a database that goes away: it says so once and looks again.
        """
        while not (self._hung or self._stop.is_set()):
            self._beat()
            try:
                worked = self.once()
            except Exception as error:  # noqa: BLE001 - the loop must outlive whatever the queue throws
                self._wait_for_queue(error)
                continue
            self._queue_answered()
            if not worked:
                self._stop.wait(self._poll.total_seconds())

    def once(self) -> bool:
        """Claim one job and work on it; False when there was none to claim."""
        if not self._may_claim():
            return False
        now = self._clock()
        job = self._queue.claim(self._kinds, self._owner, now, self._lease)
        if job is None:
            return False
        self._renewed = now
        try:
            self._work_on(job)
        finally:
            clear_contextvars()
        return True

    def _work_on(self, job: Job) -> None:
        """Step and finish. A step says by structlog's context whose job it is, for every line until the job ends."""
        self._observe("job_wait_seconds", max((self._clock() - job.run_at).total_seconds(), 0.0), kind=str(job.kind))
        started = time.monotonic()
        outcome = self._attempt(job)
        if outcome is None:
            return
        applied = self._finish(job, outcome)
        word = type(outcome).__name__.lower()
        self._count("jobs", kind=str(job.kind), outcome=word if applied else "lost", reason=outcome.code)
        self._log.log(
            _LEVELS[type(outcome).__name__],
            "job_finished" if applied else "job_lost",
            job=job.id,
            kind=str(job.kind),
            outcome=word,
            attempt=job.attempt,
            seconds=round(time.monotonic() - started, 3),
            reason=getattr(outcome, "reason", None),
        )

    def _finish(self, job: Job, outcome: Outcome) -> bool:
        """Whether the word was applied. While the database is away it is said again, until it is back or we stop.

        A job that nobody finishes is running, for nobody, until its lease is over, and loses an attempt by it.
        """
        while True:
            try:
                applied = self._queue.finish(job, outcome, self._clock(), self._random())
            except DatabaseError as error:
                if self._stop.is_set():
                    raise
                self._beat()
                self._wait_for_queue(error)
            else:
                self._queue_answered()
                return applied

    def _wait_for_queue(self, error: Exception) -> None:
        if not self._troubled:
            self._log.error("queue_unreachable", exc_info=error)
        self._troubled = True
        self._stop.wait(5 * self._poll.total_seconds())

    def _queue_answered(self) -> None:
        if self._troubled:
            self._log.info("queue_reachable")
            self._troubled = False

    def _attempt(self, job: Job) -> Outcome | None:
        """The step's word, or the word for how it failed."""
        try:
            return self._step(job, lambda: self._alive(job))
        except _Interrupted:
            return Later("the worker was asked to stop", delay=_NOW, code="stopping")
        except _LeaseLost:
            self._count("jobs", kind=str(job.kind), outcome="lost", reason="lease")
            self._log.warning("job_lost", job=job.id, kind=str(job.kind), attempt=job.attempt)
            return None
        except (StoreFull, DatabaseError) as error:
            delay = _ROOM_AGAIN if isinstance(error, StoreFull) else _DATABASE_AGAIN
            return Later(f"{type(error).__name__}: {error}", delay, code=_code(error))
        except OcunetError as error:
            self._hung = isinstance(error, DeviceHung)
            return Retry(f"{type(error).__name__}: {error}", code=_code(error))
        except Exception as error:  # noqa: BLE001 - one bad job must not end the worker; its attempts are counted
            self._log.error("step_failed", job=job.id, kind=str(job.kind), exc_info=error)
            # The text of a foreign exception may quote a patient's data: its type is all that is kept.
            said = f"unexpected {type(error).__name__}; the log of that moment has the traceback"
            return Retry(said, code="unexpected")

    def _alive(self, job: Job) -> None:
        self._beat()
        if self._stop.is_set():
            raise _Interrupted
        now = self._clock()
        if abs(now - self._renewed) < self._lease / _RENEWALS:
            return
        if not self._queue.renew(job, now, self._lease):
            raise _LeaseLost
        self._renewed = now


def _code(error: OcunetError) -> str:
    """StoreFull -> store_full."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
