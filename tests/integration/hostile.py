"""Two hundred pictures that somebody made, or broke, to hurt a decoder; the same ones each time."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames

from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.unit.imaging.conftest import encode, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

COUNT = 200
EYE = draw_fundus(seed=5, laterality=Laterality.LEFT, size=(160, 128))
_JPEG = encode(EYE, "JPEG")
_COMPRESSED = (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless)
_ENCAPSULATED = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2K,
    uid.RLELossless,
)
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def hostile() -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    """Name, file, and the reason that must be given; None where pixels or any reason will do."""
    dice = random.Random(20240506)
    made = list(_described_wrongly())
    made += list(_streams_of_other_kinds())
    made += list(_encapsulated_wrongly())
    made += list(_garbage(dice))
    made += list(_bombs())
    bases = list(_bases().items())
    made += [
        (f"cut-{name}-{share}", content[: int(share * len(content))], None)
        for name, content in bases
        for share in (0.02, 0.3, 0.6, 0.9, 0.98, 0.999)
    ]
    for number in range(COUNT - len(made)):
        name, content = bases[number % len(bases)]
        changed = bytearray(content)
        for _ in range(dice.choice((1, 3, 30))):
            changed[int(dice.random() ** dice.choice((1, 3)) * len(changed))] ^= 1 << dice.randrange(8)
        made.append((f"flipped-{number}-{name}", bytes(changed), None))
    assert len({name for name, _, _ in made}) == COUNT
    yield from made


def written(ds: Dataset) -> bytes:
    """The Part 10 file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def jpeg_object(stream: bytes = _JPEG, syntax: str = uid.JPEGBaseline8Bit, **attributes: object) -> Dataset:
    """An object around one compressed frame."""
    ds = plain(EYE, **{"PhotometricInterpretation": "YBR_FULL_422", **attributes})
    ds.PixelData = encapsulate([stream])
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def _bases() -> dict[str, bytes]:
    bases = {"jpeg": written(jpeg_object()), "raw": written(plain(EYE))}
    bases["progressive"] = written(jpeg_object(encode(EYE, "JPEG", progressive=True)))
    for syntax in _COMPRESSED:
        ds = plain(EYE)
        ds.compress(syntax)
        bases[uid.UID(syntax).keyword] = written(ds)
    deflated = plain(EYE)
    deflated.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    bases["deflated"] = written(deflated)
    return bases


def _with_size(stream: bytes, height: int, width: int, marker: bytes = b"\xff\xc0") -> bytes:
    start = stream.index(marker)
    return stream[: start + 5] + struct.pack(">HH", height, width) + stream[start + 9 :]


def _described_wrongly() -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    for name, side, code in (("tiny", 1, ReasonCode.TOO_SMALL), ("huge", 30_000, ReasonCode.TOO_LARGE)):
        yield f"{name}-raw", written(plain(EYE, Rows=side, Columns=side)), code
        yield f"{name}-header", written(jpeg_object(Rows=side, Columns=side)), code
        both = jpeg_object(_with_size(_JPEG, side, side), Rows=side, Columns=side)
        yield f"{name}-both", written(both), code
    for rows, columns in ((30_000, 30_000), (65_535, 65_535), (0, 0), (128, 161), (64, 160), (7_900, 8_000)):
        stream = _with_size(_JPEG, rows, columns)
        yield f"stream-{rows}x{columns}", written(jpeg_object(stream)), ReasonCode.UNREADABLE_PIXELS
    yield "taller-than-its-data", written(jpeg_object(_with_size(_JPEG, 7_900, 8_000), Rows=7_900, Columns=8_000)), None
    for rows, columns in ((127, 160), (128, 159), (160, 128), (1_000, 1_000), (7_900, 8_000)):
        yield f"said-{rows}x{columns}", written(jpeg_object(Rows=rows, Columns=columns)), ReasonCode.UNREADABLE_PIXELS
    for frames in (1_000, 2, 2**31 - 1):
        yield f"claims-{frames}-jpeg", written(jpeg_object(NumberOfFrames=frames)), ReasonCode.UNREADABLE_PIXELS
        yield f"claims-{frames}-raw", written(plain(EYE, NumberOfFrames=frames)), ReasonCode.UNREADABLE_PIXELS
    for allocated, stored, high in ((8, 12, 11), (16, 16, 15), (32, 32, 31), (1, 1, 0), (8, 8, 200)):
        ds = plain(EYE, BitsAllocated=allocated, BitsStored=stored, HighBit=high)
        yield f"bits-{allocated}-{stored}-{high}", written(ds), ReasonCode.UNREADABLE_PIXELS
    for photometric in ("MONOCHROME2", "CMYK", "PALETTE COLOR", "YBR_PARTIAL_420", "YBR_FULL_422", "XYZ"):
        yield f"called-{photometric}", written(plain(EYE, PhotometricInterpretation=photometric)), None


def _streams_of_other_kinds() -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    cmyk = io.BytesIO()
    Image.fromarray(EYE).convert("CMYK").save(cmyk, "JPEG")
    grey = encode(EYE[:, :, 1], "JPEG")
    deep = bytearray(_JPEG)
    deep[_JPEG.index(b"\xff\xc0") + 4] = 12
    yield "cmyk", written(jpeg_object(cmyk.getvalue())), ReasonCode.PHOTOMETRIC
    yield "grey", written(jpeg_object(grey)), ReasonCode.NOT_COLOUR
    yield "12-bit", written(jpeg_object(bytes(deep))), ReasonCode.TRANSFER_SYNTAX
    for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xF7):
        stream = _JPEG.replace(b"\xff\xc0", bytes((0xFF, marker)), 1)
        yield f"sof-{marker:02x}", written(jpeg_object(stream)), None
    progressive = encode(EYE, "JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    many = progressive[:-2] + (progressive[scan:-2]) * 400 + b"\xff\xd9"
    yield "many-scans", written(jpeg_object(many)), None
    yield "thumbnail-first", written(jpeg_object(_JPEG[:2] + _JPEG + _JPEG[2:])), None
    for syntax in _ENCAPSULATED[2:]:
        yield f"jpeg-under-{uid.UID(syntax).keyword}", written(jpeg_object(syntax=syntax)), None


def _encapsulated_wrongly() -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    whole = struct.pack("<I", len(_JPEG)) + _JPEG
    bodies = {
        "nothing": b"",
        "no-table": _ITEM + whole + _DELIMITER,
        "empty-fragment": _ITEM + bytes(4) + _ITEM + bytes(4) + _DELIMITER,
        "empty-then-whole": _ITEM + bytes(4) + _ITEM + bytes(4) + _ITEM + whole + _DELIMITER,
        "no-delimiter": _ITEM + bytes(4) + _ITEM + whole,
        "undefined-length": _ITEM + bytes(4) + _ITEM + b"\xff\xff\xff\xff" + _JPEG + _DELIMITER,
        "length-past-end": _ITEM + bytes(4) + _ITEM + b"\xfe\xff\xff\x7f" + _JPEG + _DELIMITER,
        "offset-past-end": _ITEM + b"\x04\0\0\0\xf0\xff\xff\xff" + _ITEM + whole + _DELIMITER,
        "odd-table": _ITEM + b"\x03\0\0\0abc" + _ITEM + whole + _DELIMITER,
        "nested": _ITEM + bytes(4) + _ITEM + struct.pack("<I", len(whole) + 4) + _ITEM + whole + _DELIMITER,
        "ten-thousand-fragments": _ITEM + bytes(4) + (_ITEM + b"\x02\0\0\0ab") * 10_000 + _DELIMITER,
        "delimiter-first": _DELIMITER + _ITEM + whole,
    }
    for name, body in bodies.items():
        content = written(jpeg_object())
        start = content.index(_ITEM)
        yield f"encapsulated-{name}", content[:start] + body, None
    content = written(jpeg_object())
    named = content.index(b"1.2.840.10008.1.2.4.50")
    yield "encapsulated-as-native", content[:named] + b"1.2.840.10008.1.2.1\0\0\0" + content[named + 22 :], None
    deep = b"\x40\x00\x55\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3_000
    yield "sequences-3000-deep", content[: content.index(b"\x28\x00\x02\x00US")] + deep, None


def _garbage(dice: random.Random) -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    for syntax in _ENCAPSULATED:
        keyword = uid.UID(syntax).keyword
        noise = dice.randbytes(5_000)
        yield f"noise-{keyword}", written(jpeg_object(noise, syntax, PhotometricInterpretation="RGB")), None
    for syntax in _COMPRESSED:
        # A sound beginning keeps the decoder going until it meets what nobody encoded.
        ds = plain(EYE)
        ds.compress(syntax)
        stream = next(generate_frames(ds.PixelData, number_of_frames=1))
        for kept in (70, 200, 2_000):
            body = stream[:kept] + dice.randbytes(20_000)
            attributes = {"PhotometricInterpretation": "RGB"}
            yield (
                f"noise-after-{kept}-{uid.UID(syntax).keyword}",
                written(jpeg_object(body, syntax, **attributes)),
                None,
            )
    yield "zeros", bytes(100_000), ReasonCode.NOT_DICOM
    yield "only-a-prefix", bytes(128) + b"DICM", ReasonCode.UNREADABLE_DATASET
    yield "empty", b"", ReasonCode.NOT_DICOM


def _bombs() -> Iterator[tuple[str, bytes, ReasonCode | None]]:
    head = written(plain(EYE)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    meta = bytearray(head[: head.index(b"\x08\x00\x16\x00UI")])
    meta[140:144] = struct.pack("<I", len(meta) - 144)
    meta[meta.index(b"1.2.840.10008.1.2.1.99") - 2] = 22
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = b"\x08\x00\x05\x00CS\0\0" + b"\x28\x00\x00\x30OB\0\0" + struct.pack("<I", 0xF0000000)
    zeros = deflater.compress(start) + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(700))
    yield "deflate-bomb", bytes(meta) + zeros + deflater.flush(), ReasonCode.TOO_LARGE
    flat = np.zeros((7_900, 8_000, 3), np.uint8)
    largest = encode(flat, "JPEG", subsampling=0, progressive=True, quality=20)
    yield "largest-progressive", written(jpeg_object(largest, Rows=7_900, Columns=8_000)), None
