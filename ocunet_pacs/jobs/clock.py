"""One time for all hosts of one queue: the database's.

A lease, a quiet period and a wait are moments that one host writes and another compares with its own time. A host whose
clock was ahead by more than a lease would take every job away from the worker that is at it, until none has tries left;
one that was behind would have each of its own taken away at once.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.jobs.engine import transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

LOOK_EVERY_S = 30.0
"""Long enough to cost nothing; a standby that takes over with another clock is believed after no more than this."""
_LOOKS = 3
_WORST_TRIP_S = 2.0
"""What took longer to be answered says too little of the time; counting on is better."""


def seconds_since_boot() -> float:
    """Of a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def host_time() -> datetime:
    """This machine's clock: aware, UTC."""
    return datetime.now(UTC)


class QueueClock:
    """Tells the time that all hosts of a database share: aware, UTC. Threads may share it.

    SQLite serves one host: its own time. PostgreSQL is asked when the first caller wants to know (DatabaseError when
    that fails) and then now and again; in between, and while it cannot be reached, seconds since boot are added.
    """

    def __init__(
        self,
        engine: Engine,
        host: Callable[[], datetime] = host_time,
        elapsed: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self._engine = engine
        self._host = host
        self._elapsed = elapsed
        self._looking = threading.Lock()
        self._next_look = float("-inf")
        self._origin: datetime | None = None
        """The database's time at zero of `elapsed`; one reference, so a thread sees an old or a new one, whole."""

    def __call__(self) -> datetime:
        """The time now."""
        if self._engine.dialect.name == "sqlite":
            return self._host()
        if self._origin is None:
            with self._looking:
                if self._origin is None:
                    self._look()
        elif self._elapsed() >= self._next_look and self._looking.acquire(blocking=False):
            try:
                # Whoever asks for the time is about to use the database, and hears from that what is wrong with it.
                with suppress(DatabaseError):
                    self._look()
            finally:
                self._looking.release()
        assert self._origin is not None
        return self._origin + timedelta(seconds=self._elapsed())

    def host_is_ahead(self) -> timedelta:
        """How far this host's own clock is ahead of the shared time; negative where it is behind. DatabaseError."""
        return self._host() - self()

    def _look(self) -> None:
        """Ask a few times, and believe the answer that took the shortest: it is right to half of that."""
        self._next_look = self._elapsed() + LOOK_EVERY_S
        shortest, origin = float("inf"), None
        with transaction(self._engine) as connection:
            for _ in range(_LOOKS):
                asked = self._elapsed()
                theirs: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
                heard = self._elapsed()
                if heard - asked < shortest:
                    shortest = heard - asked
                    origin = theirs.astimezone(UTC) - timedelta(seconds=(asked + heard) / 2)
        if self._origin is None or shortest <= _WORST_TRIP_S:
            self._origin = origin
