"""C-STORE-RSP (PS3.7 table 9.3-2) as bytes: through data sets it takes as long as reading an image's header does."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE

_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101


def store_answer(answer: C_STORE) -> bytes:
    """The command set, implicit VR little endian: elements of group 0000 in order, their length first."""
    elements = b"".join(
        (
            _uid(0x0002, answer.AffectedSOPClassUID),
            _number(0x0100, _C_STORE_RSP),
            _number(0x0120, answer.MessageIDBeingRespondedTo or 0),
            _number(0x0800, _NO_DATA_SET),
            _number(0x0900, answer.Status or 0),
            _text(0x0902, answer.ErrorComment),
            _uid(0x1000, answer.AffectedSOPInstanceUID),
        )
    )
    return _element(0x0000, struct.pack("<L", len(elements))) + elements


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, number, len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _element(number, struct.pack("<H", value))


def _uid(number: int, value: str | None) -> bytes:
    """Nothing for a request that named none."""
    if value is None:
        return b""
    content = value.encode("ascii", "replace")
    return _element(number, content + bytes(len(content) % 2))


def _text(number: int, value: str | None) -> bytes:
    if not value:
        return b""
    content = value.encode("ascii", "replace")
    return _element(number, content + b" " * (len(content) % 2))
