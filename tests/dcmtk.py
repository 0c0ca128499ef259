"""dcmtk's programs as peers: a sender, a pinger, a receiver that stops by itself."""

from __future__ import annotations

import itertools
import os
import random
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
_FIRST_PORT, _PORTS_EACH, _PORT_RANGES = 20000, 1500, 8


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit status, and everything that it said."""

    status: int
    text: str


def _ports() -> Iterator[int]:
    """This process's ports, round and round, begun anywhere.

    Below those that Linux gives to clients (from 32768, ip(7)): a connection of anybody's cannot take one between
    `free_port` and the server that is to listen there. Each process of pytest-xdist has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _PORT_RANGES * _PORTS_EACH
    begun = random.SystemRandom().randrange(_PORTS_EACH)
    return (first + (begun + number) % _PORTS_EACH for number in itertools.count())


_PORT = _ports()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return next(filter(_is_free, _PORT))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind((HOST, port))
        return True
    return False


def storescu(
    port: int,
    *paths: Path,
    options: tuple[str, ...] = (),
    called: str = "OCUNET",
    calling: str = "CAMERA",
    host: str = HOST,
) -> Finished:
    """Send the files with C-STORE over one association; debug output, so that Error Comments are in the text."""
    return _run("storescu", "-d", *options, "-aet", calling, "-aec", called, host, str(port), *map(str, paths))


def echoscu(port: int, called: str = "OCUNET", calling: str = "CAMERA") -> Finished:
    """C-ECHO; status 0 when it was answered with success."""
    return _run("echoscu", "-v", "-aet", calling, "-aec", called, HOST, str(port))


def _run(name: str, *arguments: str) -> Finished:
    done = subprocess.run([program(name), *arguments], capture_output=True, check=False, timeout=60)
    return Finished(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))


@contextmanager
def storescp(folder: Path, *options: str, ae_title: str = "ARCHIVE", port: int | None = None) -> Iterator[int]:
    """A receiver that keeps what it gets in `folder`, on the port that is yielded; `port` fixes it."""
    port = port or free_port()
    command = [program("storescp"), *options, "-aet", ae_title, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait(10)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens; fail when the process ended instead."""
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")
