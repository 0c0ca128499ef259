"""One sender's connection: read in large blocks, closed for certain."""

from __future__ import annotations

import errno
import select
from contextlib import suppress
from socket import SHUT_RDWR
from ssl import SSLSocket
from typing import TYPE_CHECKING

from pynetdicom.transport import AssociationSocket

from ocunet_pacs.intake.patience import Patience

if TYPE_CHECKING:
    from socket import socket

    from pynetdicom.association import Association

_LARGEST_PDU_READ = 4 << 20
_READ_AHEAD = 1 << 16


class BlockSocket(AssociationSocket):
    """Reads ahead, so that small PDUs do not cost a system call or three each.

    pynetdicom reads 4,096 bytes at a time, which costs a third of the throughput of large images. One thread reads.
    """

    def __init__(self, association: Association, connection: socket) -> None:
        super().__init__(association, client_socket=connection)
        self._ahead = memoryview(bytearray(_READ_AHEAD))
        self._start = self._end = 0

    @property
    def has_more(self) -> bool:
        """Whether bytes were read that nobody took yet; the kernel knows nothing of them."""
        return self._end > self._start or (isinstance(self.socket, SSLSocket) and self.socket.pending() > 0)

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the peer is gone."""
        if self.has_more:
            return True
        if self.socket is None or not self._is_connected:
            return False
        try:
            # Not select(2), which cannot look at file descriptors beyond 1023.
            poller = select.poll()
            poller.register(self.socket, select.POLLIN)
            return bool(poller.poll(0))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, which stay; fewer when the peer closed the connection. OSError."""
        if self._end - self._start >= count:
            return bytes(self._ahead[self._start : self._start + count])
        patience = Patience(self.assoc.network_timeout)
        while self._end - self._start < count:
            if self._start:
                held = bytes(self._ahead[self._start : self._end])
                self._start, self._end = 0, len(held)
                self._ahead[: self._end] = held
            got = self._connected().recv_into(self._ahead[self._end :])
            if got == 0:
                break
            self._end += got
            patience.received(got)
        return bytes(self._ahead[self._start : min(self._start + count, self._end)])

    def recv_into(self, target: memoryview) -> int:
        """Some bytes, at least one, as many as `target` takes. ConnectionResetError when the peer closed; OSError."""
        held = self._end - self._start
        if held == 0 and len(target) < _READ_AHEAD:
            self._start = 0
            self._end = held = self._connected().recv_into(self._ahead)
        if held:
            count = min(held, len(target))
            target[:count] = self._ahead[self._start : self._start + count]
            self._start += count
            return count
        count = self._connected().recv_into(target)
        if count == 0:
            raise ConnectionResetError(errno.ECONNRESET, "the peer closed the connection inside a PDU")
        return count

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes. ConnectionResetError, OSError."""
        start = self._start
        if self._end - start >= count:
            self._start = start + count
            return bytes(self._ahead[start : start + count])
        found = self.recv(count)
        if len(found) < count:
            raise ConnectionResetError(errno.ECONNRESET, "the peer closed the connection inside a PDU")
        return bytes(found)

    def recv(self, nr_bytes: int) -> bytearray:
        """As many bytes, or fewer when the peer closed the connection. OSError, TimeoutError included."""
        if nr_bytes > _LARGEST_PDU_READ:
            raise OSError(errno.EMSGSIZE, "the peer announced a PDU far beyond the negotiated size")
        patience = Patience(self.assoc.network_timeout)
        buffer = bytearray(nr_bytes)
        received = 0
        with memoryview(buffer) as view:
            while received < nr_bytes:
                try:
                    count = self.recv_into(view[received:])
                except ConnectionResetError:
                    break
                received += count
                patience.received(count)
        del buffer[received:]
        return buffer

    def _connected(self) -> socket:
        if self.socket is None:
            raise OSError(errno.ENOTCONN, "the connection is closed")
        return self.socket

    def _shutdown_socket(self) -> None:
        """Close for certain. pynetdicom's skips that when the peer closed first."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)
            self.socket.close()
