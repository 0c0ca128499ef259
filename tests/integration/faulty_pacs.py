"""An archive that misbehaves, by a seed: busy, cut off in mid-object, forgetful; and it commits to what it kept."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from ocunet_pacs.imaging.commitment import SOP_CLASS, TRANSFER_SYNTAXES
from tests.dcmtk import HOST
from tests.integration.committing import event_information, report, reporting

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SUCH_OBJECT = 0x0112


@dataclass
class FaultyPacs:
    """What it kept, how often it was sent each object, and how it misbehaves (as chances)."""

    busy: float = 0.0
    forgets: float = 0.0
    event_port: int = 0
    """Of the listener that is told what it commits to; 0: nobody is told."""
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    kept: dict[str, bytes] = field(default_factory=dict)
    acknowledged: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    port: int = 0
    changed: set[str] = field(default_factory=set)
    """Objects that came twice with different content: there must be none."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def store(self, event: evt.Event) -> int:
        with self._lock:
            if self.dice.random() < self.busy:
                return 0xA700
            uid, content = str(event.request.AffectedSOPInstanceUID), bytes(event.request.DataSet.getvalue())
            self.acknowledged[uid] += 1
            self.order.append(uid)
            if self.dice.random() < self.forgets:
                self.kept.pop(uid, None)
                return 0x0000
            if self.kept.get(uid, content) != content:
                self.changed.add(uid)
            self.kept[uid] = content
            return 0x0000

    def commit(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        if self.event_port:
            threading.Thread(target=self._report, args=(asked,), daemon=True).start()
        return 0x0000, None

    def _report(self, asked: Dataset) -> None:
        uids = [str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence]
        with self._lock:
            gone = {uid: NO_SUCH_OBJECT for uid in uids if uid not in self.kept}
        information = event_information(asked.TransactionUID, [uid for uid in uids if uid not in gone], gone or None)
        with suppress(Exception), reporting(self.event_port, calling="FAULTY") as association:
            report(association, information, 2 if gone else 1)


@contextmanager
def running(pacs: FaultyPacs, port: int = 0) -> Iterator[FaultyPacs]:
    """Let it listen on a free port until the block ends."""
    ae = AE(ae_title="FAULTY")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(SOP_CLASS, list(TRANSFER_SYNTAXES))
    handlers = [(evt.EVT_C_STORE, pacs.store), (evt.EVT_N_ACTION, pacs.commit)]
    server = ae.start_server((HOST, port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        ae.shutdown()


@contextmanager
def cutting(port: int, chance: float, seed: int = 1, largest: int = 200_000) -> Iterator[int]:
    """A way to the port on which a connection is cut, with some chance, after some number of bytes; its own port."""
    dice = random.Random(seed)
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    here, _ = server.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                budget = dice.randrange(largest) if dice.random() < chance else None
                try:
                    there = socket.create_connection((HOST, port), 5)
                except OSError:
                    here.close()
                    continue
                done = threading.Event()
                for one, other, limit in ((here, there, budget), (there, here, None)):
                    threading.Thread(target=_pump, args=(one, other, limit, done), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join(5)


def _pump(one: socket.socket, other: socket.socket, limit: int | None, done: threading.Event) -> None:
    """Bytes from one to the other until either ends, or until `limit` of them went through."""
    passed = 0
    with suppress(OSError):
        while not done.is_set():
            chunk = one.recv(16384)
            if not chunk:
                break
            if limit is not None and passed + len(chunk) > limit:
                other.sendall(chunk[: limit - passed])
                break
            other.sendall(chunk)
            passed += len(chunk)
    done.set()
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
