"""Accepts connections and gives each an association of its own: limits, TLS, and the parts that are ours."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from socketserver import BaseServer
from threading import Lock, current_thread
from typing import TYPE_CHECKING, Any

import structlog
from pydicom.uid import UID
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationServer

from ocunet_pacs.domain.audit import Alert, Party, SecurityAlert
from ocunet_pacs.imaging.commitment import SOP_CLASS as COMMITMENT
from ocunet_pacs.intake.access import UNLISTED, Rejection
from ocunet_pacs.intake.connection import BlockSocket
from ocunet_pacs.intake.contexts import VERIFICATION
from ocunet_pacs.intake.upper_layer import Gatekeeper, UpperLayer
from ocunet_pacs.intake.wire import SpoolingProvider

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.presentation import PresentationContext

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.intake.access import AccessRules, Places, SourceRule
    from ocunet_pacs.intake.reception import Reception

    _Request = socket.socket | tuple[bytes, socket.socket]

WAITING_ROOM = 64
"""Connections beyond the limit of associations that may be open while they are asking for one."""
_PAUSE = 0.5
"""Seconds before a connection is accepted again that there was no file descriptor for."""
_SENDERS_WORDS = frozenset(
    {"application_context", "protocol_version", "calling_ae_title", "address", "called_ae_title"}
)
"""Rejections that say something about the sender; the others are about how busy we are."""


@dataclass(slots=True)
class Entrance:
    """What the associations of a listener share."""

    rules: AccessRules
    """May become others while the listener runs; an association is judged once, by those of its beginning."""
    places: Places
    reception: Reception
    count: Count
    audit: Audit
    handshake_seconds: float


class Acceptor(Association):
    """An association that somebody else asked for, on a connection that was accepted."""

    def __init__(
        self, ae: ApplicationEntity, server: Server, connection: socket.socket, address: tuple[Any, ...]
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.name = f"AcceptorThread@{address[0]}"  # pynetdicom finds its acceptors by this beginning
        self._server: Server = server
        self._entrance = server.entrance
        self._connection = connection
        self.address = str(address[0])
        self.source: SourceRule = UNLISTED
        """Whose association this is, once it was let in."""
        self.commits_for = ""
        """The destination for which it may say what is committed to; "": none."""
        self.studies: set[str] = set()
        """Study Instance UIDs of what it brought that may be analysed."""
        self._inside = False
        self.upper_layer = self.dul = UpperLayer(self)
        self.acse = Gatekeeper(self)
        self.provider = self.dimse = SpoolingProvider(self, server.entrance.reception)
        # These also set the timers of the upper layer, which is another one now.
        self.acse_timeout, self.network_timeout = ae.acse_timeout, ae.network_timeout
        self.requestor.address_info = AddressInformation.from_tuple(address)
        self.acceptor.address_info = AddressInformation.from_tuple(server.server_address)
        self.acceptor.ae_title = server.ae_title
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.acceptor.supported_contexts = _copied(server.contexts)
        for event, handlers in server._handlers.items():  # noqa: SLF001 - as pynetdicom's own request handler does
            for handler, arguments in handlers if isinstance(handlers, list) else [handlers]:
                self.bind(event, handler, arguments)

    def run(self) -> None:
        """The association's whole life, in its own thread: a slow handshake holds up nobody else."""
        try:
            if self._handshake():
                self._connection.settimeout(self.network_timeout)
                self.set_socket(BlockSocket(self, self._connection))
                super().run()
        finally:
            self.upper_layer.close()
            self.provider.abandon()
            if self._inside:
                self._entrance.places.leave(self.source)
            with suppress(OSError):
                self._connection.close()
            self._server.forget(self)

    def _handshake(self) -> bool:
        """TLS, where the port has it; whether the peer may go on. A time-out covers the whole of it."""
        context = self._server.ssl_context
        if context is None:
            return True
        self._connection.settimeout(self._entrance.handshake_seconds)
        try:
            if not self._connection.recv(1, socket.MSG_PEEK):
                return False  # the probe of a load balancer
            self._connection = context.wrap_socket(self._connection, server_side=True)
        except OSError as error:
            reason = _tls_reason(error)
            structlog.get_logger().warning("tls_handshake_failed", address=self.address, reason=reason)
            self._entrance.audit(
                SecurityAlert(Alert.NODE_AUTHENTICATION, f"TLS handshake failed: {reason}", Party(address=self.address))
            )
            self._entrance.count("security_events", kind="tls_handshake")
            self._entrance.count("associations", outcome="rejected", reason="tls_handshake")
            return False
        return True

    def let_in(self, called_ae_title: str, calling_ae_title: str) -> Rejection | None:
        """Take a place among the associations, or say why not."""
        rules = self._entrance.rules
        judged = rules.judge(called_ae_title, calling_ae_title, self.address)
        if isinstance(judged, Rejection):
            return judged
        rejection = self._entrance.places.take(judged)
        if rejection is None:
            self.source, self._inside = judged, True
            self._entrance.count("associations", outcome="accepted", reason="")
            self.commits_for = rules.commits_for(calling_ae_title, self.address)
            self._note_unknown_committer()
            self.acceptor.supported_contexts = [
                cx for cx in self.acceptor.supported_contexts if self._may_use(str(cx.abstract_syntax))
            ]
        return rejection

    def _note_unknown_committer(self) -> None:
        """Log and count an archive that wants to report to us and is none that we ask: it may use another AE title."""
        role = self.requestor.role_selection.get(UID(COMMITMENT))
        if role is not None and role.scp_role and not self.commits_for:
            structlog.get_logger().warning(
                "commitment_not_taken",
                calling_ae_title=self.requestor.ae_title.strip(),
                address=self.address,
                hint="no destination that is asked to commit has this AE title, or it has another address",
            )
            self._alert(Alert.RESTRICTED_FUNCTION, "wants to report storage commitment and is asked for none")
            self._entrance.count("security_events", kind="unknown_committer")

    def _may_use(self, sop_class_uid: str) -> bool:
        """Whether who is at the other end may use a SOP class at all."""
        if sop_class_uid == COMMITMENT:
            return bool(self.commits_for)
        return sop_class_uid == VERIFICATION or not self.source.echo_only

    def _serve_request(self, msg: DimseServiceType, context_id: int) -> None:
        """Serve a request in this association's own thread, one after the other.

        pynetdicom starts a thread for each N-EVENT-REPORT, so that one that asks for something and is told something
        meanwhile does not wait for itself. We ask for nothing here.
        """
        if current_thread() is self:
            super()._serve_request(msg, context_id)
        else:
            self.provider.msg_queue.put((context_id, msg))

    def rejected(self, rejection: Rejection) -> None:
        """Log and count: the sender was told."""
        structlog.get_logger().warning(
            "association_rejected",
            calling_ae_title=self.requestor.ae_title.strip(),
            address=self.address,
            reason=rejection.word,
            codes=f"{rejection.result},{rejection.source},{rejection.diagnostic}",
        )
        self._entrance.count("associations", outcome="rejected", reason=rejection.word)
        if rejection.word in _SENDERS_WORDS:
            self._alert(Alert.NODE_AUTHENTICATION, f"association rejected: {rejection.word}")
            self._entrance.count("security_events", kind=f"unknown_{rejection.word}")

    def _alert(self, alert: Alert, description: str) -> None:
        sender = Party(self.source.name, self.requestor.ae_title.strip(), self.address)
        self._entrance.audit(SecurityAlert(alert, description, sender))


class Server(AssociationServer):
    """Accepts in one thread, and never waits there for a peer."""

    request_queue_size = 128
    entrance: Entrance
    share_port = False

    @classmethod
    def for_entrance(cls, entrance: Entrance, *, share_port: bool) -> type[Server]:
        """The class whose instances let in by `entrance`; `AE.make_server` makes the instance."""
        return type("EntranceServer", (cls,), {"entrance": entrance, "share_port": share_port})

    @property
    def active_associations(self) -> list[Association]:
        """Everybody who is connected. pynetdicom looks through all threads of the process."""
        with self._lock:
            return list(self._present)

    def server_bind(self) -> None:
        """Bind, together with other processes where the port is shared: the kernel deals connections out among them."""
        self._present: set[Acceptor] = set()
        self._lock = Lock()
        if self.share_port:
            assert self.socket is not None
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection, as it is: pynetdicom would do the TLS handshake here and let everybody else wait."""
        assert self.socket is not None
        try:
            connection, address = self.socket.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                # The connection stays in the queue, and this is called again at once.
                structlog.get_logger().error("connection_not_accepted", reason="no file descriptor is left")
                time.sleep(_PAUSE)
            raise
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, _request: _Request, client_address: tuple[Any, ...]) -> bool:
        """Whether there is room for a connection at all; one too many is closed without a word."""
        with self._lock:
            present = len(self._present)
        if present < self.entrance.rules.max_associations + WAITING_ROOM:
            return True
        structlog.get_logger().warning("connection_closed", address=str(client_address[0]), reason="too many are open")
        self.entrance.count("associations", outcome="rejected", reason="connections")
        return False

    def finish_request(self, request: _Request, client_address: tuple[Any, ...]) -> None:
        """Start the association."""
        assert isinstance(request, socket.socket)
        association = Acceptor(self.ae, self, request, client_address)
        with self._lock:
            self._present.add(association)
        try:
            association.start()
        except RuntimeError:
            association.upper_layer.close()
            self.forget(association)
            raise

    def forget(self, association: Acceptor) -> None:
        """The association's thread is at its end."""
        with self._lock:
            self._present.discard(association)

    def handle_error(self, _request: _Request, client_address: tuple[Any, ...]) -> None:
        """Log what kept an accepted connection from being served (no thread, say); it was closed."""
        structlog.get_logger().exception("connection_failed", address=str(client_address[0]))

    def shutdown(self) -> None:
        """Stop listening. pynetdicom's own wants to be in a list that only `AE.start_server` keeps."""
        BaseServer.shutdown(self)
        self.server_close()


def _copied(contexts: list[PresentationContext]) -> list[PresentationContext]:
    """Contexts that an association may mark as it likes. A deep copy takes milliseconds."""
    copies = [copy(context) for context in contexts]
    for context in copies:
        context.transfer_syntax = list(context.transfer_syntax)
    return copies


def _tls_reason(error: OSError) -> str:
    """A word or two: OpenSSL's own name for what went wrong, which holds nothing of the peer's."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return type(error).__name__
