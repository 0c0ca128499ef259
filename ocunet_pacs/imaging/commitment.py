"""What an archive says of objects that it was asked to commit to: Event Information (PS3.4 table J.3-2), with limits.

It comes over a network, to the listener or on the association that asked. pydicom makes an object of every element and
item, which a megabyte of empty items turns into seconds and hundreds of megabytes; this goes once through the bytes,
tags and lengths only, and keeps nothing but UIDs and reasons.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.domain.study import Reason, ReasonCode

SOP_CLASS = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 section J.3)."""
SOP_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its one instance, the same everywhere (PS3.4 section J.3.5)."""
TRANSFER_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""In which requests and reports are exchanged: they are small, and everybody knows these two."""
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type IDs."""
MAX_ELEMENTS = 50_000
"""Elements and items that are passed over before a report is refused: ten thousand objects have fewer."""
MAX_DEPTH = 16
PROCESSING_FAILURE = 0x0110
"""Failure Reason of an object that failed without one."""

_TRANSACTION_UID, _FAILED, _REFERENCED = 0x00081195, 0x00081198, 0x00081199
_INSTANCE, _FAILURE_REASON = 0x00081155, 0x00081197
_KEPT = frozenset((_TRANSACTION_UID, _INSTANCE, _FAILURE_REASON))
_FOLLOWED = frozenset((_FAILED, _REFERENCED))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# VRs of PS3.5 table 7.1-1, whose length field has 32 bits.
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UID = re.compile(r"[0-9.]{1,64}")
_HEAD = struct.Struct("<HHL")


def read_commitment(content: bytes, transfer_syntax_uid: str) -> Commitment:
    """What the data set says, whichever event it came with: an object that is named as failed is not committed.

    Items that name no object are left out. BadInput (UNREADABLE_DATASET) where the data set is broken, names no
    transaction or no object at all; TOO_LARGE past the limits of this module.
    """
    explicit = transfer_syntax_uid != ImplicitVRLittleEndian
    found = _Reader(content).item(len(content), explicit=explicit, depth=0)
    transaction = _uid(found.values.get(_TRANSACTION_UID))
    if not transaction:
        raise BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "it names no transaction"))
    failed = {
        uid: _reason(item.values.get(_FAILURE_REASON))
        for item in found.sequences.get(_FAILED, ())
        if (uid := _uid(item.values.get(_INSTANCE)))
    }
    named = {_uid(item.values.get(_INSTANCE)) for item in found.sequences.get(_REFERENCED, ())} - {""}
    if not named and not failed:
        raise BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "it names no object"))
    return Commitment(transaction, frozenset(named - failed.keys()), failed)


def _uid(value: bytes | None) -> str:
    """The text of a valid UID, "" for anything else: what is no UID names nothing, and may not reach a database."""
    text = b"" if value is None else value.strip(b" \0")
    decoded = text.decode("ascii", "replace")
    return decoded if _UID.fullmatch(decoded) else ""


def _reason(value: bytes | None) -> int:
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else PROCESSING_FAILURE


@dataclass(slots=True)
class _Item:
    """Of a data set or an item, what is asked for."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: dict[int, list[_Item]] = field(default_factory=dict)


class _Reader:
    """Goes forward through the bytes of a data set."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._passed = 0

    def item(self, end: int | None, *, explicit: bool, depth: int) -> _Item:
        """The elements up to `end`, or to the delimiter where it is None."""
        if depth > MAX_DEPTH:
            raise _broken()
        found = _Item()
        while end is None or self._at < end:
            tag, nested_explicit, length = self._element(explicit=explicit)
            if tag == _ITEM_END:
                if end is not None:
                    raise _broken()
                return found
            if tag in _FOLLOWED or length == _UNDEFINED:
                stop = None if length == _UNDEFINED else self._within(length)
                items = self._sequence(stop, explicit=nested_explicit, depth=depth)
                if tag in _FOLLOWED:
                    found.sequences[tag] = items
            else:
                stop = self._within(length)
                if tag in _KEPT and length <= 128:
                    found.values[tag] = self._content[self._at : stop]
                self._at = stop
        if self._at != end:
            raise _broken()
        return found

    def _sequence(self, end: int | None, *, explicit: bool, depth: int) -> list[_Item]:
        """The items up to `end`, or to the delimiter where it is None."""
        items: list[_Item] = []
        while end is None or self._at < end:
            tag, length = self._head()
            if tag == _SEQUENCE_END and end is None:
                return items
            if tag != _ITEM:
                raise _broken()
            stop = None if length == _UNDEFINED else self._within(length)
            items.append(self.item(stop, explicit=explicit, depth=depth + 1))
        if self._at != end:
            raise _broken()
        return items

    def _element(self, *, explicit: bool) -> tuple[int, bool, int]:
        """Of the next element: (tag, whether what nests in it is explicit, length)."""
        tag, length = self._head()
        vr = self._content[self._at - 4 : self._at - 2]
        if not explicit or tag == _ITEM_END or not (vr.isalpha() and vr.isupper()):
            # Some writers fall back to implicit VR inside an explicit data set; the four bytes are then a length.
            return tag, False, length
        if vr not in _LONG:
            return tag, True, length >> 16
        stop = self._within(4)
        length = int.from_bytes(self._content[self._at : stop], "little")
        self._at = stop
        # UN holds an implicit VR sequence, whatever the transfer syntax (PS3.5 section 6.2.2).
        return tag, vr != b"UN", length

    def _head(self) -> tuple[int, int]:
        """(tag, the four bytes behind it as a length)."""
        self._passed += 1
        if self._passed > MAX_ELEMENTS:
            raise BadInput(Reason(ReasonCode.TOO_LARGE, f"it has more than {MAX_ELEMENTS:,} elements"))
        stop = self._within(8)
        group, element, length = _HEAD.unpack_from(self._content, self._at)
        self._at = stop
        return group << 16 | element, length

    def _within(self, length: int) -> int:
        """Where the next `length` bytes end."""
        stop = self._at + length
        if stop > len(self._content):
            raise _broken()
        return stop


def _broken() -> BadInput:
    return BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "its data set is broken"))
