"""The DICOM upper layer (PS3.8) of an accepted association: who is let in, and a loop that sleeps until it is needed.

pynetdicom looks at each association's socket and queues a thousand times a second, from two threads: sixty associations
that do nothing keep a processor busy. `UpperLayer` waits for the socket or for its own side instead, and hands the data
of images on without making a PDU object of it. `Gatekeeper` decides about a request before pynetdicom negotiates it.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from ocunet_pacs.intake.access import APPLICATION_CONTEXT, APPLICATION_CONTEXT_UNKNOWN, Rejection
from ocunet_pacs.intake.connection import BlockSocket

if TYPE_CHECKING:
    from pynetdicom.pdu import _PDUType
    from pynetdicom.pdu_primitives import _PDUPrimitiveType

    from ocunet_pacs.intake.server import Acceptor

_P_DATA_TF = 0x04
_ESTABLISHED = "Sta6"
_LONGEST_WAIT_MS = 250
"""Timers are looked at this often where nothing happens."""
_PROTOCOL_VERSION = Rejection(1, 2, 2, "protocol_version")


class UpperLayer(DULServiceProvider):
    """Runs in a thread of its own, between the connection and the association's thread."""

    def __init__(self, association: Acceptor) -> None:
        super().__init__(association)
        self._acceptor = association
        self._wake: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wake_lock = Lock()
        self.daemon = True

    def wake(self) -> None:
        """Let the loop look at its queues. By any thread, also when the loop has ended."""
        with self._wake_lock:
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        """As pynetdicom's, and at once."""
        super().send_pdu(primitive)
        self.wake()

    def kill_dul(self) -> None:
        """As pynetdicom's, and at once."""
        super().kill_dul()
        self.wake()

    def stop_dul(self) -> bool:
        """As pynetdicom's, which waits for the loop to see that it is over."""
        if self.state_machine.current_state == "Sta1":
            self._kill_thread = True
            self.wake()
        return super().stop_dul()

    def close(self) -> None:
        """Give the file descriptor back; the loop is over."""
        with self._wake_lock:
            if self._wake is not None:
                os.close(self._wake)
            self._wake = None

    def run_reactor(self) -> None:
        """The loop, which is pynetdicom's but for how it waits."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()  # noqa: SLF001 - the loop's side of pynetdicom's start
        try:
            while not self._kill_thread:
                self._turn()
        finally:
            self.close()
            if self._acceptor.requestor.primitive is None:
                # Gone before it asked for an association, as the probes of load balancers are. Nothing in the queue is
                # what it takes for a time-out of the negotiation, which nobody needs to wait for.
                nothing: Any = None
                self.to_user_queue.put(nothing)
            self._acceptor.provider.wake()

    def _turn(self) -> None:
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        try:
            busy = self._process_recv_primitive()
            if not busy and self._is_transport_event():
                busy = True
                self._idle_timer.restart()
            event = None if self.event_queue.empty() else self.event_queue.get_nowait()
            if event is not None:
                self.state_machine.do_action(event)
        except Exception as error:  # noqa: BLE001 - whatever the peer's bytes led to ends its association, nothing else
            self._abort_at_once(error)
            return
        if event is None:
            if not busy:
                self._wait()
        elif not self.to_user_queue.empty():
            self._acceptor.provider.wake()

    def _wait(self) -> None:
        connection = self.socket
        if self._kill_thread or not self.to_provider_queue.empty() or self._wake is None:
            return
        if isinstance(connection, BlockSocket) and connection.has_more:
            return
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if connection is not None and connection.socket is not None:
            with suppress(ValueError):  # closed by the other thread; the queue will say so
                poller.register(connection.socket, select.POLLIN)
        for descriptor, _ in poller.poll(_LONGEST_WAIT_MS):
            if descriptor == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)

    def _read_pdu_data(self) -> None:
        """Take in one PDU: the data of an established association directly, all else in pynetdicom's way."""
        connection = self.socket
        if not isinstance(connection, BlockSocket) or self.state_machine.current_state != _ESTABLISHED:
            super()._read_pdu_data()
            return
        try:
            head = connection.peek(6)
            if len(head) < 6 or head[0] != _P_DATA_TF:
                super()._read_pdu_data()
                return
            connection.exactly(6)
            self._acceptor.provider.receive_fragments(connection, int.from_bytes(head[2:], "big"))
        except OSError:
            self.event_queue.put("Evt17")
        except Exception as error:  # noqa: BLE001 - the bytes are the peer's; its association ends, nothing else does
            structlog.get_logger().warning("association_aborted", reason="a message broke the protocol", exc_info=error)
            # Evt19, an invalid PDU, may come only where a PDU may.
            self.event_queue.put("Evt19")

    def _abort_at_once(self, error: Exception) -> None:
        """Past the state machine, which the error may have left in any state. As pynetdicom does it."""
        structlog.get_logger().warning("association_aborted", reason="the upper layer failed", exc_info=error)
        pdu = A_ABORT_RQ()
        pdu.source, pdu.reason_diagnostic = 0x02, 0x00
        if self.socket is not None and self.socket.socket is not None:
            self.socket.send(pdu.encode())
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.assoc._kill = True  # noqa: SLF001 - kill() would wait for the thread that we are in
        self._kill_thread = True

    def _send(self, pdu: _PDUType) -> None:
        super()._send(pdu)
        if isinstance(pdu, A_ASSOCIATE_RJ) and (pdu.source, pdu.reason_diagnostic) == (2, 2):
            # The state machine's own: the association's thread never hears of the request.
            self._acceptor.rejected(_PROTOCOL_VERSION)


class Gatekeeper(ACSE):
    """Association control that turns away whom the rules do not let in."""

    def __init__(self, association: Acceptor) -> None:
        super().__init__(association)
        self._acceptor = association

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        assert request is not None
        self.requestor.ae_title = request.calling_ae_title
        if str(request.application_context_name) != APPLICATION_CONTEXT:
            rejection: Rejection | None = APPLICATION_CONTEXT_UNKNOWN
        else:
            rejection = self._acceptor.let_in(request.called_ae_title, request.calling_ae_title)
        if rejection is None:
            super()._negotiate_as_acceptor()
            return
        self.send_reject(rejection.result, rejection.source, rejection.diagnostic)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.is_rejected = True
        self._acceptor.rejected(rejection)
        self.assoc.kill()
