"""The head of a Part 10 file (PS3.10 section 7.1): ours, for what we store, and a sender's, to be read."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.imaging.part10 import quiet

IMPLEMENTATION_CLASS_UID = derive_uid("implementation")
IMPLEMENTATION_VERSION_NAME = "OCUNET_PACS"
LONGEST_HEAD = 1 << 16
"""Bytes: real heads have a few hundred."""
_ELEMENTS_FROM = 132
_SOP_INSTANCE_UID = 0x00080018
_LONG_FORM = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))


class BadHead(Exception):
    """The bytes do not begin as a Part 10 file begins; the text says why, without any of them."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a sender's File Meta Information says, stripped of padding ("" where it says nothing).

    The data set begins `length` bytes into the file.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length: int


def read_head(start: bytes | bytearray) -> Head | None:
    """The head of a file that starts with these bytes; None where it goes on behind them. BadHead.

    The elements decide where the head ends, not the group length, which some writers get wrong; a deflated data set
    alone may look like anything, so there the length is believed.
    """
    if bytes(start[128:_ELEMENTS_FROM]) != b"DICM"[: max(0, len(start) - 128)]:
        raise BadHead("the file has no DICM prefix")
    values: dict[int, bytes] = {}
    position, declared_end = _ELEMENTS_FROM, 0
    while True:
        if position > LONGEST_HEAD:
            raise BadHead("its file meta information is too long")
        deflated = _uid(values.get(0x0010, b"")) == DeflatedExplicitVRLittleEndian
        if len(start) < position + 8 and not (deflated and position == declared_end):
            return None
        if start[position : position + 2] != b"\x02\x00" or (deflated and position == declared_end):
            break
        number, vr, length, position = _element_at(start, position)
        if position + length > LONGEST_HEAD:
            raise BadHead("its file meta information is too long")
        values[number] = bytes(start[position : position + length])
        position += length
        if number == 0x0000 and vr == b"UL" and len(values[number]) == 4:
            declared_end = position + int(struct.unpack("<L", values[number])[0])
    sop_class, instance, syntax = (_uid(values.get(number, b"")) for number in (0x0002, 0x0003, 0x0010))
    return Head(sop_class, instance, syntax, position)


def uids_of(start: bytes, transfer_syntax_uid: str) -> tuple[str, str]:
    """SOP Class and Instance UID of a data set that starts with these bytes; "" where they do not stand there."""
    with suppress(Exception), quiet():
        found = read_dataset(
            BytesIO(start),
            is_implicit_VR=transfer_syntax_uid == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax_uid != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: tag > _SOP_INSTANCE_UID,
        )
        return str(found.get("SOPClassUID", "")), str(found.get("SOPInstanceUID", ""))
    return "", ""


def _element_at(start: bytes | bytearray, position: int) -> tuple[int, bytes, int, int]:
    """Number, VR, length and place of the value of the element of group 0002 there."""
    number, vr, length = struct.unpack_from("<H2sH", start, position + 2)
    if not (vr.isalpha() and vr.isupper()):
        raise BadHead("its file meta information is not in explicit VR little endian")
    if vr not in _LONG_FORM:
        return number, vr, length, position + 8
    if len(start) < position + 12:
        # The value is beyond what is there; where exactly does not matter yet.
        return number, vr, 0, position + 12
    return number, vr, int(struct.unpack_from("<L", start, position + 8)[0]), position + 12


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> bytes:
    """Preamble, prefix and File Meta Information, so that the data set can follow byte for byte as it arrives.

    Built by hand because the UIDs are the sender's and may be anything: here they are bytes, no longer than 64, and
    whether they are good enough is decided when the whole object is there.
    """
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _text(sop_class_uid, 64)),
            _element(0x0003, b"UI", _text(sop_instance_uid, 64)),
            _element(0x0010, b"UI", _text(transfer_syntax_uid, 64)),
            _element(0x0012, b"UI", _text(IMPLEMENTATION_CLASS_UID, 64)),
            _element(0x0013, b"SH", _text(IMPLEMENTATION_VERSION_NAME, 16)),
            _element(0x0016, b"AE", _text(source_ae_title, 16)),
        )
    )
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


def _text(value: str, longest: int) -> bytes:
    return value.encode("ascii", "replace")[:longest]


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """An element of group 0002, explicit VR little endian."""
    if len(value) % 2:
        value += b"\x00" if vr == b"UI" else b" "
    if vr == b"OB":
        return struct.pack("<HH2sHL", 0x0002, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value
