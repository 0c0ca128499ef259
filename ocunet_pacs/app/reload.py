"""SIGHUP: a role reads its settings anew and takes up what it can, without dropping an association or a job.

A reload is asked for by a signal and done by the role, one at a time. Asked for before the role is ready, it is done
then; asked for while one is done, it is done once more afterwards, because the file may have been read before it was
changed. Once a stop was asked for there is none. READY follows each, also one that took up nothing.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import systemd
from ocunet_pacs.app.process import announce_ready, role_name
from ocunet_pacs.domain.errors import ConfigError, OcunetError
from ocunet_pacs.settings.changing import change

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ocunet_pacs.app.process import StopFlag
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.changing import Change


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What a role says after it took up settings."""

    doing: str
    """What it does from now on, for the service manager."""
    refused: str = ""
    """What it did not take up, and why; the old stays in force."""
    settings: Settings | None = None
    """In force instead of those of the change, where something was refused."""


class ReloadFlag:
    """Set any number of times, taken down once. A pipe, as `StopFlag` is, and for the same reason."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def set(self) -> None:
        """Ask for a reload. Safe in a signal handler."""
        with suppress(BlockingIOError):  # full of earlier ones
            os.write(self._writer, b".")

    def take(self) -> bool:
        """Whether one was asked for since the last call."""
        try:
            return bool(os.read(self.reader, 1 << 16))
        except BlockingIOError:
            return False


def reload_on_signal() -> ReloadFlag:
    """SIGHUP sets the flag that is returned. To be called first of all: by default the signal ends a process.

    A terminal that is closed sends it too; then there is nobody to run for, and it is a stop.
    """
    flag = ReloadFlag()
    terminal = os.isatty(0)

    def handle(_number: int, _frame: FrameType | None) -> None:
        if terminal and not os.isatty(0):
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            flag.set()

    signal.signal(signal.SIGHUP, handle)
    return flag


class Reloading:
    """A role's settings, and how they change while it runs.

    `settings` are those in force; `read` reads them anew and raises as `settings.load` does; `configure_logs` makes
    the log one by these settings.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        role: str,
        flag: ReloadFlag,
        configure_logs: Callable[[Settings], None],
    ) -> None:
        self.settings = settings
        self._configure_logs = configure_logs
        self._read = read
        self._role = role
        self._flag = flag
        self._doing = ""

    def ready(self, doing: str) -> None:
        """Tell the service manager, or the supervisor, that the role is ready, and what it is doing from now on."""
        self._doing = doing
        announce_ready(self._role, doing)

    def in_force(self) -> Settings:
        """The settings in force now, for those who ask at each use."""
        return self.settings

    def until(
        self,
        stop: StopFlag,
        take_up: Callable[[Change], TakenUp],
        *,
        changed: Callable[[Settings], None] = lambda _read: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Reload whenever that is asked for, and call `beat` every second; return when a stop is asked for.

        `take_up` puts settings in force, all of them or, raising an OcunetError, none. `changed` hears of settings that
        were read and are not the same (the audit trail).
        """
        while not self.wait(stop, 1.0):
            beat()
            self.look(stop, take_up, changed=changed)

    def start_thread(
        self, stop: StopFlag, take_up: Callable[[Change], TakenUp], *, changed: Callable[[Settings], None]
    ) -> Thread:
        """`until` in a thread of its own, which ends after a stop; one that hangs does not keep the process."""
        thread = Thread(target=lambda: self.until(stop, take_up, changed=changed), name="reload", daemon=True)
        thread.start()
        return thread

    def wait(self, stop: StopFlag, seconds: float) -> bool:
        """Sleep, but neither past a stop nor past a reload that is asked for; whether to stop."""
        select.select([stop.reader, self._flag.reader], [], [], max(seconds, 0.0))
        return stop.is_set()

    def look(
        self,
        stop: StopFlag,
        take_up: Callable[[Change], TakenUp],
        *,
        changed: Callable[[Settings], None] = lambda _read: None,
    ) -> None:
        """Reload if that was asked for; see `until`."""
        if not self.asked():
            return
        self.begin()
        refused = self.renew(take_up, changed)
        if not stop.is_set():  # it was told of the stop, which is the last word
            announce_ready(self._role, self._doing, refused)

    def asked(self) -> bool:
        """Whether a reload was asked for since the last call."""
        return self._flag.take()

    def begin(self) -> None:
        """Tell the service manager, or the supervisor, that a reload begins: before anything is read."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={now}", f"X_ROLE_RELOADING={role_name(self._role)}")

    def renew(
        self, take_up: Callable[[Change], TakenUp], changed: Callable[[Settings], None] = lambda _read: None
    ) -> str:
        """Read the settings and take them up. What was refused, and why; "" where nothing was. Never raises."""
        try:
            taken = self._reload(take_up, changed)
        except OcunetError as error:
            problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
            structlog.get_logger().error("reload_refused", problems=problems, stays="all settings of before")
            return f"new settings refused: {problems[0]}"
        except Exception as error:  # noqa: BLE001 - whatever is wrong with new settings, the work goes on with the old
            structlog.get_logger().error("reload_failed", exc_info=error, stays="all settings of before")
            return f"new settings refused: {type(error).__name__}; the log has more"
        self._doing = taken.doing
        return taken.refused

    def _reload(self, take_up: Callable[[Change], TakenUp], changed: Callable[[Settings], None]) -> TakenUp:
        read = self._read()
        found = change(self.settings, read)
        taken = take_up(found)
        before, self.settings = self.settings, taken.settings or found.settings
        self._configure_logs(self.settings)
        log = structlog.get_logger()
        log.info("reloaded", changed=list(change(before, self.settings).taken))
        if found.restart:
            log.warning("reload_needs_restart", settings=list(found.restart))
        if found.taken or found.restart:
            changed(read)
        return taken
