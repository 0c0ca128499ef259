"""The head of a Part 10 file (PS3.10 section 7.1) for a data set that arrives without one."""

from __future__ import annotations

import struct

from ocunet_pacs.domain.result import derive_uid

IMPLEMENTATION_CLASS_UID = derive_uid("implementation")
IMPLEMENTATION_VERSION_NAME = "OCUNET_PACS"


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
