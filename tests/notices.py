"""A service manager's ear: the socket that $NOTIFY_SOCKET names, and what was said to it."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Notices:
    """Listens on `path`. What was heard is in `said`, a line each, oldest first. `close` ends it.

    A thread reads, because a service blocks when nobody hears what it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while text := self._socket.recv(4096).decode():
            self.said += text.splitlines()

    def close(self) -> None:
        """Hear nothing any more."""
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def wait_for(self, line: str, *, seconds: float = 180, alive: Callable[[], object] = lambda: None) -> None:
        """Return when the line was said; fail after `seconds`, or when `alive` raises."""
        deadline = time.monotonic() + seconds
        while line not in self.said:
            alive()
            assert time.monotonic() < deadline, f"never said {line}, but {self.said}"
            time.sleep(0.05)

    def wait_until_heard(self, lines: list[str]) -> None:
        """Return when everything sent so far was heard, and was this."""
        self.hear_all()
        assert self.said == [*lines, "X_END=1"]

    def hear_all(self) -> None:
        """Return when everything sent so far was heard: datagrams arrive in order."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"X_END=1", str(self.path))
        self.wait_for("X_END=1", seconds=60)
