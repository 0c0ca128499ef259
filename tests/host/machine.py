"""Make such a host, run commands on it, and put it away.

It needs root, namespaces and systemd's programs, and leaves the machine as it was: nothing of its mounts, network and
processes is seen outside. It is reached from the network namespace that it is made in, which should be one of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.conftest import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ADDRESSES = ("192.0.2.10", "10.0.0.9")
"""The host's own, as the pages call it."""
OUTSIDE = ("192.0.2.20", "10.0.0.5")
"""The other end of its cable: cameras and archives, as the pages call them."""
_BOOT = Path(__file__).with_name("boot.sh")
_PASSWD = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\ntty:x:5:\nshadow:x:42:\nnogroup:x:65534:\n"


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    status: int
    text: str
    seconds: float


class Machine:
    """A host that runs. Commands on it are root's, in its root, with its processes and its network."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self.leader = leader

    def run(
        self, command: str, *, folder: str = "/", seconds: float = 120, network: str = "", **environment: str
    ) -> Ran:
        """Run a shell command; what it printed comes back. `network`: the file of another network than its own."""
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root"]
        words = [*enter, f"--net={network}" if network else "--net", "--wdns=" + folder, "/bin/bash", "-c", command]
        plain = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        began = time.monotonic()
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            env=plain | {"LANG": "C.UTF-8"} | environment,
        )
        return Ran(done.returncode, done.stdout, time.monotonic() - began)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file there, as root."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(mode)


@contextmanager
def machine(folder: Path, *, binds: Mapping[Path, str], names: Mapping[str, str] | None = None) -> Iterator[Machine]:
    """Boot a host with its root in `folder`, until the block ends.

    `binds`: what else of this machine it sees, read-only, and where; `names`: what /etc/hosts says beside its own name.
    """
    root = folder / "root"
    mounts = _prepare(root, names or {})
    for source, target in binds.items():
        _place_for(source, root / target.lstrip("/"))
        mounts.append((source, target))
    Path(f"{root}.binds").write_text("".join(f"{source} {target}\n" for source, target in mounts))
    group = f"ocunet-pacs-test-{uuid4().hex[:8]}"
    command = [program("unshare"), "--mount", "sh", str(_BOOT), str(root), group]
    log = folder / "boot.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    leader = None
    try:
        leader = _first_process(process, log)
        _plug_in(leader)
        yield Machine(root, leader)
    finally:
        if leader is not None:
            os.kill(leader, signal.SIGKILL)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _prepare(root: Path, names: Mapping[str, str]) -> list[tuple[Path, str]]:
    """The folders of an empty Debian; what is mounted into them of this machine."""
    for name in ("etc/systemd/system", "var/lib", "var/log", "opt", "root", "home", "run", "proc", "sys", "dev", "mnt"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "srv", "usr/local/bin", "var/cache", "var/tmp"):
        (root / name).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib32", "lib64"):
        if (Path("/") / link).is_symlink():
            (root / link).symlink_to(f"usr/{link}")
    etc = root / "etc"
    (etc / "passwd").write_text(_PASSWD)
    (etc / "group").write_text(_GROUP)
    (etc / "machine-id").write_text(f"{uuid4().hex}\n")  # one that is there: nothing is enabled by itself
    (etc / "fstab").touch()
    lines = ["127.0.0.1 localhost clinic", *(f"{address} {name}" for name, address in names.items())]
    (etc / "hosts").write_text("\n".join(lines) + "\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (etc / "systemd/system/default.target").symlink_to("/usr/lib/systemd/system/basic.target")
    copied = [Path("/etc/ld.so.cache"), Path("/etc/os-release"), Path("/etc/alternatives")]
    mounts = [(path, str(path)) for path in copied if path.exists()]
    mounts += [(path, str(path)) for path in sorted(Path("/usr").iterdir()) if path.name != "local"]
    for path, target in mounts:
        _place_for(path, root / target.lstrip("/"))
    return mounts


def _place_for(source: Path, target: Path) -> None:
    """Something of the same kind to mount it on."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _first_process(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the host's systemd answers; its process id out here."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the host did not start: {log.read_text(errors='replace')[-2000:]}")
        below = _children(process.pid)
        inside = [child for unshared in below for child in _children(unshared)]
        for leader in inside:
            if Path(f"/proc/{leader}/exe").resolve().name == "systemd" and _is_up(leader):
                return leader
        time.sleep(0.05)
    raise TimeoutError(f"the host did not come up: {log.read_text(errors='replace')[-2000:]}")


def _children(process: int) -> Sequence[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _is_up(leader: int) -> bool:
    command = ["nsenter", "--target", str(leader), "--all", "systemctl", "is-active", "--quiet", "basic.target"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _plug_in(leader: int) -> None:
    """A cable between the namespace that we are in and the host's."""
    ip = program("ip")
    there = ["nsenter", "--target", str(leader), "--net"]
    steps = [
        [ip, "link", "set", "lo", "up"],
        [ip, "link", "add", "name", "outside", "type", "veth", "peer", "name", "eth0", "netns", str(leader)],
        *([ip, "address", "add", f"{address}/24", "dev", "outside"] for address in OUTSIDE),
        [ip, "link", "set", "outside", "up"],
        [*there, ip, "link", "set", "lo", "up"],
        *([*there, ip, "address", "add", f"{address}/24", "dev", "eth0"] for address in ADDRESSES),
        [*there, ip, "link", "set", "eth0", "up"],
    ]
    for step in steps:
        subprocess.run(step, check=True, capture_output=True)
