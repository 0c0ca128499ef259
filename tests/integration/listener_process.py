"""A listener in a process of its own, to be killed: `python -m tests.integration.listener_process FOLDER`.

Prints its port once it is ready, and receives into FOLDER until somebody ends it.
"""

from __future__ import annotations

import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.intake.scp import Listener, ListenerConfig
from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger


def main(folder: Path) -> None:
    listener = Listener(
        ListenerConfig(ae_title="OCUNET", host="127.0.0.1", port=0, min_free_bytes=0),
        Files(folder / "store"),
        FileLedger(folder / "rows.db"),
        read_header=read_header,
        now=lambda: datetime.now(UTC),
        new_token=lambda: uuid.uuid4().hex,
    )
    listener.start()
    sys.stdout.write(f"port {listener.port}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
