"""Between roles on one host: "there is work". Idle loops look at the queue a few times a second anyway; this is sooner.

A role that waits has a datagram socket in the store's folder `wake`, named by role, host and process. A word that is
lost costs one poll interval and nothing else, so nobody waits for an answer and every failure is ignored.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.app.process import StopFlag

_LONGEST_PATH = 100
"""The kernel takes 107 bytes; a store with a longer path goes without."""


class Waiting:
    """The stop flag of a role's loops, which also end their waiting when there is work."""

    def __init__(self, stop: StopFlag, store: Path, role: str) -> None:
        self._stop = stop
        self._path = store / "wake" / f"{role}.{socket.gethostname()}.{os.getpid()}"
        self._socket: socket.socket | None = None
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._path.unlink(missing_ok=True)
            waiting = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            waiting.bind(os.fspath(self._path))
            self._socket = waiting

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Sleep for `timeout` seconds, but neither past a stop nor past a word of work; whether to stop."""
        if self._socket is None:
            return self._stop.wait(timeout)
        select.select([self._stop.reader, self._socket.fileno()], [], [], max(timeout, 0.0))
        with suppress(OSError):
            # Of several loops that were woken one takes the word; all of them look.
            self._socket.recv(16)
        return self._stop.is_set()

    def close(self) -> None:
        """No word is heard any more."""
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)


class Waker:
    """Tells the processes of a role on this host that there is work."""

    def __init__(self, store: Path, role: str) -> None:
        self._folder = store / "wake"
        self._pattern = f"{role}.{socket.gethostname()}.*"

    def __call__(self) -> None:
        """Say it; never waits, never fails."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaking:
            speaking.setblocking(False)  # noqa: FBT003 - the standard library's signature
            for path in self._folder.glob(self._pattern):
                try:
                    speaking.sendto(b".", os.fspath(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)  # its process is gone
                except OSError:
                    continue
