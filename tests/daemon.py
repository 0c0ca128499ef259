"""The daemon as an administrator runs it: real processes, real ports, a settings file; started, killed, looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.dcmtk import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLEAN_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("OCUNET_PACS")}


def cli(*arguments: object, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `ocunet-pacs` as a user would."""
    command = [sys.executable, "-m", "ocunet_pacs", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env=CLEAN_ENVIRONMENT, cwd="/"
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """The first true answer of `condition`; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.2)


@dataclass
class Daemon:
    """One installation under `folder`: settings, store, database, log. `stop` leaves no process behind."""

    folder: Path
    bundle: Path
    destinations: list[dict[str, Any]]
    database: str = ""
    quiet_period: str = "1s"
    port: int = field(default_factory=free_port)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further settings, by section."""
    environment: dict[str, str] = field(default_factory=dict)
    """What its processes find in their environment beside what is there anyway."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "ocunet-pacs.yaml"
        self.log = self.folder / "daemon.log"
        self.database = self.database or f"sqlite:///{self.folder / 'ocunet.db'}"
        tree: dict[str, Any] = {
            "dicom": {"ae_title": "OCUNET", "host": "127.0.0.1", "port": self.port},
            "database": {"url": self.database},
            "store": {"path": str(self.folder / "store"), "min_free": "10 MiB"},
            "model": {"bundle": str(self.bundle), "device": "cpu", "allow_untrained": True},
            "assembly": {"quiet_period": self.quiet_period},
            "jobs": {"unavailable_delay": "1s"},
            "metrics": {"port": 0},
            "console": {"enabled": False},
            "destinations": self.destinations,
        }
        for section, values in self.more.items():
            tree[section] = tree.get(section, {}) | values
        self.config.write_text(yaml.safe_dump(tree))

    def start(self, *roles: str) -> None:
        """Start `serve`, or the roles that are named ("work", "work" starts two)."""
        for number, role in enumerate(roles or ("serve",)):
            with self.log.open("ab") as log:
                self.processes[f"{role}-{number}"] = subprocess.Popen(
                    [sys.executable, "-m", "ocunet_pacs", role, "--config", str(self.config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**CLEAN_ENVIRONMENT, **self.environment},
                    cwd="/",
                )

    def wait_for_listener(self) -> None:
        """Return once C-ECHO is answered."""
        wait_until(self.answers, "the daemon to answer C-ECHO")

    def answers(self) -> bool:
        from tests.dcmtk import echoscu

        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} ended with status {process.returncode}: {self.log_text()[-2000:]}"
        return echoscu(self.port).status == 0

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer does it: no warning, no clean-up."""
        for process in self.processes.values():
            process.kill()
            process.wait(10)
        self.processes.clear()

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        statuses = []
        for process in self.processes.values():
            try:
                statuses.append(process.wait(60))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait(10))
        self.processes.clear()
        return statuses

    def status(self) -> dict[str, Any]:
        """`ocunet-pacs status --json`."""
        return json.loads(cli("status", "--json", "--config", self.config, check=False).stdout)

    def wait_until_idle(self, studies: int, seconds: float = 240) -> dict[str, Any]:
        """Return the status once at least `studies` analyses are done, and nothing is waiting or running."""

        def idle() -> dict[str, Any] | None:
            if not self._looks_idle(studies):
                return None
            status = self.status()
            jobs, deliveries = status["jobs"], status["deliveries"]
            assert jobs is not None, status
            moving = sum(counts[state] for counts in (jobs, deliveries) for state in ("waiting", "running"))
            return status if jobs["done"] >= studies and not moving else None

        return wait_until(idle, f"{studies} studies to be analysed and delivered", seconds)

    def _looks_idle(self, studies: int) -> bool:
        """By the queue's rows alone: a program that starts anew at every look takes a processor from the daemon."""
        engine = open_engine(self.database)
        try:
            counts = SqlJobs(engine).counts()
        finally:
            engine.dispose()
        of_a_study = (JobKind.ANALYSE, JobKind.DELIVER)
        moving = sum(
            counts.get((kind, state), 0) for kind in of_a_study for state in (JobState.WAITING, JobState.RUNNING)
        )
        return counts.get((JobKind.ANALYSE, JobState.DONE), 0) >= studies and not moving

    def log_text(self) -> str:
        """Everything that was logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
