"""A listener that is killed while it receives: what it acknowledged is there, whole, with its row."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.store.files import Files
from tests.conftest import PROJECT
from tests.integration.ledgers import FileLedger
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.raw_sender import association, send_bytes

if TYPE_CHECKING:
    from pathlib import Path

SENDERS = 3
KILLED_AFTER = 20


def test_every_acknowledged_object_survives_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.listener_process", str(tmp_path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    acknowledged: list[str] = []
    enough, killed = threading.Event(), threading.Event()
    try:
        port = next(int(line.split()[1]) for line in process.stdout if line.startswith("port "))

        def send_until_it_breaks() -> None:
            ds = photograph(rows=256, columns=256)
            content, template = encoded(ds), str(ds.SOPInstanceUID)
            number = 0
            with association(port, OP_8_BIT) as peer:
                while not killed.is_set():
                    number += 1
                    # Another instance of the same length: digits of the UID are exchanged in place.
                    uid = template[:-6] + f"{number:06d}"
                    try:
                        status, _ = send_bytes(peer, OP_8_BIT, uid, content.replace(template.encode(), uid.encode()))
                    except (AssertionError, RuntimeError):
                        return
                    assert status == 0x0000
                    acknowledged.append(uid)
                    if len(acknowledged) >= KILLED_AFTER:
                        enough.set()

        senders = [threading.Thread(target=send_until_it_breaks) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        assert enough.wait(60)
        process.kill()
        killed.set()
        for sender in senders:
            sender.join(60)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()

    files = Files(tmp_path / "store")
    ledger = FileLedger(tmp_path / "database" / "rows.db")
    rows = {row["sop_instance_uid"]: row for row in ledger.rows()}
    ledger.close()
    assert len(acknowledged) >= KILLED_AFTER
    assert set(acknowledged) <= set(rows)
    for row in rows.values():
        content = files.path(row["file_key"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (row["size_bytes"], row["sha256"])
    # What was under way has no name, and goes at the next start.
    files.clean_incoming(before=datetime.now(UTC) + timedelta(hours=1))
    assert list(files.incoming.iterdir()) == []
