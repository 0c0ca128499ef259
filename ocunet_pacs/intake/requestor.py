"""An association to an archive, over which objects may come back as they come to the listener: spooled to a file."""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, cast

import structlog
from pynetdicom import AE
from pynetdicom.transport import AssociationSocket

from ocunet_pacs.domain.errors import ArchiveError, ArchiveMisconfigured, ArchiveUnavailable, OcunetError
from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ocunet_pacs.intake.wire import MAX_PDU, SpoolingProvider, quiet_pynetdicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ssl import SSLContext
    from typing import Any

    from pynetdicom.association import Association
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.presentation import PresentationContext
    from pynetdicom.transport import T_CONNECT, AddressInformation

    from ocunet_pacs.intake.reception import Reception
    from ocunet_pacs.intake.server import Acceptor

_LARGEST_PDU_READ = 4 * MAX_PDU


@dataclass(frozen=True, slots=True)
class ArchivePeer:
    """One archive. `timeout` is how long it may stay silent: connecting, negotiating, between two messages."""

    name: str
    ae_title: str
    host: str
    port: int
    timeout: timedelta = timedelta(seconds=60)
    by_move: bool = False
    """Retrieve with C-MOVE to our AE title, instead of C-GET."""
    match_modalities: bool = True
    """Whether it may be asked by Modalities in Study (0008,0061)."""
    quiet_period: timedelta = timedelta(seconds=10)
    """How long a study must stay quiet after an object from there to count as complete."""

    @property
    def source(self) -> SourceRule:
        """Where the ledger and the counts say that its objects came from."""
        return SourceRule(name=self.name, ae_title=self.ae_title, quiet_period=self.quiet_period)


class _Socket(AssociationSocket):
    """Keeps a time-out once it is connected, reads in large blocks, and closes for certain.

    pynetdicom takes the time-out away, and a peer that stalls inside a PDU would hold us for ever; it reads 4,096 bytes
    at a time; and it leaves sockets open whose peer closed first.
    """

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, by pynetdicom; its result is in `primitive`."""
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.assoc.network_timeout)

    def recv(self, nr_bytes: int) -> bytearray:
        """As many bytes, or fewer when the peer closed the connection. OSError, TimeoutError included."""
        if nr_bytes > _LARGEST_PDU_READ:
            raise OSError(errno.EMSGSIZE, "the peer announced a PDU far beyond the negotiated size")
        if self.socket is None:
            raise OSError(errno.ENOTCONN, "the connection is closed")
        buffer = bytearray(nr_bytes)
        received = 0
        with memoryview(buffer) as view:
            while received < nr_bytes:
                count = self.socket.recv_into(view[received:])
                if count == 0:
                    break
                received += count
        del buffer[received:]
        return buffer

    def _shutdown_socket(self) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)
            self.socket.close()


class _Provider(SpoolingProvider):
    """Spools on an association that we asked for."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process a piece of a message. One that cannot be understood aborts the association, not the thread."""
        try:
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - the bytes are the peer's; its association ends, nothing else does
            structlog.get_logger().warning("association_aborted", reason="a message broke the protocol", exc_info=error)
            self.dul.event_queue.put("Evt19")

    def get_msg(self, block: bool = False) -> _QueueItem:  # noqa: FBT001, FBT002 - pynetdicom's signature
        """The next message. Who does not want to wait looks, and leaves it to who does."""
        return super().get_msg(block) if block or not self.msg_queue.empty() else (None, None)


class _Requestor(AE):
    """Its associations spool what comes when there is a reception."""

    reception: Reception | None = None
    source: SourceRule

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        if self.reception is not None:
            # Of all that an acceptor has, a provider asks for nothing but the source of what comes.
            acceptor = cast("Acceptor", assoc)
            acceptor.source = self.source
            assoc.dimse = _Provider(acceptor, self.reception)
        connection = _Socket(assoc, address=address)
        connection.tls_args = tls_args
        return connection


@contextmanager
def associated(
    peer: ArchivePeer,
    calling_ae_title: str,
    contexts: Sequence[PresentationContext],
    *,
    reception: Reception | None = None,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, Callable[..., Any]]] = (),
    patience: float = 1.0,
) -> Iterator[Association]:
    """An established association, released afterwards.

    `patience` multiplies the time that may pass between two messages. ArchiveUnavailable when nobody answers or the
    association is rejected, ArchiveMisconfigured when none of `contexts` is accepted; in the body, ArchiveError for
    what the library raises. Our own errors pass through, and abort the association.
    """
    association = _associate(peer, calling_ae_title, contexts, reception, roles, handlers, patience)
    try:
        yield association
    except OcunetError:
        association.abort()
        raise
    except Exception as error:
        association.abort()
        raise ArchiveError(f"{peer.name}: unexpected {type(error).__name__} while talking to it") from error
    finally:
        if association.is_established:
            association.release()
        if isinstance(association.dimse, SpoolingProvider):
            association.dimse.abandon()


def _associate(
    peer: ArchivePeer,
    calling_ae_title: str,
    contexts: Sequence[PresentationContext],
    reception: Reception | None,
    roles: Sequence[Any],
    handlers: Sequence[tuple[Any, Callable[..., Any]]],
    patience: float,
) -> Association:
    quiet_pynetdicom()
    seconds = peer.timeout.total_seconds()
    ae = _Requestor(ae_title=calling_ae_title)
    ae.reception, ae.source = reception, peer.source
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.network_timeout = seconds
    ae.dimse_timeout = seconds * patience
    where = f"{peer.host} port {peer.port}"
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            max_pdu=MAX_PDU,
            ext_neg=list(roles),
            evt_handlers=list(handlers),
        )
    except OSError as error:
        # Names are resolved before anything else is tried.
        raise ArchiveUnavailable(f"{peer.name}: {where} cannot be reached; check host and network") from error
    if association.is_established:
        return association
    if association.is_rejected:
        raise ArchiveUnavailable(f"{peer.name}: {_rejection(association, peer, calling_ae_title)}")
    if association.rejected_contexts:
        raise ArchiveMisconfigured(f"{peer.name}: it does not offer the query and retrieve service that was asked for")
    raise ArchiveUnavailable(
        f"{peer.name}: no answer from {where}; check that the archive runs, and host, port and firewall"
    )


def _rejection(association: Association, peer: ArchivePeer, calling_ae_title: str) -> str:
    """What a rejection (PS3.8 table 9-21) asks a person to do."""
    answer = association.acceptor.primitive
    source, diagnostic = getattr(answer, "result_source", None), getattr(answer, "diagnostic", None)
    if (source, diagnostic) == (1, 3):
        return f"it does not know our AE title {calling_ae_title}; add it there"
    if (source, diagnostic) == (1, 7):
        return f"it is not called {peer.ae_title}; check the AE title"
    if source == 3:
        return "it rejects associations for now (too many, or congested)"
    return "it rejected the association"
