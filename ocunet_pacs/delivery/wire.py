"""pynetdicom's connections as a requestor, where they waste time, wait in vain, or stay open."""

from __future__ import annotations

import fcntl
import math
import queue
import socket
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom import AE, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.transport import AddressInformation, AssociationSocket

if TYPE_CHECKING:
    from ssl import SSLContext

    from pynetdicom.association import Association
    from pynetdicom.dimse import _QueueItem
    from pynetdicom.transport import T_CONNECT

_LOOK_EVERY_S = 0.25
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""


class Connection(AssociationSocket):
    """Wastes no time, remembers what went wrong with the connection, and closes for certain.

    With pynetdicom's the system waits, before it sends, for more to send, and before it acknowledges what came, for
    something to send along: 40 ms each time, in which a peer that writes a PDU in two pieces (dcmtk does) waits with
    the second. It keeps its errors to its own log. And it does not close when the connection was never made or the peer
    closed it first.
    """

    trouble: OSError | None = None

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, with TLS where wanted; the result is in `primitive`."""
        assert self.socket is not None
        try:
            self.socket.settimeout(self.assoc.connection_timeout)
            self.socket.connect(primitive.address_info.as_tuple)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls_args:
                context, host = self.tls_args
                self.socket = context.wrap_socket(self.socket, server_hostname=host)
            # Of one who reads nothing, or stops in the middle of a PDU, not even an abort would be noticed.
            self.socket.settimeout(self.assoc.network_timeout)
            self.assoc.requestor.address_info = AddressInformation.from_tuple(self.socket.getsockname())
        except OSError as error:
            self.trouble = error
            self._shutdown_socket()
            self.socket = None
            primitive.result = "Evt17"
        else:
            self._is_connected = True
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
            primitive.result = "Evt2"
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def recv(self, nr_bytes: int) -> bytearray:
        """As many bytes, fewer when the peer closed the connection. OSError, kept in `trouble`."""
        try:
            if self.socket is not None and _QUICKACK is not None:
                # The system forgets it again and again.
                self.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            return super().recv(nr_bytes)
        except OSError as error:
            self.trouble = error
            raise

    def unacknowledged(self) -> int:
        """Bytes that the system has not got rid of yet (0 where it does not tell)."""
        try:
            (count,) = struct.unpack("i", fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, bytes(4)))  # type: ignore[union-attr]
        except (AttributeError, OSError, ValueError):
            return 0
        return int(count)

    def hang_up(self) -> None:
        """End the connection, also under one who is about to send."""
        self._shutdown_socket()

    def _shutdown_socket(self) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class Provider(DIMSEServiceProvider):
    """Leaves answers to who waits for them, and notices that none will come.

    pynetdicom's other thread looks into the queue of answers too, for requests. It is told to stop meanwhile, but may
    look once more when two requests follow each other closely, and takes an answer, or the word of a lost connection,
    away: who waits for it then waits for the whole of the time-out. What a peer may ask of us, N-EVENT-REPORT, never
    comes into that queue.
    """

    is_over = False
    """Whether the peer was silent for too long, where no message came."""

    def get_msg(self, block: bool = False) -> _QueueItem:  # noqa: FBT001, FBT002 - pynetdicom's signature
        """The next message, or a pair of None: there is none, the connection is lost, or the time is over.

        The time begins anew whenever some of what is to be sent has left.
        """
        if not block:
            return None, None
        patience = math.inf if self.dimse_timeout is None else self.dimse_timeout
        self.is_over = False
        to_send, ends = self._to_send(), time.monotonic() + patience
        while True:
            is_lost = self.assoc.acse.is_aborted() or not self.dul.is_alive()
            try:
                return self.msg_queue.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                now, before, to_send = time.monotonic(), to_send, self._to_send()
                if to_send != before:
                    ends = now + patience
                self.is_over = now >= ends
            if is_lost or self.is_over:
                if any(to_send) and isinstance(self.dul.socket, Connection):
                    # The library would wait to send its abort behind all that.
                    self.dul.socket.hang_up()
                return None, None

    def _to_send(self) -> tuple[int, int]:
        connection = self.dul.socket
        in_system = connection.unacknowledged() if isinstance(connection, Connection) else 0
        return self.dul.to_provider_queue.qsize(), in_system


class Requestor(AE):
    """An application entity whose sockets close for certain, and that does not wait in vain."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        assoc.dimse = Provider(assoc)
        connection = Connection(assoc, address=address)
        connection.tls_args = tls_args
        return connection
