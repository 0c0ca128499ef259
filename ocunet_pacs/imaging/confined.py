"""What a process does to itself before it runs native codecs over whatever was sent to us."""

from __future__ import annotations

import os
import resource
import select
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def settle_signals() -> None:
    """What ends the process that started this one is its own affair; what was inherited from it is undone."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGALRM, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
        signal.signal(number, signal.SIG_DFL)


def settle_limits(memory_bytes: int | None) -> None:
    """No core file, which would hold a picture; not more memory than allowed on top of what is in use now.

    Where the machine itself runs out of memory, this process goes first.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def silence() -> None:
    """The codecs write what they think of a file to standard error, and quote it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def end_with(channel: socket.socket) -> None:
    """From now on end as soon as the other end of the socket is closed, whatever the process is at."""
    threading.Thread(target=_wait_for_hang_up, args=(channel.fileno(),), daemon=True).start()


def _wait_for_hang_up(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, 0)  # no event but the hang-up, which is always reported
    poller.poll()
    os._exit(0)
