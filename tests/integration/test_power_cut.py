"""The power is cut at two hundred moments: every acknowledged object is there, whole, with its row."""

from __future__ import annotations

import hashlib
import random
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, select, text

from ocunet_pacs.jobs.engine import for_reading, open_engine, transaction
from ocunet_pacs.jobs.schema import instances
from tests.conftest import program
from tests.integration.listener_process import running
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.power_cut import STRACE, Disk, read_calls
from tests.integration.upper_layer import EXPLICIT, Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.power_cut import Call

SENDERS = 3
OBJECTS = 360
"""Enough for the write-ahead log to be copied into the database (every thousand pages) while objects arrive."""
CUTS = 200
SEED = 20260302


@dataclass(frozen=True)
class Recording:
    """What happened: in which folder, the system calls, the objects that were sent by their UIDs."""

    site: Path
    calls: list[Call]
    sent: dict[str, bytes]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A listener's system calls while it receives, and what was sent to it."""
    program("strace")
    folder = tmp_path_factory.mktemp("recorded")
    site, trace = folder / "site", folder / "trace"
    site.mkdir()
    sent = record(site, trace)
    # An answer counts from the moment at which it begins to be sent.
    calls = sorted(read_calls(trace), key=lambda call: call.begun if call.name == "sendto" else call.ended)
    return Recording(site, calls, sent)


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_two_hundred_power_cuts(recorded: Recording, tmp_path: Path) -> None:
    calls, dice = recorded.calls, random.Random(SEED)
    # From the first answer on; half of the cuts come right after an answer, the worst moment for a promise.
    answers = [number for number, call in enumerate(calls) if call.name == "sendto"]
    cuts = sorted(
        [*dice.choices(answers, k=CUTS // 2), *(dice.randrange(answers[0], len(calls)) for _ in range(CUTS // 2))]
    )
    disk, position, kept = Disk(str(recorded.site)), 0, 0
    for cut in cuts:
        for call in calls[position : cut + 1]:
            disk.replay(call)
        position = cut + 1
        for chance in (None, dice):
            check(disk, chance, recorded.sent, tmp_path / "restored")
        kept += len(acknowledged(disk))
    assert kept > CUTS * OBJECTS / 10, "the cuts came while objects were acknowledged"
    assert any(call.name == "pwrite64" and call.path.endswith("rows.db") for call in calls[answers[0] :]), (
        "the write-ahead log was copied into the database"
    )


@pytest.mark.peers
@pytest.mark.parametrize(
    "forgotten",
    [
        lambda call: call.name == "fdatasync",
        lambda call: call.name == "fsync" and call.path.endswith(".part"),
        lambda call: call.name == "fsync" and "/instances/" in call.path,
    ],
    ids=["database", "files", "folders"],
)
def test_the_replay_sees_a_synchronisation_that_was_forgotten(
    forgotten: Callable[[Call], bool], recorded: Recording, tmp_path: Path
) -> None:
    disk = Disk(str(recorded.site))
    for call in recorded.calls:
        if not forgotten(call):
            disk.replay(call)
    with pytest.raises((AssertionError, KeyError)):
        check(disk, None, recorded.sent, tmp_path / "restored")


def record(site: Path, trace: Path) -> dict[str, bytes]:
    """Send objects to a listener that strace watches: what was sent, by SOP Instance UID."""
    batches = [[photograph(rows=8, columns=16) for _ in range(OBJECTS // SENDERS)] for _ in range(SENDERS)]
    sent = {str(ds.SOPInstanceUID): encoded(ds) for batch in batches for ds in batch}
    with running(site, under=(*STRACE, "-o", str(trace))) as listener:

        def send(uids: list[str]) -> None:
            with Peer(listener.port, [(OP_8_BIT, EXPLICIT)]) as peer:
                for uid in uids:
                    assert peer.store((OP_8_BIT, EXPLICIT), uid, sent[uid])[0] == 0

        senders = [threading.Thread(target=send, args=([str(ds.SOPInstanceUID) for ds in b],)) for b in batches]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    return sent


def acknowledged(disk: Disk) -> set[str]:
    return {uid for uid, status in disk.answered.items() if status == 0}


def check(disk: Disk, chance: random.Random | None, sent: dict[str, bytes], folder: Path) -> None:
    """Put back what lies on the disk, open the database as the listener does, and look for every promise."""
    found = disk.after_cut(chance)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("rows.db", "rows.db-wal", "rows.db-journal"):
        if f"database/{name}" in found:
            (folder / name).write_bytes(found[f"database/{name}"])
    engine = open_engine(f"sqlite:///{folder / 'rows.db'}")
    with transaction(for_reading(engine)) as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        tables = inspect(connection).get_table_names()
        assert "instances" in tables
        rows = [row._asdict() for row in connection.execute(select(instances))]
    engine.dispose()
    assert acknowledged(disk) <= {row["sop_instance_uid"] for row in rows}
    for row in rows:
        # Also where nobody was told: a row without its file would be an image that every resend finds "there already".
        content = found["store/" + row["file_key"]]
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row["size_bytes"], row["sha256"])
        assert content.endswith(sent[row["sop_instance_uid"]])
