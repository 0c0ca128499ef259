"""The daemon's processes as systemd keeps them: started again two seconds after they failed, ended when silent.

Two services, as in a clinic whose second machine only analyses: `serve`, which starts listener, worker and sender
itself, and one more `work` on the same database and store. So every fault meets what would meet it there: the
supervisor for what `serve` started, systemd for the rest; and a worker that comes back from a pause finds that another
one took its work.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests import units
from tests.daemon import CLEAN_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESTART_SECONDS = 2.0
"""RestartSec= of the units. Systemd before 254, such as Debian 12's, waits as long each time."""
STOP_SECONDS = 150.0
"""TimeoutStopSec= of the units."""
CANNOT_RUN = 2
"""RestartPreventExitStatus= of the units."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a service did without being asked, at that monotonic moment; `status` where it is an exit status."""

    at: float
    what: str
    status: int | None = None


@dataclass
class Service:
    """One unit. `unplanned` are its ends that nobody asked for; what a fault explains of them is the judge's to say."""

    name: str
    unit: str
    command: list[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    ready: threading.Event = field(default_factory=threading.Event)
    reloading: bool = False
    heard: float = 0.0
    wanted: bool = False
    expected: bool = False
    unplanned: list[Ended] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._address = f"\0ocunet-soak-{os.getpid()}-{self.name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self._address)
        self._socket.settimeout(0.2)
        self._patience = units.seconds(units.values(self.unit, "WatchdogSec")[0])
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._change = threading.Lock()
        self._thread.start()

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        process = self.process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> None:
        with self._change:
            self.wanted, self.expected = True, False
            if self.process is None:
                self._start()

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL after TimeoutStopSec=; the exit status."""
        with self._change:
            self.wanted, process, self.process = False, self.process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.unplanned.append(Ended(time.monotonic(), f"{self.name} did not stop within {STOP_SECONDS:g} s"))
            process.kill()
            return process.wait(10)

    def kill(self) -> None:
        """SIGKILL to its main process; it is started again."""
        self.expected = True
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def reload(self) -> None:
        """SIGHUP, as `systemctl reload` sends it."""
        if self.pid:
            os.kill(self.pid, signal.SIGHUP)

    def close(self) -> None:
        self.stop()
        self._socket.close()

    def _start(self) -> None:
        self.ready.clear()
        environment = {
            **CLEAN_ENVIRONMENT,
            **self.environment,
            "NOTIFY_SOCKET": "@" + self._address[1:],
            "WATCHDOG_USEC": str(int(self._patience * 1e6)),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/"
            )
        self.starts += 1
        self.heard = time.monotonic()

    def _look_after(self) -> None:
        while self._socket.fileno() >= 0:
            self._hear()
            with self._change:
                process = self.process
                if process is None or not self.wanted:
                    continue
                status = process.poll()
                if status is None:
                    if self.ready.is_set() and time.monotonic() - self.heard > self._patience:
                        silent = f"{self.name} was silent for {self._patience:g} s"
                        self.unplanned.append(Ended(time.monotonic(), silent))
                        process.send_signal(signal.SIGABRT)
                        self.heard = time.monotonic()
                    continue
                if not self.expected:
                    self.unplanned.append(Ended(time.monotonic(), f"{self.name} ended with status {status}", status))
                self.process, self.expected = None, False
                if status in {0, CANNOT_RUN}:
                    self.wanted = False
                    continue
            time.sleep(RESTART_SECONDS)
            with self._change:
                if self.wanted and self.process is None:
                    self._start()

    def _hear(self) -> None:
        try:
            said = self._socket.recv(4096).decode()
        except OSError:
            return
        self.heard = time.monotonic()
        for line in said.splitlines():
            if line == "READY=1":
                self.ready.set()


def ocunet(*arguments: str, config: Path) -> list[str]:
    return [sys.executable, "-m", "ocunet_pacs", *arguments, "--config", str(config)]


def descendants(pid: int) -> list[int]:
    """Processes below one, as far as they still are."""
    found: list[int] = []
    for thread in _entries(Path(f"/proc/{pid}/task")):
        for child in _text(thread / "children").split():
            found += [int(child), *descendants(int(child))]
    return found


def role_of(pid: int) -> str:
    """listen, work, deliver or serve by its command; decoder for a worker's children; "" when it is gone."""
    words = _text(Path(f"/proc/{pid}/cmdline")).split("\0")
    if "ocunet_pacs" in words:
        return words[words.index("ocunet_pacs") + 1]
    return "decoder" if any("ocunet_pacs" in word for word in words) else ""


def processes(services: list[Service], wanted: Callable[[str], bool] = bool) -> list[tuple[int, str]]:
    """(pid, role) of all their processes whose role is wanted."""
    found = []
    for service in services:
        if service.pid:
            for pid in (service.pid, *descendants(service.pid)):
                role = role_of(pid)
                if role and wanted(role):
                    found.append((pid, role))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
