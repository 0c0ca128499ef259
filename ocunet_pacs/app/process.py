"""What every role's process does alike: the clock, signals, and its word to the service manager."""

from __future__ import annotations

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
    from types import FrameType

    from ocunet_pacs.metrics import Metrics


ROLE_NAME = "OCUNET_PACS_ROLE"
"""Environment variable in which the supervisor tells a role what it is called, where several run the same."""

NEEDED_ROLES = "OCUNET_PACS_NEEDED_ROLES"
"""Environment variable in which the supervisor tells the role that answers for all which must be well, by comma."""

FIRST_LISTENER = "listen-0"
"""What the first is called where several processes share the port; what only one needs to do, it does."""


_NICE = 10


def role_name(role: str) -> str:
    """What this process is called: by the supervisor, otherwise by what it does."""
    return os.environ.get(ROLE_NAME, role)


def needed_roles(role: str) -> list[str]:
    """Which roles this process answers for: all that the supervisor needs, otherwise itself."""
    return os.environ.get(NEEDED_ROLES, role_name(role)).split(",")


def announce_ready(role: str) -> None:
    """Tell the service manager, or the supervisor, that the role is ready."""
    systemd.notify("READY=1", f"X_ROLE_READY={role_name(role)}")


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

    Ending at once is safe: what is acknowledged is on disk, and the lease of a job goes back to the queue.
    """
    flag = StopFlag()

    def handle(number: int, _frame: FrameType | None) -> None:
        if flag.is_set():
            os._exit(128 + number)
        flag.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return flag


class Watchdog:
    """Feeds the service manager's watchdog from the loop that does the work, at most once a second.

    With `metrics` it says there too that the loops of `role` turn.
    """

    def __init__(self, role: str = "", metrics: Metrics | None = None) -> None:
        self._role = role_name(role)
        self._metrics = metrics
        self._last = 0.0

    def beat(self) -> None:
        """The work goes on."""
        now = time.monotonic()
        if now - self._last >= 1.0:
            self._last = now
            systemd.notify("WATCHDOG=1")
            if self._metrics is not None:
                self._metrics.set("loop_turn_timestamp_seconds", time.time(), role=self._role)
