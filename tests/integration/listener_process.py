"""A listener in a process of its own, to be killed: `python -m tests.integration.listener_process FOLDER`.

Prints its port and its process id once it is ready, and receives into FOLDER until somebody ends it. With `--again` it
does so for each line of its standard input, each time in a new process that need not import everything again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.scp import Listener, ListenerConfig
from ocunet_pacs.store.files import Files
from tests.conftest import PROJECT
from tests.integration.ledgers import FileLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def main(folder: Path) -> None:
    # Nobody reads standard output once the port was read from it.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    listener = listener_in(folder)
    listener.start()
    sys.stdout.write(f"port {listener.port} pid {os.getpid()}\n")
    sys.stdout.flush()
    threading.Event().wait()


def again(folder: Path) -> None:
    """A listener for each line that is read; the last one ends with the lines."""
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if child == 0:
            main(folder)
    if child:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def listener_in(folder: Path) -> Listener:
    """Not started; file store and database in the folder."""
    return Listener(
        ListenerConfig(ae_title="OCUNET", host="127.0.0.1", port=0, min_free_bytes=0),
        Files(folder / "store"),
        FileLedger(folder / "database" / "rows.db"),
        read_header=read_identity,
        now=lambda: datetime.now(UTC),
        new_token=lambda: uuid.uuid4().hex,
    )


@dataclass(frozen=True)
class Running:
    """A listener process: where it listens, and its process id."""

    port: int
    pid: int

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def running(folder: Path, *, under: Sequence[str] = ()) -> Iterator[Running]:
    """Start one and wait until it is ready; killed at the end. `under`: a command that runs it, such as strace."""
    log_file = folder.with_name(f"{folder.name}.log")
    with log_file.open("a") as log:
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "tests.integration.listener_process", str(folder)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    ready = None
    try:
        ready = next((line.split() for line in process.stdout if line.startswith("port ")), None)
        assert ready is not None, log_file.read_text()[-2000:]
        yield Running(int(ready[1]), int(ready[3]))
    finally:
        if ready is not None:
            # strace does not take what it runs with it when it is killed, and ends when what it runs ends.
            with suppress(ProcessLookupError):
                os.kill(int(ready[3]), signal.SIGKILL)
        else:
            process.kill()
        process.wait(30)
        process.stdout.close()


@contextmanager
def starter(folder: Path) -> Iterator[Callable[[], Running]]:
    """A function that starts a listener on the folder, quickly; the one before must have been killed."""
    log_file = folder.with_name(f"{folder.name}.log")
    with log_file.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.listener_process", str(folder), "--again"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    def start() -> Running:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("another\n")
        process.stdin.flush()
        ready = process.stdout.readline().split()
        assert ready, log_file.read_text()[-2000:]
        return Running(int(ready[1]), int(ready[3]))

    with process:
        yield start


if __name__ == "__main__":
    if sys.argv[2:] == ["--again"]:
        again(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]))
