"""A clinic's whole morning at once: many senders, large images, health checks for hours."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PROJECT
from tests.integration.objects import photograph, write
from tests.integration.requests import echo_once
from tests.listening import listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.listening import Listening

pytestmark = pytest.mark.timeout(300)

PEERS, ASSOCIATIONS_EACH = 8, 8
MEMORY = 400 << 20
ECHOES, WARM_UP, CHECKERS = 2400, 300, 3


def test_64_associations_with_images_of_12_mb_lose_none_and_stay_small(tmp_path: Path) -> None:
    image = write(photograph(rows=2000, columns=2000), tmp_path / "image.dcm")
    assert image.stat().st_size > 12_000_000
    command = [sys.executable, "-m", "tests.integration.sending_peer"]
    with listening(tmp_path / "site") as listener:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        peers = [
            subprocess.Popen(
                [*command, str(listener.port), str(image), f"PEER{number}", str(ASSOCIATIONS_EACH)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PEERS)
        ]
        stop = threading.Event()
        tidy = threading.Thread(target=_free_the_disk, args=(listener, stop))
        tidy.start()
        try:
            for peer in peers:
                assert peer.stdout is not None
                assert peer.stdout.readline() == "associated\n"
            # All 64 are open. Now they send.
            for peer in peers:
                assert peer.stdin is not None
                peer.stdin.write("send\n")
                peer.stdin.flush()
            sent = [line.split() for peer in peers for line in peer.communicate(timeout=250)[0].splitlines()]
        finally:
            stop.set()
            tidy.join()
            for peer in peers:
                peer.kill()
                peer.wait(10)
        peak = listener.peak_bytes()
    assert len(sent) == PEERS * ASSOCIATIONS_EACH
    assert {status for _, status in sent} == {"0000"}
    with sqlite3.connect(tmp_path / "site" / "rows.db") as rows:
        kept = {uid for (uid,) in rows.execute("SELECT sop_instance_uid FROM instances")}
    rows.close()
    assert kept == {uid for uid, _ in sent}
    assert peak < MEMORY, f"{peak / 2**20:.0f} MiB"


def _free_the_disk(listener: Listening, stop: threading.Event) -> None:
    """768 MB need not lie around at once: what has its name is acknowledged, and is not looked at here."""
    while not stop.wait(0.5):
        for path in listener.instances.rglob("*.dcm"):
            if time.time() - path.stat().st_mtime > 2:
                os.truncate(path, 0)


def test_health_checks_cost_neither_memory_nor_threads_nor_files(tmp_path: Path) -> None:
    """Hours of a C-ECHO a second from three peers, in seconds."""
    with listening(tmp_path) as listener:
        (pid,) = listener.pids
        _echo(listener.port, WARM_UP)
        _settled(lambda: _threads(pid) < 20)
        before = (listener.resident_bytes(), _threads(pid), _files(pid))
        _echo(listener.port, ECHOES)
        _settled(lambda: _threads(pid) <= before[1])
        _settled(lambda: _files(pid) <= before[2])
        grown = listener.resident_bytes() - before[0]
    # 4 MiB would be 1.7 KB each: less than a single association's objects take.
    assert grown < 4 << 20, f"{grown / 2**10:.0f} KiB"


def test_a_listener_without_file_descriptors_left_recovers_when_there_are_some(tmp_path: Path) -> None:
    with listening(tmp_path) as listener:
        (pid,) = listener.pids
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (40, 40))
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(socket.create_connection(("127.0.0.1", listener.port), timeout=30))
            _settled(lambda: "connection_not_accepted" in listener.log() or "connection_failed" in listener.log())
        _settled(lambda: _answers(listener.port))


def _answers(port: int) -> bool:
    try:
        echo_once(port)
    except (AssertionError, OSError):
        return False
    return True


def _echo(port: int, count: int) -> None:
    problems: list[Exception] = []

    def check() -> None:
        try:
            for _ in range(count // CHECKERS):
                echo_once(port)
        except (AssertionError, OSError) as error:
            problems.append(error)

    checkers = [threading.Thread(target=check) for _ in range(CHECKERS)]
    for checker in checkers:
        checker.start()
    for checker in checkers:
        checker.join()
    assert not problems


def _settled(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it never came to rest")


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _files(pid: int) -> int:
    """Sockets and what wakes their threads; how many connections the database has open is its pool's business."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith(("socket:", "anon_inode:[eventfd"))
    return found
