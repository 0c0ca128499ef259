"""An association to an archive, over which objects may come back as they come to the listener: spooled to a file."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pynetdicom import AE

from ocunet_pacs.domain.errors import ArchiveError, ArchiveMisconfigured, ArchiveUnavailable, OcunetError
from ocunet_pacs.intake.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ocunet_pacs.intake.wire import MAX_PDU, BlockSocket, SpoolingProvider, quiet_pynetdicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ssl import SSLContext
    from typing import Any

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext
    from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

    from ocunet_pacs.intake.reception import Reception


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


class _Socket(BlockSocket):
    """Keeps a time-out once it is connected: a peer that stalls inside a PDU would hold us for ever."""

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect; what pynetdicom then sets, no time-out, is set back."""
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.assoc.network_timeout)


class _Requestor(AE):
    """Its associations read in large blocks, and spool what comes when there is a reception."""

    reception: Reception | None = None

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        if self.reception is not None:
            assoc.dimse = SpoolingProvider(assoc, self.reception)
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
    ae.reception = reception
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
