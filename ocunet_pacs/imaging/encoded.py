"""Encapsulated Pixel Data to RGB, frame by frame (PS3.5 section A.4)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGLosslessSV1, RLELossless

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.codestream import Codestream, read_jpeg, read_jpeg2000
from ocunet_pacs.imaging.colour import shift_down, through_palette, to_rgb
from ocunet_pacs.imaging.jpeg import decode_jpeg
from ocunet_pacs.imaging.part10 import refusal, refusing
from ocunet_pacs.imaging.pixels import JPEG_2000_SYNTAXES, JPEG_LS_SYNTAXES, JPEG_SYNTAXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.part10 import OpenedFile
    from ocunet_pacs.imaging.pixels import Pixels

_PLUGINS: MappingProxyType[str, str] = MappingProxyType(
    {
        **dict.fromkeys(JPEG_SYNTAXES, "gdcm"),
        **dict.fromkeys(JPEG_LS_SYNTAXES, "gdcm"),
        **dict.fromkeys(JPEG_2000_SYNTAXES, "pylibjpeg"),
        RLELossless: "pylibjpeg",
    }
)
"""One named codec for each syntax: which one decodes must not depend on what else is installed."""

_SEQUENTIAL_OR_PROGRESSIVE = (0xC0, 0xC1, 0xC2)


def encoded_frames(file: OpenedFile, pixels: Pixels) -> Iterator[bytes]:
    """The compressed bytes of each frame in order; BadInput where one is missing or there are more than declared."""
    assert file.pixel_offset is not None
    if file.pixel_length is not None:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "uncompressed pixels under a compressed transfer syntax")
    file.stream.seek(file.pixel_offset)
    tables = (file.dataset.get("ExtendedOffsetTable"), file.dataset.get("ExtendedOffsetTableLengths"))
    offsets = tables if all(isinstance(table, bytes) and table for table in tables) else None
    streams = generate_frames(file.stream, number_of_frames=pixels.frames, extended_offsets=offsets)
    for index in range(pixels.frames):
        stream = _next(streams)
        if not stream:
            raise refusal(ReasonCode.UNREADABLE_PIXELS, f"frame {index + 1} of {pixels.frames} is missing")
        yield stream
    if _next(streams):
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "it holds more frames than it declares")


def _next(streams: Iterator[bytes]) -> bytes:
    with refusing(ReasonCode.UNREADABLE_PIXELS, "its encapsulated frames cannot be told apart"):
        return next(streams, b"")


def decode_frame(stream: bytes, pixels: Pixels) -> RgbImage:
    """One compressed frame to uint8 (rows, columns, 3). BadInput."""
    syntax = pixels.transfer_syntax_uid
    facts = _facts(stream, pixels)
    if syntax in JPEG_SYNTAXES and facts is not None and not facts.lossless_jpeg:
        _check_lossy(facts)
        return decode_jpeg(stream, facts, declared_rgb=pixels.photometric == "RGB")
    if facts is not None:
        _check_colour_space(facts, pixels)
    samples, bits = _through_plugin(stream, pixels, facts)
    if pixels.samples == 1:
        return through_palette(samples, bits, pixels.dataset, big_endian=pixels.big_endian)
    # Inside JPEG streams, YBR_PARTIAL names are written for what JFIF defines: the full range (ITU-T T.871).
    photometric = "YBR_FULL" if pixels.photometric.startswith("YBR_PARTIAL") else pixels.photometric
    return np.require(to_rgb(samples, photometric, bits), requirements=["C", "W"])


def _facts(stream: bytes, pixels: Pixels) -> Codestream | None:
    """The stream's own facts, checked against the data set; None for RLE, which has none."""
    if pixels.transfer_syntax_uid == RLELossless:
        return None
    read = read_jpeg2000 if pixels.transfer_syntax_uid in JPEG_2000_SYNTAXES else read_jpeg
    try:
        facts = read(stream)
    except ValueError as error:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, f"its compressed frame is broken: {error}") from error
    if (facts.width, facts.height) != (pixels.columns, pixels.rows):
        raise refusal(
            ReasonCode.UNREADABLE_PIXELS,
            f"its compressed frame is {facts.width} x {facts.height}, not {pixels.columns} x {pixels.rows}",
        )
    if facts.components != pixels.samples:
        code = ReasonCode.NOT_COLOUR if facts.components == 1 else ReasonCode.PHOTOMETRIC
        raise refusal(code, f"its compressed frame has {facts.components} components, not {pixels.samples}")
    if not 1 <= facts.precision <= 16:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, f"its compressed frame has {facts.precision} bits a sample")
    return facts


def _check_lossy(facts: Codestream) -> None:
    if facts.frame_marker not in _SEQUENTIAL_OR_PROGRESSIVE:
        raise refusal(ReasonCode.TRANSFER_SYNTAX, f"JPEG process SOF{facts.frame_marker & 15}")
    if facts.precision != 8:
        raise refusal(ReasonCode.TRANSFER_SYNTAX, f"lossy JPEG of {facts.precision} bits")
    if facts.components == 1:
        raise refusal(ReasonCode.PHOTOMETRIC, "lossy JPEG of palette indices")


def _check_colour_space(facts: Codestream, pixels: Pixels) -> None:
    """BadInput (PHOTOMETRIC) where a stream without loss and the data set name different colour spaces."""
    photometric = pixels.photometric
    if facts.subsampled and pixels.samples == 3:
        raise refusal(ReasonCode.PHOTOMETRIC, "components of different sizes")
    if pixels.transfer_syntax_uid in JPEG_2000_SYNTAXES:
        # A transform that the name hides is harmless: the decoder undoes it, and RGB comes out either way.
        wrong = facts.colour_transform if photometric.startswith("YBR_FULL") else False
        wrong |= photometric in ("YBR_RCT", "YBR_ICT") and not facts.colour_transform
    else:
        says_ybr = facts.jfif or facts.adobe_transform == 1
        says_rgb = facts.adobe_transform == 0 or facts.component_ids in ((82, 71, 66), (114, 103, 98))
        wrong = (photometric == "RGB" and says_ybr) or (photometric.startswith("YBR") and says_rgb)
    if wrong:
        raise refusal(ReasonCode.PHOTOMETRIC, f"{photometric} but its compressed frame says otherwise")


def _through_plugin(
    stream: bytes, pixels: Pixels, facts: Codestream | None
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    """Samples as (rows, columns[, 3]), colours untouched, and how many bits of them are significant."""
    syntax = pixels.transfer_syntax_uid
    if facts is not None and facts.lossless_jpeg:
        syntax = JPEGLosslessSV1
    bits = pixels.bits_stored if facts is None else facts.precision
    description: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": 1,
        "samples_per_pixel": pixels.samples,
        "bits_allocated": pixels.bits_allocated if facts is None else (8 if bits <= 8 else 16),
        "bits_stored": bits,
        "photometric_interpretation": pixels.photometric,
        "pixel_representation": 0,
        "planar_configuration": int(pixels.planar),
        "pixel_keyword": "PixelData",
    }
    with refusing(ReasonCode.UNREADABLE_PIXELS, "its compressed frame cannot be decoded"):
        decoder, plugin = get_decoder(UID(syntax)), _PLUGINS[syntax]
        samples, _ = decoder.as_array(encapsulate([stream]), index=0, raw=True, decoding_plugin=plugin, **description)
    expected = (pixels.rows, pixels.columns) + ((3,) if pixels.samples == 3 else ())
    if samples.shape != expected or samples.dtype not in (np.uint8, np.uint16):
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "its compressed frame decodes to another size")
    if facts is None and pixels.shift:
        samples = shift_down(samples, pixels.shift)
    return samples, bits
