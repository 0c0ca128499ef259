"""Every file of pydicom's own test data that is installed with it, as data sets to send."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.filereader import read_dataset

from tests.integration.upper_layer import EXPLICIT, IMPLICIT

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NO_CLASS = "1.2.3.4.5"


@dataclass(frozen=True)
class OddFile:
    """The data set's bytes and what the file says about itself, as far as that can be read."""

    name: str
    content: bytes
    transfer_syntax: str
    sop_class: str
    sop_instance: str

    def with_class(self, sop_class: str) -> bytes:
        """The data set with another SOP Class UID in place of its own; unchanged where it has none."""
        if self.transfer_syntax == DEFLATED:
            try:
                inflated = zlib.decompress(self.content, -zlib.MAX_WBITS)
            except zlib.error:
                return self.content
            squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            return squeeze.compress(_replaced(inflated, EXPLICIT, sop_class)) + squeeze.flush()
        return _replaced(self.content, self.transfer_syntax, sop_class)


def odd_files() -> list[OddFile]:
    """All of them, the ones that are no DICOM included, by name."""
    root = Path(pydicom.__file__).parent / "data"
    paths = [
        path
        for part in ("test_files", "charset_files", "palettes")
        for path in sorted((root / part).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    found = [_read(str(path.relative_to(root)), path.read_bytes()) for path in paths]
    packed = [(str(path.relative_to(root)), path) for path in paths if path.suffix == ".gz"]
    return found + [_read(f"{name} unpacked", gzip.decompress(path.read_bytes())) for name, path in packed]


def _read(name: str, content: bytes) -> OddFile:
    syntax, meta_class, meta_instance = "", "", ""
    start = 0
    if content[128:132] == b"DICM":
        stream = BytesIO(content)
        stream.seek(132)
        meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        start = stream.tell()
        syntax = str(meta.get("TransferSyntaxUID", ""))
        meta_class = str(meta.get("MediaStorageSOPClassUID", ""))
        meta_instance = str(meta.get("MediaStorageSOPInstanceUID", ""))
    content = content[start:]
    if not syntax:
        # A bare data set: an upper-case VR after the first tag means explicit.
        syntax = EXPLICIT if content[4:6].isalpha() and content[4:6].isupper() else IMPLICIT
    plain = content
    if syntax == DEFLATED:
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content)
    return OddFile(
        name,
        content,
        syntax,
        _uid(plain, syntax, 0x16) or meta_class or NO_CLASS,
        _uid(plain, syntax, 0x18) or meta_instance or "1.2.3.4",
    )


def _place(content: bytes, syntax: str, element: int) -> re.Match[bytes] | None:
    """Where (0008,`element`) UI lies: groups 1 to 3 are what comes before its length, the length, its value."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    tag = re.escape(struct.pack(order + "HH", 8, element))
    length = rb"([\x00-\x40]\x00)" if order == "<" else rb"(\x00[\x00-\x40])"
    pattern = rb"(" + tag + rb"UI)" + length + rb"([0-9.]+\x00?)"
    found = re.search(pattern, content[:65536])
    if found is None:
        found = re.search(rb"(" + tag + rb")([\x00-\x40]\x00\x00\x00)([0-9.]+\x00?)", content[:65536])
    return found


def _uid(content: bytes, syntax: str, element: int) -> str:
    found = _place(content, syntax, element)
    return found[3].rstrip(b"\0").decode() if found else ""


def _replaced(content: bytes, syntax: str, sop_class: str) -> bytes:
    found = _place(content, syntax, 0x16)
    if found is None:
        return content
    value = sop_class.encode() + bytes(len(sop_class) % 2)
    order = "big" if syntax == BIG_ENDIAN else "little"
    return (
        content[: found.start()] + found[1] + len(value).to_bytes(len(found[2]), order) + value + content[found.end() :]
    )
