"""Archives that commit, each in its own way, and a ledger that keeps what they say."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context, build_role

from ocunet_pacs.delivery.wire import Requestor
from ocunet_pacs.imaging.commitment import SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAXES
from tests.dcmtk import HOST
from tests.integration.ledgers import FileLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pynetdicom.association import Association

    from ocunet_pacs.domain.result import Commitment


class CommittedLedger(FileLedger):
    """Knows some transactions, and keeps what is said of them."""

    def __init__(self, path: Path, *known: str) -> None:
        super().__init__(path)
        self.known = set(known)
        self.said: list[Commitment] = []
        self.trouble: Exception | None = None

    def record_commitment(self, commitment: Commitment, now: datetime) -> int:
        if self.trouble is not None:
            raise self.trouble
        if commitment.transaction_uid not in self.known:
            return 0
        self.said.append(commitment)
        return len(commitment.committed) + len(commitment.failed)


def event_information(transaction: str, committed: Iterable[str] = (), failed: dict[str, int] | None = None) -> Dataset:
    """What an archive reports (PS3.4 table J.3-2)."""
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = [_reference(uid) for uid in committed]
    if failed is not None:
        ds.FailedSOPSequence = [_reference(uid, reason) for uid, reason in failed.items()]
    return ds


def _reference(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", uid
    if reason is not None:
        item.FailureReason = reason
    return item


@contextmanager
def reporting(
    port: int,
    *,
    calling: str = "ARCHIVE",
    roles: tuple[bool, bool] | None = (False, True),
    contexts: Iterable[str] = (),
    **settings: Any,
) -> Iterator[Association]:
    """An association of an archive with the listener at a port, over which it may report.

    `roles`: whether it proposes to be the user, and the provider; None: it proposes nothing. `settings`: TLS and so on.
    """
    ae = Requestor(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    association = ae.associate(
        HOST,
        port,
        contexts=[build_context(SOP_CLASS, list(TRANSFER_SYNTAXES)), *(build_context(other) for other in contexts)],
        ae_title="OCUNET",
        ext_neg=[] if roles is None else [build_role(SOP_CLASS, *roles)],
        **settings,
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def report(association: Association, information: Dataset, event_type: int = 1) -> int | None:
    """Report over an association; the status of the answer, None where none came."""
    answer, _ = association.send_n_event_report(information, event_type, SOP_CLASS, SOP_INSTANCE)
    return answer.get("Status")


@dataclass
class Archive:
    """A running archive: what it was asked, and how its reports were answered."""

    port: int
    status: int = 0x0000
    """Of its answers to requests."""
    asked: list[Dataset] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    roles: list[Any] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    aborted: threading.Event = field(default_factory=threading.Event)


@contextmanager
def archive(
    then: Callable[[Association, Dataset, Archive], object] | None = None,
    *,
    meanwhile: Callable[[Association, Dataset, Archive], object] | None = None,
    **settings: Any,
) -> Iterator[Archive]:
    """One that takes requests: what it does before it answers one (`meanwhile`), and after that (`then`)."""
    threads: list[threading.Thread] = []
    connections: list[Any] = []

    def on_action(event: evt.Event) -> tuple[int, None]:
        connections.append(event.assoc.dul.socket.socket)
        found.asked.append(event.action_information)
        found.contexts.append(str(event.context.transfer_syntax))
        found.roles.append(event.assoc.requestor.role_selection)
        if meanwhile is not None:
            meanwhile(event.assoc, found.asked[-1], found)
        if then is not None:
            threads.append(threading.Thread(target=_later, args=(then, event.assoc, found.asked[-1], found)))
            threads[-1].start()
        return found.status, None

    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(settings.pop("sop_class", SOP_CLASS), settings.pop("syntaxes", list(TRANSFER_SYNTAXES)))
    for name, value in settings.items():
        setattr(ae, name, value)
    handlers = [
        (evt.EVT_N_ACTION, on_action),
        (evt.EVT_RELEASED, lambda _event: found.released.set()),
        (evt.EVT_ABORTED, lambda _event: found.aborted.set()),
    ]
    server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    found = Archive(server.server_address[1])
    try:
        yield found
    finally:
        for thread in threads:
            thread.join(30)
        ae.shutdown()
        for connection in connections:
            connection.close()  # pynetdicom leaves it open when the other end closed first


def _later(then: Callable[..., object], association: Association, asked: Dataset, found: Archive) -> None:
    time.sleep(0.1)  # the request's answer goes first
    with suppress(RuntimeError, ValueError):  # the association is over
        then(association, asked, found)


def commits(association: Association, asked: Dataset, found: Archive) -> None:
    """Report on the same association that everything is kept."""
    uids = [item.ReferencedSOPInstanceUID for item in asked.ReferencedSOPSequence]
    found.answers.append(report(association, event_information(asked.TransactionUID, uids)))
