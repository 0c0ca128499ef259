"""A JPEG stream without what it says beside the picture (ISO 10918-1 section B.1.1).

Cameras and converters leave names, dates and serial numbers in application and comment segments, and behind the end of
the image; none of them changes a pixel. JFIF's own segment and Adobe's stay: they say what the colours mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOI, _EOI, _SOS, _COM, _APP0, _APP14, _APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_JFIF_BYTES: Final = 14
_ADOBE_BYTES: Final = 12


def without_metadata(stream: bytes) -> bytes:
    """The same picture; ValueError where the stream is not a whole JPEG."""
    if stream[:2] != bytes((0xFF, _SOI)):
        raise ValueError("no SOI marker")
    kept = bytearray(stream[:2])
    for marker, segment in _parts(stream):
        kept += _kept(marker, segment)
    return bytes(kept)


def _parts(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Each marker with its segment and, behind a scan's header, the scan; the last is EOI."""
    position = 2
    while True:
        while stream[position : position + 2] == b"\xff\xff":  # fill bytes
            position += 1
        if position + 2 > len(stream) or stream[position] != 0xFF:
            raise ValueError("a marker is missing")
        marker = stream[position + 1]
        end = position + 2
        if marker not in _WITHOUT_LENGTH and marker != _EOI:
            length = int.from_bytes(stream[end : end + 2], "big")
            end += length
            if length < 2 or end > len(stream):
                raise ValueError("a segment breaks off")
        if marker == _SOS:
            end = _scan_end(stream, end)
        yield marker, stream[position:end]
        if marker == _EOI:
            return
        position = end


def _scan_end(stream: bytes, position: int) -> int:
    """Where the next marker stands that is neither a stuffed byte nor a restart."""
    while True:
        position = stream.find(b"\xff", position)
        if position < 0 or position + 1 >= len(stream):
            raise ValueError("the image has no end")
        following = stream[position + 1]
        if following == 0xFF:
            position += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            position += 2
        else:
            return position


def _kept(marker: int, segment: bytes) -> bytes:
    if marker == _COM or _APP0 <= marker <= _APP15:
        if marker == _APP0 and segment[4:9] == b"JFIF\0":
            # Without its thumbnail, whose size stands in the last two bytes.
            content = segment[4 : 4 + _JFIF_BYTES - 2] + b"\0\0"
        elif marker == _APP14 and segment[4:9] == b"Adobe" and len(segment) >= 4 + _ADOBE_BYTES:
            content = segment[4 : 4 + _ADOBE_BYTES]
        else:
            return b""
        return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content
    return segment
