"""The archives that results go to: an Orthanc that stops, freezes and comes back, and one that is busy and forgets."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from tests.dcmtk import free_port
from tests.orthanc import Orthanc, orthanc

if TYPE_CHECKING:
    from pathlib import Path

SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."


class Archive:
    """Orthanc on one port and folder. `peer` is None while it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.peer: Orthanc | None = None
        self._folder, self._stack = folder, ExitStack()
        self.start()

    def start(self) -> None:
        self.peer = self._stack.enter_context(orthanc(self._folder, dicom_port=self.port))

    def stop(self) -> None:
        self.peer = None
        self._stack.close()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.peer is not None
        os.kill(self.peer.process.pid, number)


@dataclass
class Arrivals:
    """Follows what is stored in Orthanc: `reports` and `pictures` are when each was seen (monotonic)."""

    archive: Archive
    reports: list[float] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._last = 0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _follow(self) -> None:
        while not self._over.wait(0.5):
            peer = self.archive.peer
            if peer is None:
                continue
            try:
                with httpx.Client(base_url=peer.url, timeout=5) as client:
                    while not self._over.wait(0.5) and peer is self.archive.peer:
                        self._look(client)
            except httpx.HTTPError:
                continue

    def _look(self, client: httpx.Client) -> None:
        changes = client.get("/changes", params={"since": self._last, "limit": 500}).raise_for_status().json()
        now = time.monotonic()
        for change in changes["Changes"]:
            if change["ChangeType"] == "NewInstance":
                sop_class = client.get(f"/instances/{change['ID']}/metadata/SopClassUid").text
                (self.reports if sop_class.startswith(SR_CLASSES) else self.pictures).append(now)
            self._last = change["Seq"]
