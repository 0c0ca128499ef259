"""What a data set says about its pixels (PS3.3 section C.7.6.3), and the limits that they must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.elements import count, text
from ocunet_pacs.imaging.part10 import quiet, refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    from ocunet_pacs.imaging.part10 import OpenedFile

MIN_SIDE = 64
"""Shorter sides than this cannot hold a fundus photograph."""
MAX_PIXELS = 64_000_000
"""Rows times columns; the largest fundus cameras stay under 30 million."""

TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
    HTJ2K,
)
"""All that are decoded, and so all that the listener accepts, in our order of preference, which decides where a sender
offers several in one context: what every sender can make without loss first, then the lossless compressions, lossy ones
last."""
NATIVE_SYNTAXES = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
JPEG_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})
JPEG_LS_SYNTAXES = frozenset({JPEGLSLossless, JPEGLSNearLossless})
JPEG_2000_SYNTAXES = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
ENCAPSULATED_SYNTAXES = frozenset(TRANSFER_SYNTAXES) - NATIVE_SYNTAXES

_PALETTE_KEYWORDS = tuple(
    f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
)
PIXEL_TAGS = tuple(
    tag
    for keyword in (
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        *_PALETTE_KEYWORDS,
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
    )
    if (tag := tag_for_keyword(keyword)) is not None
)
"""All that decoding needs of a data set, and nothing of the patient."""

_COLOURS = frozenset(
    {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR"}
)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A checked Image Pixel module: sizes within the limits, colour, unsigned samples of 8 or 16 allocated bits."""

    dataset: Dataset
    transfer_syntax_uid: str
    big_endian: bool
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: bool
    bits_allocated: int
    bits_stored: int
    shift: int
    """How far the significant bits lie above bit 0 (High Bit + 1 - Bits Stored)."""


def describe(file: OpenedFile) -> Pixels:
    """Read and check the module. BadInput with the reason of the first thing that rules the image out."""
    syntax = file.transfer_syntax_uid
    if syntax not in TRANSFER_SYNTAXES:
        raise refusal(ReasonCode.TRANSFER_SYNTAX, "not one of those that this release decodes")
    if file.pixel_offset is None or file.pixel_length == 0:
        raise refusal(ReasonCode.NO_PIXELS, "it has no Pixel Data")
    with quiet():
        pixels = _read(file)
    _check_colour(pixels)
    check_size(pixels.columns, pixels.rows)
    _check_depth(pixels)
    return pixels


def check_size(width: int, height: int) -> None:
    """BadInput (TOO_SMALL, TOO_LARGE) for what cannot be a fundus photograph or could exhaust the memory."""
    if min(width, height) < MIN_SIDE:
        raise refusal(ReasonCode.TOO_SMALL, f"{width} x {height} pixels; each side needs {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise refusal(ReasonCode.TOO_LARGE, f"{width} x {height} pixels; {MAX_PIXELS:,} is the limit")


def _read(file: OpenedFile) -> Pixels:
    ds = file.dataset
    allocated = count(ds, "BitsAllocated") or 0
    stored = count(ds, "BitsStored") or allocated
    if count(ds, "PixelRepresentation"):
        raise refusal(ReasonCode.PHOTOMETRIC, "signed samples are no colours")
    high_bit = count(ds, "HighBit")
    return Pixels(
        dataset=ds,
        transfer_syntax_uid=file.transfer_syntax_uid,
        big_endian=file.big_endian,
        rows=count(ds, "Rows") or 0,
        columns=count(ds, "Columns") or 0,
        frames=count(ds, "NumberOfFrames") or 1,
        samples=count(ds, "SamplesPerPixel") or 0,
        photometric=text(ds, "PhotometricInterpretation").upper(),
        planar=count(ds, "PlanarConfiguration") == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        shift=0 if high_bit is None else high_bit + 1 - stored,
    )


def _check_colour(pixels: Pixels) -> None:
    if pixels.photometric.startswith("MONOCHROME"):
        raise refusal(ReasonCode.NOT_COLOUR, pixels.photometric)
    if pixels.photometric not in _COLOURS:
        # Only names of the standard may be shown: anything may stand in a broken element.
        known = ("HSV", "ARGB", "CMYK", "XYB")
        shown = pixels.photometric if pixels.photometric in known else "none that is known"
        raise refusal(ReasonCode.PHOTOMETRIC, shown)
    needed = 1 if pixels.photometric == "PALETTE COLOR" else 3
    if pixels.samples != needed:
        raise refusal(ReasonCode.PHOTOMETRIC, f"{pixels.photometric} with {pixels.samples} samples a pixel")


def _check_depth(pixels: Pixels) -> None:
    if pixels.bits_allocated not in (8, 16) or not 1 <= pixels.bits_stored <= pixels.bits_allocated:
        raise refusal(
            ReasonCode.UNREADABLE_PIXELS, f"{pixels.bits_stored} bits stored in {pixels.bits_allocated} allocated"
        )
    if not 0 <= pixels.shift <= pixels.bits_allocated - pixels.bits_stored:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "its High Bit lies outside the allocated bits")
