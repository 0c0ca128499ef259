"""What a compressed frame says about itself, read from its markers before anything is decoded.

A decoder sets memory aside for the size in the stream, not for the one in the data set: so that is checked first.
"""

from __future__ import annotations

from dataclasses import dataclass

_NO_PAYLOAD = frozenset({0x01, *range(0xD0, 0xD9)})
_NOT_A_FRAME_HEADER = frozenset({0xC4, 0xC8, 0xCC})
"""DHT, JPG and DAC lie in the range of the SOFn markers."""
_LOSSLESS = 0xC3
_JPEG_LS = 0xF7
_SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream: SOC, and the SIZ marker that must follow it (ISO 15444-1 section A.5)."""
_COD = 0x52
_TILE_STARTS = 0x90


@dataclass(frozen=True, slots=True)
class Codestream:
    """Facts of one frame. `sampling` and `component_ids` have one entry for each of the `components` of a JPEG.

    `frame_marker` is the second byte of a JPEG's SOFn (0xC0 baseline, 0xC3 lossless, 0xF7 JPEG-LS), 0 for JPEG 2000.
    `adobe_transform`: 0 as they are, 1 YCbCr, None without an Adobe segment. `colour_transform` is for JPEG 2000
    (whether components were decorrelated).
    """

    width: int
    height: int
    precision: int
    components: int
    frame_marker: int = 0
    component_ids: tuple[int, ...] = ()
    sampling: tuple[tuple[int, int], ...] = ()
    jfif: bool = False
    adobe_transform: int | None = None
    colour_transform: bool = False

    @property
    def lossless_jpeg(self) -> bool:
        """JPEG process 14."""
        return self.frame_marker == _LOSSLESS

    @property
    def subsampled(self) -> bool:
        """Whether some component has fewer samples than another: nobody does that to red, green or blue."""
        return len(set(self.sampling)) > 1


def read_jpeg(stream: bytes) -> Codestream:
    """Facts of a JPEG (ISO 10918-1 section B.2) or JPEG-LS stream. ValueError where there is no frame header."""
    if stream[:2] != b"\xff\xd8":
        raise ValueError("no SOI marker")
    position, jfif, adobe = 2, False, None
    while True:
        marker, position = _next_marker(stream, position)
        if marker in _NO_PAYLOAD:
            continue
        length = int.from_bytes(stream[position : position + 2], "big")
        segment = stream[position + 2 : position + length]
        if length < 2 or len(segment) != length - 2:
            raise ValueError("a marker segment breaks off")
        position += length
        if marker == 0xE0 and segment[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        elif marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME_HEADER):
            return _frame_header(marker, segment, jfif=jfif, adobe=_after_frame_header(stream, position, adobe))
        elif marker in (0xD9, 0xDA):
            raise ValueError("no frame header before the scan")


def read_jpeg2000(stream: bytes) -> Codestream:
    """Facts of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file. ValueError where there is none."""
    start = stream.find(_SIZ)
    siz = stream[start + 4 : start + 4 + 38]
    if start < 0 or len(siz) < 38:
        raise ValueError("no SIZ marker")
    right, bottom, left, top = (int.from_bytes(siz[i : i + 4], "big") for i in (4, 8, 12, 16))
    components = int.from_bytes(siz[36:38], "big")
    table = stream[start + 42 : start + 42 + 3 * components]
    if not components or len(table) != 3 * components or right <= left or bottom <= top:
        raise ValueError("a broken SIZ segment")
    if len({table[i] for i in range(0, len(table), 3)}) > 1 or table[0] & 0x80:
        raise ValueError("components of different depths, or signed ones")
    return Codestream(
        width=right - left,
        height=bottom - top,
        precision=(table[0] & 0x7F) + 1,
        components=components,
        sampling=tuple((table[i + 1], table[i + 2]) for i in range(0, len(table), 3)),
        colour_transform=_decorrelates(stream, start + 2),
    )


def _next_marker(stream: bytes, position: int) -> tuple[int, int]:
    """The next marker's code and where its segment begins; stray bytes and fill bytes are passed over."""
    position = stream.find(b"\xff", position)
    while 0 <= position < len(stream) - 1:
        if stream[position + 1] not in (0x00, 0xFF):
            return stream[position + 1], position + 2
        position = stream.find(b"\xff", position + 1)
    raise ValueError("the stream breaks off")


def _frame_header(marker: int, segment: bytes, *, jfif: bool, adobe: int | None) -> Codestream:
    components = segment[5] if len(segment) > 5 else 0
    if not components or len(segment) < 6 + 3 * components:
        raise ValueError("a broken frame header")
    table = segment[6 : 6 + 3 * components]
    return Codestream(
        width=int.from_bytes(segment[3:5], "big"),
        height=int.from_bytes(segment[1:3], "big"),
        precision=segment[0],
        components=components,
        frame_marker=marker,
        component_ids=tuple(table[::3]),
        sampling=tuple((hv >> 4, hv & 15) for hv in table[1::3]),
        jfif=jfif,
        adobe_transform=adobe,
    )


def _after_frame_header(stream: bytes, position: int, adobe: int | None) -> int | None:
    """The Adobe segment may also stand between the frame header and the scan."""
    while True:
        marker, position = _next_marker(stream, position)
        if marker in _NO_PAYLOAD:
            continue
        if marker in (0xD9, 0xDA):
            return adobe
        length = int.from_bytes(stream[position : position + 2], "big")
        if length < 2:
            raise ValueError("a marker segment breaks off")
        if marker == 0xEE and stream[position + 2 : position + 7] == b"Adobe" and length >= 14:
            adobe = stream[position + 13]
        position += length


def _decorrelates(stream: bytes, position: int) -> bool:
    """Whether the COD segment (ISO 15444-1 section A.6.1) of the main header asks for a component transform."""
    while len(stream) >= position + 4 and stream[position] == 0xFF and stream[position + 1] != _TILE_STARTS:
        if stream[position + 1] == _COD:
            return len(stream) > position + 8 and stream[position + 8] == 1
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    raise ValueError("no COD segment")
