"""One installation with everything around it: services, database, archives, a disk of its own, a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.daemon import cli
from tests.dcmtk import HOST, free_port
from tests.integration.faulty_pacs import FaultyPacs, running
from tests.integration.small_disk import SmallDisk, small_disk
from tests.soak.archive import Archive
from tests.soak.clock import Clock
from tests.soak.database import Database
from tests.soak.services import Service, ocunet
from tests.units import values

if TYPE_CHECKING:
    from pathlib import Path

DISK_MEGABYTES = 1024
LEASE_SECONDS = 20
MIN_FREE, KEEP_FREE = 16 << 20, 64 << 20
SECOND = "work-second"
START_SECONDS = 900.0
MARK = "X_OCUNET_SOAK"
"""Environment variable by which a process that is left is known."""
_WRITE_BUNDLE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ocunet_pacs.model.untrained import write_untrained_bundle
write_untrained_bundle(Path(sys.argv[1]), datetime(2026, 1, int(sys.argv[2]), tzinfo=UTC))
"""


class Site:
    """Everything, started; `close` ends all of it."""

    def __init__(self, folder: Path, cameras: list[str]) -> None:
        folder.mkdir(parents=True)
        self.folder, self.cameras = folder, cameras
        self._stack = ExitStack()
        self.clock = Clock()
        self._stack.callback(self.clock.close)
        self.database = Database(self.clock.environment)
        self._stack.callback(self.database.close)
        self.archive = Archive(folder / "orthanc")
        self._stack.callback(self.archive.stop)
        self.port, self.console_port = free_port(), free_port()
        self.busy_archive = self._stack.enter_context(running(FaultyPacs(event_port=self.port)))
        self.disk = self._small_disk(folder / "disk")
        self.store = (self.disk.root if self.disk else folder) / "store"
        self.reloads = "notify-reload" in values("ocunet-pacs.service", "Type")
        self.bundles = [folder / "bundle-1", folder / "bundle-2"][: 1 + self.reloads]
        for number, bundle in enumerate(self.bundles, 1):
            _write_bundle(bundle, number)
        self.active = folder / "bundle"
        self.point_to(0)
        self.config, self.logs = folder / "ocunet-pacs.yaml", [folder / "serve.log", folder / "work.log"]
        self.write_settings()
        cli("db", "upgrade", "--config", self.config)
        self.serve = self._service("serve", "ocunet-pacs.service", self.logs[0], {"OCUNET_PACS_ROLE": "serve"})
        self.second = self._service("work", "ocunet-pacs-worker@.service", self.logs[1], {"OCUNET_PACS_ROLE": SECOND})

    @property
    def services(self) -> list[Service]:
        return [self.serve, self.second]

    def start(self) -> None:
        for service in self.services:
            service.start()
        for service in self.services:
            if not service.ready.wait(START_SECONDS):
                raise SystemExit(f"{service.name} is not ready: {service.log.read_text(errors='replace')[-3000:]}")

    def close(self) -> None:
        for service in self.services:
            service.close()
        self._stack.close()

    def point_to(self, number: int) -> None:
        """Let the active bundle be one of the two, in one step."""
        fresh = self.folder / "bundle.new"
        fresh.symlink_to(self.bundles[number], target_is_directory=True)
        fresh.replace(self.active)

    def write_settings(self, *, level: str = "info", without: str = "") -> None:
        """The settings file, in one step. `without`: a camera that is not let in."""
        sources = [{"name": name.lower(), "ae_title": name} for name in self.cameras if name != without]
        sources.append({"name": "archive", "ae_title": "FAULTY"})
        tree: dict[str, Any] = {
            "dicom": {"ae_title": "OCUNET", "host": HOST, "port": self.port, "only_listed_sources": True},
            "sources": sources,
            "database": {"url": self.database.url},
            "store": {"path": str(self.store), "min_free": f"{MIN_FREE >> 20} MiB"},
            "retention": {"keep_free": f"{KEEP_FREE >> 20} MiB"},
            "model": {"bundle": str(self.active), "device": "cpu", "allow_untrained": True},
            "assembly": {"quiet_period": "2s"},
            "jobs": {"lease": f"{LEASE_SECONDS}s", "unavailable_delay": "5s"},
            "metrics": {"port": 0},
            "console": {"port": self.console_port},
            "logging": {"level": level, "format": "json"},
            "destinations": [
                {
                    "name": "pacs",
                    "ae_title": "ORTHANC",
                    "host": HOST,
                    "port": self.archive.port,
                    "heatmap_encoding": "jpeg",
                    "timeout": "10s",
                },
                {
                    "name": "committing",
                    "ae_title": "FAULTY",
                    "host": HOST,
                    "port": self.busy_archive.port,
                    "results": ["report"],
                    "heatmap_encoding": "jpeg",
                    "commitment": True,
                    "commitment_timeout": "30s",
                    "timeout": "10s",
                },
            ],
        }
        fresh = self.config.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(tree))
        fresh.replace(self.config)

    def status(self) -> dict[str, Any]:
        """What `ocunet-pacs status --json` says."""
        answer: dict[str, Any] = json.loads(cli("status", "--json", "--config", self.config, check=False).stdout)
        return answer

    def _service(self, name: str, unit: str, log: Path, environment: dict[str, str]) -> Service:
        more = {
            **self.clock.environment,
            **environment,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            MARK: str(self.folder),
        }
        return Service(name, unit, ocunet(name, config=self.config), log, more)

    def _small_disk(self, folder: Path) -> SmallDisk | None:
        """None without the right to mount."""
        try:
            return self._stack.enter_context(small_disk(folder, DISK_MEGABYTES))
        except (pytest.skip.Exception, pytest.fail.Exception):
            return None


def _write_bundle(folder: Path, day: int) -> None:
    """In a process of its own: torch is large, and this process must leave the machine to the daemon."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", _WRITE_BUNDLE, str(folder), str(day)], check=True)
