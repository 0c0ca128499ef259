"""Where messages go: a file, a syslog server over UDP (RFC 5426), a syslog server over TLS (RFC 5425).

A target keeps its connection open, makes it anew where it broke, and raises OSError when messages did not go: then all
that it was given is given to it again, so a server may see a message twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ocunet_pacs.audit.syslog import framed, xml_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST_DATAGRAM = 65_000
"""Bytes; IPv4 has room for 65,507."""
_TIMEOUT_S = 5.0
_LISTENS_S = 0.05
"""How long to listen for a server that turns us away, or is gone, after it was told something."""


class Target(Protocol):
    """What the trail sends to. For one thread."""

    def send(self, messages: Sequence[bytes]) -> int:
        """Send them in order; how many cannot go there at all, and were left out. OSError."""

    def probe(self) -> str:
        """Whether messages would go there, without sending one: what was found, in a sentence. OSError."""

    def close(self) -> None:
        """Let go of the connection."""


class FileTarget:
    """Appends each message's XML as a line. Several processes may write to one file, and it may be moved away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[bytes]) -> int:
        """See `Target.send`."""
        data = b"".join(xml_of(message) + b"\n" for message in messages)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            # Who writes holds the lock, so that on a full disk the half that was written can be taken back.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        return 0

    def probe(self) -> str:
        """See `Target.probe`. A file that is not there yet is not made."""
        if self._path.exists():
            os.close(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
            return "can be written to"
        self._path.parent.stat()
        if not os.access(self._path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return "not there yet, and can be made"

    def close(self) -> None:
        """See `Target.close`."""


class UdpTarget:
    """One datagram a message. Nobody says whether they arrive; only a machine that refuses them is noticed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> int:
        """See `Target.send`. Messages that fit into no datagram are left out."""
        fitting = [message for message in messages if len(message) <= LARGEST_DATAGRAM]
        try:
            connected = self._socket or self._connect()
            for message in fitting:
                connected.send(message)
        except OSError:
            self.close()
            raise
        return len(messages) - len(fitting)

    def probe(self) -> str:
        """See `Target.probe`."""
        self._connect()
        return "its address is known; over UDP nobody says whether messages arrive"

    def _connect(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        self._socket.connect(address)
        return self._socket

    def close(self) -> None:
        """See `Target.close`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TlsTarget:
    """One connection. Syslog has no answers, so a message that TLS took may still be lost with a server that dies.

    What can be noticed is: before and after each block we listen whether the server closed the connection, or (TLS 1.3
    says so after the handshake) does not accept our certificate.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._address = (host, port)
        self._context = context
        self._socket: ssl.SSLSocket | None = None

    def send(self, messages: Sequence[bytes]) -> int:
        """See `Target.send`."""
        try:
            connected = self._socket or self._connect()
            _listen(connected)
            connected.sendall(b"".join(map(framed, messages)))
            _listen(connected)
        except OSError:
            self.close()
            raise
        return 0

    def probe(self) -> str:
        """See `Target.probe`."""
        connected = self._connect()
        _listen(connected)
        return f"takes connections, over {connected.version()}"

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._address, _TIMEOUT_S)
        try:
            self._socket = self._context.wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise
        return self._socket

    def close(self) -> None:
        """See `Target.close`."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


def _listen(connected: ssl.SSLSocket) -> None:
    """ConnectionResetError, or OSError, where the server is gone. It has nothing to say to us otherwise."""
    connected.settimeout(_LISTENS_S)
    try:
        if not connected.recv(1024):
            raise ConnectionResetError("the audit server closed the connection")
    except (TimeoutError, ssl.SSLWantReadError):
        pass
    finally:
        connected.settimeout(_TIMEOUT_S)
