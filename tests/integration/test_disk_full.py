"""The disk is full, at a hundred different bytes: what was acknowledged stays, everybody else is told to come again."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.small_disk import small_disk
from tests.integration.upper_layer import EXPLICIT, Peer, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Receiver
    from tests.integration.small_disk import SmallDisk

POINTS = 100
SEED = 20260303
PHOTOGRAPH = (OP_8_BIT, EXPLICIT)
SENT_AT_A_POINT = 4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", megabytes=24) as mounted:
        yield mounted


@pytest.fixture
def receiver_on(start: Callable[..., Receiver]) -> Callable[[SmallDisk], Receiver]:
    """A listener whose store and database both lie on the disk."""
    return lambda disk: start(files=Files(disk.root / "store"), ledger=FileLedger(disk.root / "database" / "rows.db"))


@pytest.mark.timeout(300)
def test_a_disk_that_fills_up_at_a_hundred_points(
    disk: SmallDisk, receiver_on: Callable[[SmallDisk], Receiver]
) -> None:
    receiver, dice = receiver_on(disk), random.Random(SEED)
    acknowledged: dict[str, bytes] = {}
    refused = 0
    for point in range(POINTS):
        # From nothing at all up to more than the objects need: the disk ends in the file, in the folder, in the
        # write-ahead log, or not at all.
        if point % 2:
            # The next connection finds no write-ahead log and no shared memory, and must make them.
            receiver.ledger.engine.dispose()
        disk.leave(free=dice.randrange(160 << 10))
        objects = [photograph(rows=dice.randrange(1, 100), columns=100) for _ in range(SENT_AT_A_POINT)]
        with Peer(receiver.port, [PHOTOGRAPH]) as peer:
            for ds in objects:
                status, comment = peer.store(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds))
                assert status in (0x0000, 0xA700), (point, hex(status), comment)
                if status == 0:
                    acknowledged[ds.SOPInstanceUID] = encoded(ds)
                else:
                    refused += 1
            assert peer.echo() == 0
            assert receiver.half_received() == []
            # Room again: the same association goes on, and what was refused is taken.
            disk.empty()
            for ds in objects:
                if ds.SOPInstanceUID not in acknowledged:
                    status, comment = peer.store(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds))
                    assert status == 0, (point, hex(status), comment)
                    acknowledged[ds.SOPInstanceUID] = encoded(ds)
        if point % 20 == 0:
            assert echo(receiver.port)
    assert POINTS / 2 < refused < POINTS * SENT_AT_A_POINT
    everything_is_there(receiver, acknowledged)


def everything_is_there(receiver: Receiver, acknowledged: dict[str, bytes]) -> None:
    rows = {row["sop_instance_uid"]: row for row in receiver.ledger.rows()}
    assert set(rows) == set(acknowledged)
    for uid, row in rows.items():
        content = receiver.files.path(row["file_key"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row["size_bytes"], row["sha256"])
        assert content.endswith(acknowledged[uid])
    assert set(receiver.stored()) == {receiver.files.path(row["file_key"]) for row in rows.values()}
    assert receiver.half_received() == []
