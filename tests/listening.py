"""The receiving role alone, as processes of their own on one port: `ocunet-pacs listen` on a settings file."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.daemon import CLEAN_ENVIRONMENT, cli
from tests.dcmtk import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Listening:
    """Where they listen, which they are, and what they keep."""

    port: int
    pids: tuple[int, ...]
    folder: Path

    @property
    def instances(self) -> Path:
        """The folder of what was received."""
        return self.folder / "store" / "instances"

    @property
    def rows(self) -> Path:
        """SQLite's file."""
        return self.folder / "rows.db"

    def log(self) -> str:
        """What they logged."""
        return (self.folder / "log").read_text()

    def peak_bytes(self) -> int:
        """The most memory that one of them ever had resident."""
        return max(_status(pid, "VmHWM") for pid in self.pids)

    def resident_bytes(self) -> int:
        """The memory that one of them has resident now, the largest."""
        return max(_status(pid, "VmRSS") for pid in self.pids)


@contextmanager
def listening(folder: Path, processes: int = 1, **tree: Any) -> Iterator[Listening]:
    """Run them until the block ends; `tree` holds further settings by section."""
    port = tree.get("dicom", {}).get("port") or free_port()
    config = folder / "settings.yaml"
    usual: dict[str, dict[str, Any]] = {
        "dicom": {"host": HOST, "port": port, "processes": processes},
        "database": {"url": f"sqlite:///{folder / 'rows.db'}"},
        "store": {"path": str(folder / "store"), "min_free": "10 MiB"},
        "assembly": {"quiet_period": "1h", "force_after": "1d"},
        "metrics": {"port": 0},
    }
    folder.mkdir(parents=True, exist_ok=True)
    sections = {name: usual[name] | tree.get(name, {}) for name in usual}
    config.write_text(yaml.safe_dump({**tree, **sections}))
    cli("db", "upgrade", "--config", config)
    command = [sys.executable, "-m", "ocunet_pacs", "listen", "--config", str(config)]
    running = []
    with (folder / "log").open("ab") as log:
        for number in range(processes):
            environment = {**CLEAN_ENVIRONMENT, "OCUNET_PACS_ROLE": f"listen-{number}"}
            running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd="/", env=environment))
    found = Listening(port, tuple(process.pid for process in running), folder)
    try:
        deadline = time.monotonic() + 90
        while found.log().count('"event": "listening"') < processes:
            if any(process.poll() is not None for process in running) or time.monotonic() > deadline:
                raise RuntimeError(found.log())
            time.sleep(0.05)
        yield found
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
