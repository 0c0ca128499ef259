"""What every role's process does alike: the clock, signals, and its word to the service manager."""

from __future__ import annotations

import math
import os
import resource
import select
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs import systemd

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ocunet_pacs.metrics import Metrics


ROLE_NAME = "OCUNET_PACS_ROLE"
"""Environment variable in which the supervisor tells a role what it is called, where several run the same."""

NEEDED_ROLES = "OCUNET_PACS_NEEDED_ROLES"
"""Environment variable in which the supervisor tells the role that answers for all which must be well, by comma."""

WATCHDOG_VARIABLE = "WATCHDOG_USEC"
"""Environment variable in which a process is told how long it may be silent (sd_watchdog_enabled(3))."""

FIRST_LISTENER = "listen-0"
"""What the first is called where several processes share the port; what only one needs to do, it does."""

EXIT_CONFIG = 2
"""Exit status of a role that cannot run with these settings: restarting it would not help."""

EXIT_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: what is missing now may be there the next time, so whoever starts the role tries again."""

_NICE = 10
_LONGEST_REFUSAL = 500


def role_name(role: str) -> str:
    """What this process is called: by the supervisor, otherwise by what it does."""
    return os.environ.get(ROLE_NAME, role)


def needed_roles(role: str) -> list[str]:
    """Which roles this process answers for: all that the supervisor needs, otherwise itself."""
    return os.environ.get(NEEDED_ROLES, role_name(role)).split(",")


def announce_ready(role: str, doing: str, refused: str = "") -> None:
    """Tell the service manager, or the supervisor, that the role is ready, and what it is doing from now on.

    `refused`: what it was to do instead, and why it does not.
    """
    name, refused = role_name(role), " ".join(refused.split())[:_LONGEST_REFUSAL]
    status = f"STATUS={doing}; {refused}" if refused else f"STATUS={doing}"
    more = [f"X_ROLE_REFUSED={name} {refused}"] if refused else []
    systemd.notify("READY=1", status, *more, f"X_ROLE_READY={name}")


def stand_back(memory_bytes: int) -> None:
    """What this process does matters less than anything else here: the others get processor, disk and memory first.

    Not the lowest priority: it writes to the queue's database now and then, and whoever is starved while it holds the
    lock holds up the others. Past `memory_bytes` of data it gets no more memory, and where the machine itself runs out,
    it goes first. Processes and threads that it starts inherit all of it.
    """
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def utc_now() -> datetime:
    """The one clock of the product: aware, UTC."""
    return datetime.now(UTC)


class StopFlag:
    """Set once, waited for by any number of threads.

    A pipe instead of threading.Event: an event's lock may be held by the very thread that a signal handler interrupts,
    and setting it there would hang the process.
    """

    def __init__(self) -> None:
        self._set = False
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def set(self) -> None:
        """Ask to stop. Safe in a signal handler."""
        self._set = True
        os.write(self._writer, b".")

    def is_set(self) -> bool:
        """Whether a stop was asked for."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Sleep for `timeout` seconds, but not past a stop; whether to stop."""
        select.select([self.reader], [], [], max(timeout, 0.0))
        return self._set


def stop_on_signals() -> StopFlag:
    """SIGTERM and SIGINT set the flag that is returned; a second one ends the process at once.

    The service manager is told of a stop when it is asked for, not when the work at hand is done. Ending at once is
    safe: what is acknowledged is on disk, and the lease of a job goes back to the queue.
    """
    flag = StopFlag()

    def handle(number: int, _frame: FrameType | None) -> None:
        if flag.is_set():
            os._exit(128 + number)
        flag.set()
        systemd.notify("STOPPING=1", "STATUS=stopping: what was begun is being finished or put back")

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return flag


class Watchdog:
    """Feeds the service manager's watchdog from the loops that do the work, at most once a second.

    `patience`: how many seconds one loop may be silent while others are not, before the dog is fed no more; None: it is
    enough that one of them goes on. With `metrics` it says there too that the loops of `role` turn.
    """

    def __init__(
        self,
        role: str,
        metrics: Metrics | None = None,
        patience: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role = role_name(role)
        self._metrics = metrics
        self._patience = patience
        self._monotonic = monotonic
        self._last = -math.inf
        self._heard: dict[str, float] = {}

    def beat(self, loop: str = "") -> None:
        """The work of this loop goes on."""
        now = self._monotonic()
        self._heard[loop] = now
        if self._patience is not None and now - min(self._heard.copy().values()) > self._patience:
            return
        if now - self._last >= 1.0:
            self._last = now
            systemd.notify("WATCHDOG=1", f"X_ROLE_ALIVE={self._role}")
            if self._metrics is not None:
                self._metrics.set("loop_turn_timestamp_seconds", time.time(), role=self._role)


def watchdog_seconds() -> float | None:
    """How long the service manager, or the supervisor, lets this process be silent; None: for ever."""
    microseconds = os.environ.get(WATCHDOG_VARIABLE, "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None
