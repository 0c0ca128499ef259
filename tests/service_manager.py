"""A service manager in small: what systemd does with a unit's process that dies, or gives no sign of life."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests import units
from tests.notices import Notices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass
class ServiceManager:
    """Keeps one `command` running as `unit` says, but for two spans that a test cannot wait for.

    `watchdog_seconds` stands for WatchdogSec= where it is given. RestartSec= is nought. What is silent for longer after
    READY=1 gets SIGABRT (WatchdogSignal='s default); what ends with another status than 0 or one of
    RestartPreventExitStatus= is started again (Restart=on-failure). `ended` holds the exit statuses.
    """

    unit: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    watchdog_seconds: float = 0.0
    ended: list[int] = field(default_factory=list)
    _stopping: bool = False

    def __post_init__(self) -> None:
        assert units.values(self.unit, "Restart") == ["on-failure"]
        self._final = {0, *map(int, units.values(self.unit, "RestartPreventExitStatus"))}
        (watchdog,) = units.values(self.unit, "WatchdogSec")
        self.watchdog_seconds = self.watchdog_seconds or units.seconds(watchdog)
        self.notices = Notices(self.log.with_name(f"{self.log.name}.notify"))
        self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _start(self) -> None:
        ours = {"NOTIFY_SOCKET": str(self.notices.path), "WATCHDOG_USEC": str(int(self.watchdog_seconds * 1e6))}
        self._heard = 0
        self.notices.said.clear()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env={**self.environment, **ours},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            status = self._process.poll()
            if status is not None:
                self.ended.append(status)
                if self._stopping or status in self._final:
                    return
                self._start()
            said = self.notices.said.count("WATCHDOG=1")
            if said != self._heard or "READY=1" not in self.notices.said:
                self._heard, last = said, time.monotonic()
            if time.monotonic() - last > self.watchdog_seconds and not self._stopping:
                self._process.send_signal(signal.SIGABRT)
                last = time.monotonic()
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after TimeoutStopSec=; the exit status."""
        self._stopping = True
        self._process.send_signal(signal.SIGTERM)
        (stop,) = units.values(self.unit, "TimeoutStopSec")
        self._thread.join(units.seconds(stop))
        self._process.kill()
        self._thread.join()
        self.notices.close()
        return self.ended[-1]
