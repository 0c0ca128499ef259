"""The DICOM upper layer on a bare socket (PS3.8 section 9.3): quick, and free to say what no toolkit would.

One `Peer` is one association. Whatever the listener does wrong surfaces here as a time-out or a closed connection.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
PATIENCE_S = 30.0
"""A request that is not answered within this hangs: far more than the listener needs on a busy machine."""

_COMMAND, _LAST = 1, 2
_NO_DATA_SET = 0x0101
_ECHO_RQ, _STORE_RQ, _EVENT_REPORT_RQ = 0x0030, 0x0001, 0x0100


class ConnectionLost(Exception):
    """The listener ended the association, or the connection broke."""


class Peer:
    """An association: with a context for Verification and one for each pair of abstract and transfer syntax.

    `results` holds the listener's answer to each pair (PS3.8 table 9-18): 0 is acceptance.
    """

    def __init__(self, port: int, proposals: Iterable[tuple[str, str]] = (), *, calling: str = "HOSTILE") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        # A command and its data set are two small writes: with Nagle's algorithm the second waits for an answer.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs = [(VERIFICATION, IMPLICIT), *proposals]
        offered = {2 * n + 1: pair for n, pair in enumerate(pairs)}
        self.send(associate_request(pairs, calling=calling))
        try:
            kind, body = self.receive_pdu()
            if kind != 2:
                raise ConnectionLost(f"the association was not accepted: PDU {kind} {body[:4].hex()}")
        except BaseException:
            self._socket.close()
            raise
        self.results = {offered[number]: result for number, result in _answered_contexts(body)}
        self._numbers = {pair: number for number, pair in offered.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def store(self, pair: tuple[str, str], sop_instance: str, content: bytes) -> tuple[int, str]:
        """C-STORE any bytes as an object of the pair's class, in its transfer syntax: (status, Error Comment)."""
        self.send(self.store_request(pair, sop_instance, content))
        return self.answer()

    def store_request(self, pair: tuple[str, str], sop_instance: str, content: bytes) -> bytes:
        """The PDUs of a request."""
        number = self._numbers[pair]
        command = pdvs((number, _COMMAND | _LAST, store_command(pair[0], sop_instance)))
        return command + b"".join(_data_pdus(number, content))

    def report(
        self, pair: tuple[str, str], content: bytes | None, *, event_type: int = 1, sop_class: str | None = None
    ) -> int:
        """N-EVENT-REPORT with any bytes as its information, in the pair's context: the status."""
        self.send(self.report_request(pair, content, event_type=event_type, sop_class=sop_class))
        return self.answer()[0]

    def report_request(
        self, pair: tuple[str, str], content: bytes | None, *, event_type: int = 1, sop_class: str | None = None
    ) -> bytes:
        """The PDUs of a report."""
        number = self._numbers[pair]
        command = _command(
            (0x0002, sop_class or pair[0]),
            (0x0100, _EVENT_REPORT_RQ),
            (0x0110, 1),
            (0x0800, _NO_DATA_SET if content is None else 1),
            (0x1000, f"{pair[0]}.1"),
            (0x1002, event_type),
        )
        data = [] if content is None else _data_pdus(number, content)
        return pdvs((number, _COMMAND | _LAST, command)) + b"".join(data)

    def echo(self) -> int:
        """C-ECHO: the status."""
        command = _command((0x0002, VERIFICATION), (0x0100, _ECHO_RQ), (0x0110, 1), (0x0800, _NO_DATA_SET))
        self._socket.sendall(pdvs((1, _COMMAND | _LAST, command)))
        return self.answer()[0]

    def answer(self) -> tuple[int, str]:
        """The next response: (status, Error Comment)."""
        command = b""
        while True:
            kind, body = self.receive_pdu()
            if kind != 4:
                raise ConnectionLost(f"PDU {kind} {body[:4].hex()} instead of an answer")
            header = body[5]
            command += body[6:]
            if header & _LAST:
                break
        elements = dict(_elements(command))
        return struct.unpack("<H", elements[0x0900])[0], elements.get(0x0902, b"").decode().strip(" \0")

    def release(self) -> None:
        """A-RELEASE and its answer."""
        self.send(_pdu(5, bytes(4)))
        kind, _ = self.receive_pdu()
        assert kind == 6

    def send(self, content: bytes) -> None:
        """Any bytes at all."""
        self._socket.sendall(content)

    def receive_pdu(self) -> tuple[int, bytes]:
        """(type, body) of the next PDU. ConnectionLost when there is none, TimeoutError when nothing comes."""
        kind, _, length = struct.unpack(">BBL", self._receive(6))
        return kind, self._receive(length)

    def _receive(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            try:
                piece = self._socket.recv(count - len(content))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise ConnectionLost("the connection was closed")
            content += piece
        return content


def echo(port: int) -> bool:
    """Whether a new association is accepted, answers C-ECHO and is released."""
    with Peer(port) as peer:
        status = peer.echo()
        peer.release()
    return status == 0


def store_command(sop_class: str, sop_instance: str, *, message: int = 1) -> bytes:
    """The command set of a C-STORE request (PS3.7 section 9.3.1)."""
    return _command(
        (0x0002, sop_class), (0x0100, _STORE_RQ), (0x0110, message), (0x0700, 0), (0x0800, 1), (0x1000, sop_instance)
    )


def pdvs(*values: tuple[int, int, bytes]) -> bytes:
    """A P-DATA-TF PDU of presentation data values: (context id, message control header, fragment)."""
    body = b"".join(
        struct.pack(">LBB", len(fragment) + 2, number, header) + fragment for number, header, fragment in values
    )
    return struct.pack(">BBL", 4, 0, len(body)) + body


def _data_pdus(number: int, content: bytes, size: int = 65536) -> list[bytes]:
    pieces = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    return [pdvs((number, _LAST if index == len(pieces) - 1 else 0, piece)) for index, piece in enumerate(pieces)]


def _command(*elements: tuple[int, str | int]) -> bytes:
    encoded = b""
    for element, value in elements:
        content = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        content += bytes(len(content) % 2)
        encoded += struct.pack("<HHL", 0, element, len(content)) + content
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def _elements(command: bytes) -> list[tuple[int, bytes]]:
    found, position = [], 0
    while position + 8 <= len(command):
        _, element, length = struct.unpack_from("<HHL", command, position)
        found.append((element, command[position + 8 : position + 8 + length]))
        position += 8 + length
    return found


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def associate_request(pairs: Sequence[tuple[str, str]], *, calling: str = "HOSTILE") -> bytes:
    """An A-ASSOCIATE-RQ PDU that proposes each pair in a context of its own: 1, 3, 5 and so on."""
    contexts = b"".join(
        _item(
            0x20,
            bytes([number, 0, 0, 0]) + _item(0x30, abstract.encode()) + _item(0x40, transfer.encode()),
        )
        for number, (abstract, transfer) in zip(range(1, 256, 2), pairs, strict=False)
    )
    user = _item(0x50, _item(0x51, struct.pack(">L", 1 << 17)) + _item(0x52, b"1.2.826.0.1.3680043.8.498.1"))
    head = struct.pack(">HH16s16s32x", 1, 0, b"OCUNET".ljust(16), calling.encode().ljust(16))
    return _pdu(1, head + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)


def _answered_contexts(body: bytes) -> list[tuple[int, int]]:
    """(context id, result) of an A-ASSOCIATE-AC."""
    found, position = [], 68
    while position + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, position)
        content = body[position + 4 : position + 4 + length]
        if kind == 0x21:
            found.append((content[0], content[2]))
        position += 4 + length
    return found
