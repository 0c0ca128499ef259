"""Where pynetdicom is bent to our needs: data sets go straight to a file, and sockets are read in large blocks.

pynetdicom's own chunked receive (`_config.STORE_RECV_CHUNKED_DATASET`) is a switch for the whole process, writes to
the system's temporary folder, leaves its file behind when an association breaks, and kills the association's thread
when the disk is full. What is done here instead, through its classes and without touching its modules:

- `Spool` is the buffer that a message's data set is written to; for a C-STORE request the bytes go to an incoming file
  of our store. A disk that fills up is remembered, the rest of the data set is dropped, and the handler answers 0xA700.
- `SpoolingProvider` gives each message such a buffer and answers requests that are no requests.
- `BlockSocket` reads as much as it is asked for; pynetdicom reads 4,096 bytes at a time, which costs a third of the
  throughput of large images. It refuses PDUs far beyond the size that was negotiated.
- `Handler` and `Server` put them into each accepted association.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from io import BytesIO
from socket import SHUT_RDWR
from socketserver import BaseServer
from threading import Lock
from typing import TYPE_CHECKING

import structlog
from pynetdicom import _config
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.intake.admission import INCOMPLETE_REQUEST
from ocunet_pacs.intake.part10 import file_head

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from pynetdicom.association import Association
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.pdu_primitives import P_DATA

    from ocunet_pacs.intake.reception import IncomingFile, Reception

MAX_PDU = 1 << 20
"""Bytes of data that we ask senders to put into one PDU at most; toolkits stop at 128 KiB or go up to this."""
_LARGEST_PDU_READ = 4 * MAX_PDU
_LARGEST_OTHER_DATA_SET = 1 << 20
_ROOM_CHECKED_EVERY = 16 << 20


def quiet_pynetdicom() -> None:
    """Switch off what pynetdicom logs of messages: slow, and identifiers may hold patient data. For the whole process.

    What is left are its errors, which `ocunet_pacs.logs` filters.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False


class Spool(BytesIO):
    """The data set of one message, in a file when the message is a C-STORE request.

    Written by the association's network thread; taken once by its service thread, or abandoned when the connection
    ends, whichever comes first.
    """

    def __init__(self, message: DIMSEMessage, association: Association, reception: Reception) -> None:
        super().__init__()
        self._message = message
        self._association = association
        self._reception = reception
        self._file: IncomingFile | None = None
        self._next_check = _ROOM_CHECKED_EVERY
        self._lock = Lock()
        self.error: StoreError | None = None
        """Why the bytes could not be kept."""

    def write(self, data: ReadableBuffer) -> int:
        """Append to the file. A store that fails is remembered in `error`, and what comes after is dropped."""
        data = bytes(data)
        if not isinstance(self._message, C_STORE_RQ):
            if self.tell() + len(data) > _LARGEST_OTHER_DATA_SET:
                raise ValueError("a message that needs no large data set came with one")
            return super().write(data)
        if self.error is None:
            try:
                self._keep(data)
            except StoreError as error:
                self.error = error
                self.abandon()
        return len(data)

    def _keep(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._reception.open()
            self._file.write(self._head())
        elif self._file.size > self._next_check:
            self._reception.require_room()
            self._next_check += _ROOM_CHECKED_EVERY
        self._file.write(data)

    def _head(self) -> bytes:
        """The command set is decoded before the first byte of the data set arrives."""
        command = self._message.command_set
        syntaxes = {cx.context_id: cx.transfer_syntax[0] for cx in self._association.accepted_contexts}
        return file_head(
            str(command.get("AffectedSOPClassUID", "")),
            str(command.get("AffectedSOPInstanceUID", "")),
            str(syntaxes.get(self._message.context_id, "")),
            self._association.requestor.ae_title.strip(),
        )

    @property
    def holds_file(self) -> bool:
        """Whether there is a file that nobody took yet."""
        return self._file is not None

    def take(self) -> IncomingFile | None:
        """The file, which is the caller's from now on; None when nothing was received or the connection is gone."""
        with self._lock:
            file, self._file = self._file, None
        return file

    def abandon(self) -> None:
        """Remove the file unless somebody took it."""
        file = self.take()
        if file is not None:
            try:
                file.discard()
            except (StoreError, OSError) as error:
                structlog.get_logger().warning("incoming_file_left_behind", exc_info=error)


class SpoolingProvider(DIMSEServiceProvider):
    """Messages whose data sets are spooled."""

    def __init__(self, association: Association, reception: Reception) -> None:
        super().__init__(association)
        self._reception = reception
        self._spools: list[Spool] = []

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process a piece of a message. One that cannot be understood aborts the association, not the thread."""
        try:
            if self.message is None:
                self.message = DIMSEMessage()
                spool = Spool(self.message, self.assoc, self._reception)
                self.message.data_set = spool
                # A sender may have several requests under way (PS3.7 section 9.1), so there can be more than one.
                self._spools = [*(kept for kept in self._spools if kept.holds_file), spool]
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - the bytes are the peer's; its association ends, nothing else does
            structlog.get_logger().warning("association_aborted", reason="a message broke the protocol", exc_info=error)
            self.dul.event_queue.put("Evt19")

    def get_msg(self, block: bool = False) -> _QueueItem:  # noqa: FBT001, FBT002 - pynetdicom's signature
        """The next message. A C-STORE request that lacks an element is answered here: pynetdicom would drop it."""
        item = super().get_msg(block)
        context_id, message = item
        if not isinstance(message, C_STORE) or message.is_valid_request or message.is_valid_response:
            return item
        if isinstance(message.DataSet, Spool):
            message.DataSet.abandon()
        response = C_STORE()
        response.MessageIDBeingRespondedTo = message.MessageID or 0
        response.AffectedSOPClassUID = message.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = message.AffectedSOPInstanceUID
        response.Status = int(INCOMPLETE_REQUEST.status)
        # pynetdicom declares the comment by its initial None.
        response.ErrorComment = INCOMPLETE_REQUEST.comment  # type: ignore[assignment]
        self.send_msg(response, context_id or 1)
        return None, None

    def abandon(self) -> None:
        """The connection ended: nobody will finish or answer what is still here."""
        for spool in self._spools:
            spool.abandon()


class BlockSocket(AssociationSocket):
    """Reads what is asked for into one buffer."""

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
        """Close for certain. pynetdicom's skips that when the peer closed first."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)
            self.socket.close()


class Handler(RequestHandler):
    """Prepares the association of one connection."""

    server: Server

    def _create_association(self) -> Association:
        # pynetdicom leaves accepted sockets without a timeout: a peer that stalls inside a PDU would keep its
        # association, one of a limited number, for ever.
        self.request.settimeout(self.ae.network_timeout)
        association = super()._create_association()
        association.dimse = SpoolingProvider(association, self.server.reception)
        # The stock socket has announced the connection to the state machine; the one that replaces it does so again.
        association.dul.socket = None
        association.dul.event_queue.get_nowait()
        association.set_socket(BlockSocket(association, client_socket=self.request))
        return association


class Server(ThreadedAssociationServer):
    """Accepts associations that spool. `AE.make_server` makes the instance, so `receiving` makes a class for it."""

    request_queue_size = 128
    reception: Reception

    @classmethod
    def receiving(cls, reception: Reception) -> type[Server]:
        """The class whose instances hand everything to `reception`."""
        return type("ReceivingServer", (cls,), {"reception": reception})

    def shutdown(self) -> None:
        """Stop listening. pynetdicom's own wants to be in a list that only `AE.start_server` keeps."""
        BaseServer.shutdown(self)
        self.server_close()
