"""From samples as they are stored to 8-bit RGB (PS3.3 section C.7.6.3.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.elements import strings
from ocunet_pacs.imaging.part10 import refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.ports import RgbImage

    Samples = NDArray[np.uint8] | NDArray[np.uint16]

RGB_ALREADY = frozenset({"RGB", "YBR_RCT", "YBR_ICT"})
"""YBR_RCT and YBR_ICT exist inside JPEG 2000 streams only: its decoder gives RGB."""


def to_rgb(samples: Samples, photometric: str, bits: int) -> RgbImage:
    """uint8 (rows, columns, 3) of samples (rows, columns, 3) of `bits` significant bits.

    BadInput (PHOTOMETRIC) for anything that is not known to be one of DICOM's colour spaces.
    """
    eight = to_eight_bits(samples, bits)
    if photometric in RGB_ALREADY:
        return eight
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return ybr_to_rgb(eight)
    if photometric == "YBR_PARTIAL_422":
        return ybr_to_rgb(_to_full_range(eight))
    raise refusal(ReasonCode.PHOTOMETRIC, photometric or "none is given")


def to_eight_bits(samples: Samples, bits: int) -> RgbImage:
    """Samples of `bits` significant bits spread over 0 to 255; bits above those are overlays or garbage and fall away.

    The same array where there is nothing to do.
    """
    if bits == 8 and samples.dtype == np.uint8:
        return cast("RgbImage", samples)
    top = (1 << bits) - 1
    table = (np.arange(top + 1, dtype=np.uint32) * 255 + top // 2) // top
    spread: RgbImage = table.astype(np.uint8)[samples & samples.dtype.type(top)]
    return spread


def shift_down(samples: Samples, bits: int) -> Samples:
    """Samples whose significant bits lie `bits` above bit 0, moved down."""
    if samples.dtype == np.uint8:
        return np.right_shift(samples, bits, dtype=np.uint8)
    return np.right_shift(samples, bits, dtype=np.uint16)


def ybr_to_rgb(ybr: RgbImage) -> RgbImage:
    """Full-range YCbCr of Rec. 601 to RGB, as JFIF and YBR_FULL define it."""
    rows, columns = ybr.shape[:2]
    image = Image.frombuffer("YCbCr", (columns, rows), np.ascontiguousarray(ybr).tobytes(), "raw", "YCbCr", 0, 1)
    return np.array(image.convert("RGB"))


def spread_422(packed: NDArray[np.uint8], rows: int, columns: int) -> RgbImage:
    """Two pixels stored as Y1 Y2 Cb Cr (PS3.3 section C.7.6.3.1.2, YBR_FULL_422) to (rows, columns, 3)."""
    pairs = packed.reshape(rows, columns // 2, 4)
    spread = np.empty((rows, columns, 3), np.uint8)
    spread[:, 0::2, 0] = pairs[:, :, 0]
    spread[:, 1::2, 0] = pairs[:, :, 1]
    spread[:, :, 1] = np.repeat(pairs[:, :, 2], 2, axis=1)
    spread[:, :, 2] = np.repeat(pairs[:, :, 3], 2, axis=1)
    return spread


def _to_full_range(ybr: RgbImage) -> RgbImage:
    """Luminance 16 to 235 and chrominance 16 to 240 (YBR_PARTIAL) stretched over 0 to 255."""
    level = np.arange(256, dtype=np.float64)
    luminance = np.clip(np.rint((level - 16) * 255 / 219), 0, 255).astype(np.uint8)
    chrominance = np.clip(np.rint((level - 128) * 255 / 224 + 128), 0, 255).astype(np.uint8)
    stretched = chrominance[ybr]
    stretched[:, :, 0] = luminance[ybr[:, :, 0]]
    return stretched


def through_palette(indices: Samples, bits: int, palette: Dataset, *, big_endian: bool) -> RgbImage:
    """PALETTE COLOR indices (rows, columns) of `bits` significant bits to RGB (PS3.3 section C.7.6.3.1.5).

    BadInput (UNREADABLE_PIXELS) where `palette`, the data set that holds the three tables, lacks one or its length is
    wrong.
    """
    index = (indices & indices.dtype.type((1 << bits) - 1)).astype(np.int32)
    tables = [_palette_table(palette, name, big_endian=big_endian) for name in ("Red", "Green", "Blue")]
    # Some writers declare 16 bits and store 8: a real 16-bit table that never passes 255 would be a black image.
    scale = 8 if max(int(values.max()) for values, _ in tables) <= 255 else 16
    return np.stack(
        [to_eight_bits(values, scale)[np.clip(index - first, 0, len(values) - 1)] for values, first in tables], axis=2
    )


def _palette_table(palette: Dataset, colour: str, *, big_endian: bool) -> tuple[NDArray[np.uint16], int]:
    """One table and the index of its first entry."""
    descriptor = strings(palette, f"{colour}PaletteColorLookupTableDescriptor")
    data = palette.get(f"{colour}PaletteColorLookupTableData")
    try:
        entries, first = int(descriptor[0]) or 1 << 16, int(descriptor[1])
    except (IndexError, ValueError) as error:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, f"its {colour.lower()} palette is not described") from error
    if not isinstance(data, bytes) or len(data) < entries:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, f"its {colour.lower()} palette is too short")
    if len(data) < 2 * entries:
        return np.frombuffer(data, np.uint8, entries).astype(np.uint16), first
    return np.frombuffer(data, ">u2" if big_endian else "<u2", entries).astype(np.uint16), first
