"""Whether a data set is all there: a connection may break, or a sender's disk fill up, in the middle of an element.

Parsers that read only the header never look at the end of the file, and those that do take a short last value as it
is. This walk reads tags and lengths only (PS3.5 section 7.1 and annex A), never a value: a few reads per image.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

if TYPE_CHECKING:
    from pathlib import Path

_UNDEFINED = 0xFFFFFFFF
_ITEM = (0xFFFE, 0xE000)
_ITEM_END = (0xFFFE, 0xE00D)
_SEQUENCE_END = (0xFFFE, 0xE0DD)
# VRs of PS3.5 table 7.1-1, whose length field has 32 bits; every other VR has a 16-bit length.
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_MAX_DEPTH = 32
_BLOCK = 1 << 16


class _Incomplete(Exception):
    """The data set ends in the middle of an element, or what is there cannot be elements."""


def is_complete(path: Path, transfer_syntax_uid: str) -> bool:
    """Whether the DICOM file's data set ends where its last element ends.

    False for a data set that was cut anywhere but exactly between two of its top-level elements (such a cut cannot be
    seen). Padding of zeros behind the last element is tolerated. `path` is a Part 10 file (PS3.10) with preamble.
    """
    with path.open("rb") as file:
        _skip_file_meta(file)
        if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            return _deflate_ends(file)
        start = file.tell()
        end = file.seek(0, 2)
        file.seek(start)
        walk = _Walk(file, end, big=transfer_syntax_uid == ExplicitVRBigEndian)
        try:
            walk.top_level(explicit=transfer_syntax_uid != ImplicitVRLittleEndian)
        except _Incomplete:
            return False
        return end > start


def _skip_file_meta(file: BinaryIO) -> None:
    """Leave the file at its data set. We wrote the group length ourselves: (0002,0000) UL, always explicit LE."""
    file.seek(132)
    head = file.read(12)
    file.seek(struct.unpack("<L", head[8:])[0], 1)


def _deflate_ends(file: BinaryIO) -> bool:
    """Whether the deflated stream (PS3.5 section A.5) reaches its own end; unpacked in pieces that are thrown away."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    pending = file.read(_BLOCK)
    try:
        while pending and not inflate.eof:
            inflate.decompress(pending, _BLOCK)
            pending = inflate.unconsumed_tail or file.read(_BLOCK)
    except zlib.error:
        return False
    return inflate.eof


class _Walk:
    def __init__(self, file: BinaryIO, end: int, *, big: bool) -> None:
        self._file = file
        self._end = end
        order = ">" if big else "<"
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "L")

    def top_level(self, *, explicit: bool) -> None:
        """Pass over all elements up to the file's end."""
        while not self._only_zeros_left():
            self._value(*self._header(explicit=explicit), depth=0)

    def _item(self, *, explicit: bool, depth: int) -> None:
        """Pass over the elements of an item of undefined length, its delimiter included."""
        if depth > _MAX_DEPTH:
            raise _Incomplete
        while True:
            here = self._file.tell()
            if self._read_tag() == _ITEM_END:
                self._skip(self._read_long())
                return
            self._file.seek(here)
            self._value(*self._header(explicit=explicit), depth=depth)

    def _header(self, *, explicit: bool) -> tuple[bool, int]:
        """Pass over tag, VR and length: (whether elements nested in the value are explicit, length of the value)."""
        self._read_tag()
        if not explicit:
            return False, self._read_long()
        vr = self._read(2)
        if not (vr.isalpha() and vr.isupper()):
            # Some writers fall back to implicit VR inside an explicit data set; the four bytes are then a length.
            return False, int(self._long.unpack(vr + self._read(2))[0])
        if vr not in _LONG:
            return True, int(self._short.unpack(self._read(2))[0])
        self._read(2)
        # UN of undefined length holds an implicit VR sequence, whatever the transfer syntax (PS3.5 section 6.2.2).
        return vr != b"UN", self._read_long()

    def _value(self, explicit: bool, length: int, *, depth: int) -> None:  # noqa: FBT001 - a pair from _header
        """Pass over a value; one of undefined length is items (or fragments) up to the sequence's delimiter."""
        if length != _UNDEFINED:
            self._skip(length)
            return
        while True:
            tag = self._read_tag()
            length = self._read_long()
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _Incomplete
            if length == _UNDEFINED:
                self._item(explicit=explicit, depth=depth + 1)
            else:
                self._skip(length)

    def _only_zeros_left(self) -> bool:
        """Whether nothing but padding is left: group 0000 is no element of a data set."""
        here = self._file.tell()
        while (piece := self._file.read(8)) == bytes(8):
            pass
        if not any(piece):
            return True
        self._file.seek(here)
        return False

    def _skip(self, length: int) -> None:
        if self._file.tell() + length > self._end:
            raise _Incomplete
        self._file.seek(length, 1)

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise _Incomplete
        return data

    def _read_tag(self) -> tuple[int, int]:
        group, element = self._tag.unpack(self._read(4))
        return group, element

    def _read_long(self) -> int:
        return int(self._long.unpack(self._read(4))[0])
