"""Where pynetdicom is bent to our needs: data sets go straight from the socket to a file.

pynetdicom's own chunked receive (`_config.STORE_RECV_CHUNKED_DATASET`) is a switch for the whole process, writes to
the system's temporary folder, leaves its file behind when an association breaks, and kills the association's thread
when the disk is full. Without it each object lies in memory several times over. What is done here instead, through its
classes and without touching its modules:

- `Spool` is the buffer that a message's data set is written to; for a C-STORE request the bytes go to an incoming file
  of our store. A disk that fills up is remembered, the rest of the data set is dropped, and the handler answers 0xA700.
- `SpoolingProvider` gives each message such a buffer, moves the data of P-DATA-TF PDUs from the socket into it without
  making objects of them, and answers requests that are no requests.

The connection itself is in `connection`, the upper layer's loop in `upper_layer`, accepting in `server`.
"""

from __future__ import annotations

import queue
import time
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

import structlog
from pynetdicom import _config
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.intake.admission import INCOMPLETE_REQUEST
from ocunet_pacs.intake.answers import store_answer
from ocunet_pacs.intake.part10 import file_head
from ocunet_pacs.intake.patience import Patience

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.dimse_primitives import DimsePrimitiveType

    from ocunet_pacs.intake.connection import BlockSocket
    from ocunet_pacs.intake.reception import IncomingFile, Reception
    from ocunet_pacs.intake.server import Acceptor

MAX_PDU = 1 << 20
"""Bytes of data that we ask senders to put into one PDU at most; toolkits stop at 128 KiB or go up to this."""
_BLOCK = 1 << 18
"""Bytes that are hashed and written at once: few calls for a large image, little memory for many associations."""
_LARGEST_OTHER_DATA_SET = 1 << 20
_LARGEST_COMMAND_SET = 1 << 16
_MOST_REQUESTS = 16
"""Requests of one association that wait for their answer; each holds a file, and one is what was agreed."""
_ROOM_CHECKED_EVERY = 16 << 20
_COMMAND, _LAST = 1, 2
"""Bits of a fragment's message control header (PS3.8 annex E.2)."""
_LONGEST_SLEEP = 1.0


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

    def __init__(self, message: DIMSEMessage, association: Acceptor, reception: Reception) -> None:
        super().__init__()
        self._message = message
        self._association = association
        self._reception = reception
        self._file: IncomingFile | None = None
        self._next_check = _ROOM_CHECKED_EVERY
        self._lock = Lock()
        self.error: StoreError | None = None
        """Why the bytes could not be kept."""

    @property
    def to_file(self) -> bool:
        """Whether the message is one whose data set goes to a file."""
        return isinstance(self._message, C_STORE_RQ)

    def write(self, data: ReadableBuffer) -> int:
        """Append to the file. A store that fails is remembered in `error`, and what comes after is dropped."""
        with memoryview(data) as view:
            size = view.nbytes
        if not self.to_file:
            if self.tell() + size > _LARGEST_OTHER_DATA_SET:
                raise ValueError("a message that needs no large data set came with one")
            return super().write(data)
        if self.error is None:
            try:
                self._keep(data)
            except StoreError as error:
                self.error = error
                self.abandon()
        return size

    def _keep(self, data: ReadableBuffer) -> None:
        if self._file is None:
            self._file = self._reception.open(self._association.source)
            self._file.write(self._head())
        elif self._file.size > self._next_check:
            self._reception.require_room()
            self._next_check += _ROOM_CHECKED_EVERY
        if memoryview(data).nbytes:
            self._file.write(data)

    def _head(self) -> bytes:
        """The command set is decoded before the first byte of the data set arrives."""
        command = self._message.command_set
        syntaxes = {cx.context_id: cx.transfer_syntax[0] for cx in self._association.accepted_contexts}
        # Objects come from whom we asked for them (C-GET) or from whoever asked us (C-STORE).
        sender = self._association.acceptor if self._association.is_requestor else self._association.requestor
        return file_head(
            str(command.get("AffectedSOPClassUID", "")),
            str(command.get("AffectedSOPInstanceUID", "")),
            str(syntaxes.get(self._message.context_id, "")),
            sender.ae_title.strip(),
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

    def __init__(self, association: Acceptor, reception: Reception) -> None:
        super().__init__(association)
        self._acceptor = association
        self._reception = reception
        self._spools: list[Spool] = []
        self._block: memoryview | None = None
        self._filled = 0
        self._patience = Patience(None)

    def receive_fragments(self, connection: BlockSocket, length: int) -> None:
        """Take in the body of a P-DATA-TF PDU (PS3.8 section 9.3.5), `length` bytes that are next on the connection.

        ValueError when they cannot be fragments; what the peer's bytes make pynetdicom raise; OSError.
        """
        while length:
            if length < 6:
                raise ValueError("a PDU ends inside the head of a fragment")
            head = connection.exactly(6)
            size = int.from_bytes(head[:4], "big") - 2
            context_id, control = head[4], head[5]
            length -= 6 + size
            if size < 0 or length < 0:
                raise ValueError("a fragment is longer than its PDU")
            if control & _COMMAND or not self._is_spooling:
                self._pass_on(context_id, head[5:] + connection.exactly(size))
                continue
            self._spool(connection, size)
            if control & _LAST:
                self._write_block()
                self._pass_on(context_id, head[5:])

    @property
    def _is_spooling(self) -> bool:
        data_set = self.message.data_set if self.message is not None else None
        return isinstance(data_set, Spool) and data_set.to_file

    def _spool(self, connection: BlockSocket, size: int) -> None:
        """Move `size` bytes from the connection to the file, in blocks that are large however small the pieces are."""
        if self._block is None:
            self._block = memoryview(bytearray(_BLOCK))
        assert self.message is not None
        spool = self.message.data_set
        assert isinstance(spool, Spool)
        if size and not spool.holds_file:
            spool.write(b"")  # open the file: whether it may be received at all shows with the first byte
        while size:
            count = connection.recv_into(self._block[self._filled : self._filled + size])
            self._filled += count
            size -= count
            self._patience.received(count)
            if self._filled == _BLOCK:
                self._write_block()

    def _write_block(self) -> None:
        assert self.message is not None
        assert self.message.data_set is not None
        if self._block is not None and self._filled:
            begun = time.monotonic()
            self.message.data_set.write(self._block[: self._filled])
            self._patience.excuse(time.monotonic() - begun)
        self._filled = 0

    def _pass_on(self, context_id: int, fragment: bytes) -> None:
        primitive = P_DATA()
        # The library declares pairs and asks for lists.
        primitive.presentation_data_value_list = [[context_id, fragment]]  # type: ignore[list-item]
        self.receive_primitive(primitive)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process a piece of a message. What it raises ends the association, not more: see `UpperLayer`."""
        if self.message is None:
            self._wait_for_answers()
            self._patience = Patience(self.assoc.network_timeout)
            self.message = DIMSEMessage()
            spool = Spool(self.message, self._acceptor, self._reception)
            self.message.data_set = spool
            # A sender may have several requests under way (PS3.7 section 9.1), so there can be more than one.
            self._spools = [*(kept for kept in self._spools if kept.holds_file), spool]
        self._patience.received(sum(len(fragment) for _, fragment in primitive.presentation_data_value_list))
        super().receive_primitive(primitive)
        if self.message is not None and self.message.encoded_command_set.tell() > _LARGEST_COMMAND_SET:
            raise ValueError("a command set without end")

    def _wait_for_answers(self) -> None:
        """Read no further request while many wait for their answers: each is a file, and a sender may ask for ever."""
        while self.msg_queue.qsize() >= _MOST_REQUESTS and self.assoc.is_alive():
            time.sleep(0.005)

    def get_msg(self, block: bool = False) -> _QueueItem:  # noqa: FBT001, FBT002 - pynetdicom's signature
        """The next message, or nothing after a second or when `wake` is called; pynetdicom would ask a thousand times.

        A C-STORE request that lacks an element is answered here: pynetdicom would drop it.
        """
        try:
            item = self.msg_queue.get(timeout=self.dimse_timeout if block else _LONGEST_SLEEP)
        except queue.Empty:
            return None, None
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

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message: the answer to a C-STORE as the bytes that it is, all else in pynetdicom's way."""
        if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None:
            super().send_msg(primitive, context_id)
            return
        fragment = bytes((_COMMAND | _LAST,)) + store_answer(primitive)
        if 0 < self.maximum_pdu_size < len(fragment) + 6:
            super().send_msg(primitive, context_id)
            return
        pdu = P_DATA()
        pdu.presentation_data_value_list = [[context_id, fragment]]  # type: ignore[list-item]
        self.dul.send_pdu(pdu)

    def wake(self) -> None:
        """Let the service thread look at what else there is: a release, an abort, the end."""
        self.msg_queue.put((None, None))

    def abandon(self) -> None:
        """The connection ended: nobody will finish or answer what is still here."""
        for spool in self._spools:
            spool.abandon()
