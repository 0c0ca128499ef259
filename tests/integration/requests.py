"""PDUs by hand (PS3.8 section 9.3), for senders that say what no toolkit says, or say it thousands of times."""

from __future__ import annotations

import socket
import struct

VERIFICATION = "1.2.840.10008.1.1"
RELEASE_REQUEST = b"\x05\x00" + struct.pack(">L", 4) + bytes(4)


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate_request(
    *,
    called: str = "OCUNET",
    calling: str = "CAMERA",
    application_context: str = "1.2.840.10008.3.1.1.1",
    protocol_version: int = 1,
    abstract_syntax: str = VERIFICATION,
    transfer_syntax: str = "1.2.840.10008.1.2",
) -> bytes:
    """An A-ASSOCIATE-RQ with one presentation context, number 1."""
    context = struct.pack(">BBBB", 1, 0, 0, 0)
    context += item(0x30, abstract_syntax.encode()) + item(0x40, transfer_syntax.encode())
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
    body = struct.pack(">HH", protocol_version, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, application_context.encode()) + item(0x20, context) + item(0x50, user)
    return b"\x01\x00" + struct.pack(">L", len(body)) + body


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def _uid(value: str) -> bytes:
    return value.encode() + bytes(len(value) % 2)


def _command(elements: bytes) -> bytes:
    """A whole command set in one P-DATA-TF PDU."""
    command = _element(0, struct.pack("<L", len(elements))) + elements
    fragment = struct.pack(">LBB", len(command) + 2, 1, 3) + command
    return b"\x04\x00" + struct.pack(">L", len(fragment)) + fragment


def echo_request() -> bytes:
    """A C-ECHO-RQ (PS3.7 table 9.3-12)."""
    elements = _element(0x0002, _uid(VERIFICATION)) + _element(0x0100, struct.pack("<H", 0x0030))
    return _command(elements + _element(0x0110, struct.pack("<H", 7)) + _element(0x0800, struct.pack("<H", 0x0101)))


def store_request(sop_class: str, sop_instance: str) -> bytes:
    """A C-STORE-RQ (PS3.7 table 9.3-1) that a data set follows."""
    elements = _element(0x0002, _uid(sop_class)) + _element(0x0100, struct.pack("<H", 0x0001))
    elements += _element(0x0110, struct.pack("<H", 7)) + _element(0x0700, struct.pack("<H", 0))
    return _command(elements + _element(0x0800, struct.pack("<H", 0x0001)) + _element(0x1000, _uid(sop_instance)))


def read_pdu(connection: socket.socket) -> bytes:
    """One whole PDU; b"" when the peer closed the connection instead."""
    head = _read(connection, 6)
    return head + _read(connection, struct.unpack(">L", head[2:])[0]) if len(head) == 6 else b""


def _read(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            break
        content += piece
    return content


def reply_to(port: int, request: bytes) -> bytes:
    """The PDU that answers the request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        return read_pdu(connection)


def echo_once(port: int) -> None:
    """Associate, C-ECHO, release, as a health check does."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for request, expected in ((associate_request(), 2), (echo_request(), 4), (RELEASE_REQUEST, 6)):
            connection.sendall(request)
            answer = read_pdu(connection)
            assert answer[:1] == bytes((expected,)), answer[:1]
