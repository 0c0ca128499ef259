"""A listener that is killed while it receives, again and again: what it acknowledged is there, whole, with its row."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger
from tests.integration.listener_process import starter
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.upper_layer import EXPLICIT, ConnectionLost, Peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.listener_process import Running

KILLS = 25
SENDERS = 3
SEED = 20260304
PHOTOGRAPH = (OP_8_BIT, EXPLICIT)


class Camera:
    """Sends photographs one after the other, and each until it is acknowledged, as a camera's outbox does."""

    def __init__(self) -> None:
        ds = photograph(rows=128, columns=256)
        self._content, self._uid = encoded(ds), str(ds.SOPInstanceUID)
        self._number = 0
        self.acknowledged: list[str] = []

    def object(self, uid: str) -> bytes:
        """Another instance of the same length: digits of the UID are exchanged in place."""
        return self._content.replace(self._uid.encode(), uid.encode())

    def send_until_it_breaks(self, port: int) -> None:
        try:
            with Peer(port, [PHOTOGRAPH]) as peer:
                while True:
                    uid = self._uid[:-6] + f"{self._number:06d}"
                    assert peer.store(PHOTOGRAPH, uid, self.object(uid)) == (0x0000, "")
                    self.acknowledged.append(uid)
                    self._number += 1
        except (ConnectionLost, ConnectionError):
            return


@pytest.mark.timeout(300)
def test_every_acknowledged_object_survives_every_kill(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    cameras = [Camera() for _ in range(SENDERS)]
    site = tmp_path / "site"
    site.mkdir()
    with starter(site) as start:
        for _ in range(KILLS):
            receive_until_killed(start(), cameras, objects=dice.randrange(1, 20), pause=dice.random() * 0.02)
    check(site, cameras)


def receive_until_killed(listener: Running, cameras: list[Camera], objects: int, pause: float) -> None:
    """Killed a moment after it acknowledged so many more objects."""
    before = sum(len(camera.acknowledged) for camera in cameras)
    senders = [threading.Thread(target=camera.send_until_it_breaks, args=(listener.port,)) for camera in cameras]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 60
    while sum(len(camera.acknowledged) for camera in cameras) < before + objects and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(pause)
    listener.kill()
    for sender in senders:
        sender.join(60)
    assert sum(len(camera.acknowledged) for camera in cameras) >= before + objects


def check(site: Path, cameras: list[Camera]) -> None:
    files = Files(site / "store")
    ledger = FileLedger(site / "database" / "rows.db")
    rows = {row["sop_instance_uid"]: row for row in ledger.rows()}
    ledger.close()
    for camera in cameras:
        assert set(camera.acknowledged) <= set(rows)
        assert len(camera.acknowledged) == len(set(camera.acknowledged))
        for uid in camera.acknowledged:
            assert files.path(rows[uid]["file_key"]).read_bytes().endswith(camera.object(uid))
    for row in rows.values():
        content = files.path(row["file_key"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row["size_bytes"], row["sha256"])
    # What was under way has no name, and goes at a later start.
    files.clean_incoming(timedelta(hours=-1))
    assert list(files.incoming.iterdir()) == []
