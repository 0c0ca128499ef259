"""Passing over a data set without taking it in: tags and lengths only (PS3.5 section 7.1 and annex A).

pydicom makes an object of every element and item, which for eight bytes on the wire is a kilobyte and 40 microseconds:
a megabyte that a sender deflated to one kilobyte would hold the listener up for seconds. This walk goes forward
through the bytes once, in a fixed amount of memory, and has limits.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_ELEMENTS = 200_000
"""Elements, items and fragments that are passed over before a data set is refused: about a second's work. A
tomography volume of a thousand frames has thirty thousand."""
MAX_INFLATED_BYTES = 1 << 29
"""A deflated data set that grows past this is refused: half a megabyte of deflated zeros is enough for that."""
MAX_DEPTH = 32

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
# VRs of PS3.5 table 7.1-1, whose length field has 32 bits; every other VR has a 16-bit length.
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_BLOCK = 1 << 16
_PREFIX_AT = 128


class Incomplete(Exception):
    """The data set ends in the middle of an element, or what is there cannot be elements."""


@contextmanager
def walking(path: Path) -> Iterator[Walk]:
    """A walk through the data set of a Part 10 file that begins as ours do, with (0002,0000).

    BadInput: NOT_DICOM without the prefix, UNREADABLE_DATASET where the file meta information names no transfer syntax.
    """
    with path.open("rb") as file:
        file.seek(_PREFIX_AT)
        if file.read(4) != b"DICM":
            raise BadInput(Reason(ReasonCode.NOT_DICOM, "the file has no DICM prefix"))
        yield Walk(file, _transfer_syntax(file))


def _transfer_syntax(file: BinaryIO) -> str:
    """From the file meta information; the file is left at its data set."""
    group_length = file.read(12)
    length = struct.unpack("<L", group_length[8:])[0] if len(group_length) == 12 else 0
    end = file.tell() + length
    try:
        found = dict(Walk(file, "", end).elements({0x00020010: 64}))
    except Incomplete:
        found = {}
    file.seek(end)
    syntax = text_of(found.get(0x00020010))
    if not syntax:
        raise BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "its file meta information names no transfer syntax"))
    return syntax


def text_of(value: bytes | None) -> str:
    """The first value of an element of ASCII text, stripped of its padding; "" where there is none."""
    return "" if value is None else value.partition(b"\\")[0].decode("ascii", "replace").strip(" \0")


class Walk:
    """One walk from where the file stands, to `end` or its end. `explicit` and `big_endian` say how it is encoded."""

    def __init__(self, file: BinaryIO, transfer_syntax_uid: str, end: int | None = None) -> None:
        self.transfer_syntax_uid = transfer_syntax_uid
        deflated = transfer_syntax_uid == DeflatedExplicitVRLittleEndian
        self.explicit = transfer_syntax_uid != ImplicitVRLittleEndian
        self.big_endian = transfer_syntax_uid == ExplicitVRBigEndian
        self._source = _Inflating(file) if deflated else _Reading(file, end)
        order = ">" if self.big_endian else "<"
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "L")
        self._passed = 0

    def elements(self, keep: Mapping[int, int], *, before: int = 1 << 32) -> Iterator[tuple[int, bytes | None]]:
        """Each top-level tag below `before`, with its value where `keep` has the tag and as many bytes suffice.

        The value of a sequence is its items as they came, with a delimiter where its length was undefined. Incomplete
        where an element ends beyond the end; BadInput (TOO_LARGE) past the limits of this module. Zeros at the end are
        padding.
        """
        while True:
            self._source.pass_zeros()
            head = self._source.read(8)
            if len(head) < 8:
                if any(head):
                    raise Incomplete
                return
            tag = self._tag_of(head)
            if tag >= before:
                return
            explicit, length = self._rest_of_header(head, explicit=self.explicit)
            if tag not in keep:
                self._value(length, explicit=explicit, depth=0)
                yield tag, None
            else:
                self._source.record(keep[tag])
                self._value(length, explicit=explicit, depth=0)
                yield tag, self._source.recorded()

    def _tag_of(self, head: bytes) -> int:
        self._passed += 1
        if self._passed > MAX_ELEMENTS:
            raise BadInput(Reason(ReasonCode.TOO_LARGE, f"its data set has more than {MAX_ELEMENTS:,} elements"))
        group, element = self._tag.unpack_from(head)
        return int(group << 16 | element)

    def _rest_of_header(self, head: bytes, *, explicit: bool) -> tuple[bool, int]:
        """Of an element whose first eight bytes were read: (whether what nests in it is explicit, its length)."""
        vr = head[4:6]
        if not explicit or not (vr.isalpha() and vr.isupper()):
            # Some writers fall back to implicit VR inside an explicit data set; the four bytes are then a length.
            return False, int(self._long.unpack_from(head, 4)[0])
        if vr not in _LONG:
            return True, int(self._short.unpack_from(head, 6)[0])
        # UN of undefined length holds an implicit VR sequence, whatever the transfer syntax (PS3.5 section 6.2.2).
        return vr != b"UN", int(self._long.unpack(self._exactly(4))[0])

    def _value(self, length: int, *, explicit: bool, depth: int) -> None:
        """Pass over a value; one of undefined length is items (or fragments) up to the sequence's delimiter."""
        if length != _UNDEFINED:
            self._source.skip(length)
            return
        while True:
            head = self._exactly(8)
            tag, length = self._tag_of(head), int(self._long.unpack_from(head, 4)[0])
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise Incomplete
            if length == _UNDEFINED:
                self._item(explicit=explicit, depth=depth + 1)
            else:
                self._source.skip(length)

    def _item(self, *, explicit: bool, depth: int) -> None:
        """Pass over the elements of an item of undefined length, its delimiter included."""
        if depth > MAX_DEPTH:
            raise Incomplete
        while True:
            head = self._exactly(8)
            if self._tag_of(head) == _ITEM_END:
                self._source.skip(int(self._long.unpack_from(head, 4)[0]))
                return
            nested_explicit, length = self._rest_of_header(head, explicit=explicit)
            self._value(length, explicit=nested_explicit, depth=depth)

    def _exactly(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) < count:
            raise Incomplete
        return data


class _Source:
    """Bytes that are gone through once, forward, a block at a time."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0
        self._record: bytearray | None = None
        self._most = 0

    def next_block(self) -> bytes:
        """The next bytes, b"" at the end."""
        raise NotImplementedError

    def pass_over(self, count: int) -> None:
        """Leave out the next `count` bytes that no block holds yet. Incomplete where there are fewer."""
        while count > 0:
            block = self.next_block()
            if not block:
                raise Incomplete
            self._block, self._at = block, min(count, len(block))
            count -= self._at

    def read(self, count: int) -> bytes:
        """`count` bytes (a few), fewer at the end."""
        end = self._at + count
        if end <= len(self._block):
            data = self._block[self._at : end]
            self._at = end
        else:
            data = self._block[self._at :]
            self._block, self._at = b"", 0
            while len(data) < count and (block := self.next_block()):
                self._at = min(count - len(data), len(block))
                self._block = block
                data += block[: self._at]
        self._note(data)
        return data

    def skip(self, count: int) -> None:
        """Pass over a value. Incomplete where the end comes first."""
        if self._record is not None and len(self._record) + count <= self._most:
            if len(self.read(count)) < count:
                raise Incomplete
            return
        # A value that is too long to keep is not kept at all.
        self._record = None
        here = min(count, len(self._block) - self._at)
        self._at += here
        if count > here:
            self.pass_over(count - here)

    def pass_zeros(self) -> None:
        """Pass over zeros, eight at a time: padding, or elements of nothing."""
        while True:
            if self._at == len(self._block):
                self._block, self._at = self.next_block(), 0
                if not self._block:
                    return
            if self._block[self._at]:
                return
            left = self._block[self._at :]
            zeros = (len(left) - len(left.lstrip(b"\0"))) & ~7
            self._at += zeros
            if zeros == 0 or self._at < len(self._block):
                return

    def record(self, most: int) -> None:
        """Keep what is read from now on, up to `most` bytes."""
        self._record, self._most = bytearray(), most

    def recorded(self) -> bytes | None:
        """What was kept, None when it was too much."""
        record, self._record = self._record, None
        return None if record is None else bytes(record)

    def _note(self, data: bytes) -> None:
        if self._record is not None:
            self._record += data
            if len(self._record) > self._most:
                self._record = None


class _Reading(_Source):
    def __init__(self, file: BinaryIO, end: int | None) -> None:
        super().__init__()
        self._file = file
        start = file.tell()
        self._left = (file.seek(0, 2) if end is None else end) - start
        file.seek(start)

    def next_block(self) -> bytes:
        block = self._file.read(min(_BLOCK, self._left))
        self._left -= len(block)
        return block

    def pass_over(self, count: int) -> None:
        if count > self._left:
            raise Incomplete
        self._file.seek(count, 1)
        self._left -= count
        self._block, self._at = b"", 0


class _Inflating(_Source):
    """The rest of a deflated file (PS3.5 section A.5)."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inflated = 0

    def next_block(self) -> bytes:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_BLOCK)
            if not packed:
                raise Incomplete
            try:
                block = self._inflate.decompress(packed, _BLOCK * 4)
            except zlib.error:
                raise Incomplete from None
            self._inflated += len(block)
            if self._inflated > MAX_INFLATED_BYTES:
                detail = f"its data set inflates past {MAX_INFLATED_BYTES:,} bytes"
                raise BadInput(Reason(ReasonCode.TOO_LARGE, detail))
            if block:
                return block
        return b""
