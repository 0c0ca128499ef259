"""A storage SCP of our own that takes what it is told to take, answers what it is told to, and counts associations."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from tests.dcmtk import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pynetdicom.association import Association


@dataclass
class SmallArchive:
    """What it received (data sets with their file meta information), and who came."""

    port: int = 0
    received: list[pydicom.Dataset] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)
    released: int = 0

    @property
    def uids(self) -> list[str]:
        return [str(ds.SOPInstanceUID) for ds in self.received]

    def open_associations(self) -> int:
        return sum(association.is_established for association in self.associations)

    def wait_until_empty(self) -> None:
        for _ in range(400):
            if not self.open_associations():
                return
            time.sleep(0.05)
        raise TimeoutError("an association is still open")


@contextmanager
def small_archive(
    takes: Mapping[str, tuple[str, ...]],
    on_store: Callable[[evt.Event, SmallArchive], int] = lambda event, archive: 0x0000,
    **settings: Any,
) -> Iterator[SmallArchive]:
    """Runs until the block ends. `takes`: SOP class -> transfer syntaxes, each in a context of its own or any."""
    archive = SmallArchive()
    lock = threading.Lock()

    def store(event: evt.Event) -> Dataset:
        buffer = BytesIO(event.encoded_dataset())
        with lock:
            archive.received.append(pydicom.dcmread(buffer))
        status = Dataset()
        status.Status = on_store(event, archive)
        return status

    def accepted(event: evt.Event) -> None:
        archive.associations.append(event.assoc)

    sockets = []

    def connected(event: evt.Event) -> None:
        sockets.append(event.assoc.dul.socket.socket)

    def released(event: evt.Event) -> None:
        archive.released += 1

    ae = AE(ae_title="ARCHIVE")
    ae.supported_contexts = [build_context(kind, list(syntaxes)) for kind, syntaxes in takes.items()]
    ae.add_supported_context("1.2.840.10008.1.1")
    for name, value in settings.items():
        setattr(ae, name, value)
    handlers: list[Any] = [(evt.EVT_C_STORE, store), (evt.EVT_ACCEPTED, accepted), (evt.EVT_RELEASED, released)]
    handlers.append((evt.EVT_CONN_OPEN, connected))
    server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
    assert server is not None
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        ae.shutdown()
        # pynetdicom leaves those open whose other end closed first.
        for connection in sockets:
            connection.close()
