"""In which encodings an object may be sent, and how it gets from its own into another without loss (PS3.5 section 10).

The SOP Instance UID stays: only lossy compression makes another instance of a picture (PS3.3 section C.7.6.1.1.5). What
was once compressed with loss keeps saying so when it is sent uncompressed.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.presentation import build_context

from ocunet_pacs.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset
    from pynetdicom.presentation import PresentationContext

REPORTS = tuple(f"1.2.840.10008.5.1.4.1.1.88.{n}" for n in (34, 33, 22))
"""Comprehensive 3D, Comprehensive and Enhanced SR."""
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GREY_MAP = "1.2.840.10008.5.1.4.1.1.7.2"
"""Multi-frame Grayscale Byte Secondary Capture Image."""
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
OURS = (*REPORTS, PDF, SECONDARY_CAPTURE, GREY_MAP)
"""The classes of what we make."""

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_LOSSLESS = (RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1)
_PICTURE = (*_UNCOMPRESSED, *_LOSSLESS)
_DOCUMENT = (*_UNCOMPRESSED, DeflatedExplicitVRLittleEndian)
_MOST_CONTEXTS = 128
"""PS3.8 section 9.3.2.2: their ids are the odd numbers below 256."""


class CannotEncode(Exception):
    """An object's pixels, or want of pixels, do not go into an encoding."""


def possible(sop_class: str, own: str) -> tuple[str, ...]:
    """The transfer syntaxes in which an object may be sent, as we would have it: its own, uncompressed, compressed."""
    others = _DOCUMENT if sop_class in {*REPORTS, PDF} else _PICTURE
    return (own, *(syntax for syntax in others if syntax != own))


def contexts(sop_class: str, own: str) -> list[PresentationContext]:
    """What to offer a peer that is to take this object, and then any other that we make.

    A context for each encoding: of those in one context the peer chooses, and not as we would.
    """
    pairs = dict.fromkeys((sop_class, syntax) for syntax in possible(sop_class, own))
    for other in OURS:
        usual = JPEGBaseline8Bit if other == SECONDARY_CAPTURE else ExplicitVRLittleEndian
        pairs |= dict.fromkeys((other, syntax) for syntax in possible(other, usual))
    return [build_context(kind, syntax) for kind, syntax in pairs][:_MOST_CONTEXTS]


def choose(sop_class: str, own: str, accepted: Iterable[tuple[str, str]]) -> str | None:
    """The transfer syntax to send the object in, given the accepted (class, syntax); None: the peer takes none."""
    taken = {syntax for kind, syntax in accepted if kind == sop_class}
    return next((syntax for syntax in possible(sop_class, own) if syntax in taken), None)


def in_encoding(path: Path, syntax: str) -> bytes:
    """The file in another transfer syntax, as a whole PS3.10 file.

    StoreError when it cannot be read; CannotEncode when its pixels would not be what they were.
    """
    try:
        ds = dcmread(path)
    except OSError as error:
        raise StoreError("an object to deliver is missing from the store or not readable") from error
    wanted = UID(syntax)
    try:
        _convert(ds, wanted)
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
    except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise CannotEncode(f"cannot be encoded as {wanted.name}: {type(error).__name__}") from error
    return buffer.getvalue()


def _convert(ds: Dataset, wanted: UID) -> None:
    own = ds.file_meta.TransferSyntaxUID
    has_pixels = "PixelData" in ds
    if has_pixels and own.is_compressed and not own.is_deflated:
        ds.decompress(as_rgb=True, generate_instance_uid=False)
    if has_pixels and wanted in _LOSSLESS:
        pixels = ds.pixel_array
        _compress(ds, wanted)
        if not np.array_equal(pixels, ds.pixel_array):
            raise ValueError("the compressed pixels differ")
    elif wanted not in _DOCUMENT:
        raise ValueError("only pictures are compressed")
    ds.file_meta.TransferSyntaxUID = wanted


def _compress(ds: Dataset, wanted: UID) -> None:
    if wanted in {RLELossless, JPEG2000Lossless}:
        # Not whichever it likes best: gdcm ends the whole process over an RLE frame of an odd size.
        ds.compress(wanted, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        return
    # Neither pydicom nor its plug-ins that may ship with the product write these.
    frames = _frames(ds)
    ds.PixelData = encapsulate([_by_gdcm(ds, frame, wanted) for frame in frames])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = wanted
    if ds.SamplesPerPixel > 1:
        ds.PlanarConfiguration = 0


def _frames(ds: Dataset) -> Collection[NDArray[np.generic]]:
    pixels: NDArray[np.generic] = ds.pixel_array
    return pixels if int(ds.get("NumberOfFrames", 1) or 1) > 1 else pixels[np.newaxis]


def _by_gdcm(ds: Dataset, frame: NDArray[np.generic], wanted: UID) -> bytes:
    import gdcm  # noqa: PLC0415 - 30 MB, for the rare peer that takes nothing else

    # The image belongs to its writer.
    writer = gdcm.ImageWriter()
    image = writer.GetImage()
    content = frame.tobytes()
    # It refuses an odd number of bytes, padded or not: such a frame goes in twice, and the first comes out.
    copies = 1 + len(content) % 2
    image.SetNumberOfDimensions(1 + copies)
    image.SetDimensions((ds.Columns, ds.Rows, copies))
    kind = gdcm.PhotometricInterpretation.GetPIType(ds.PhotometricInterpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    image.SetPixelFormat(
        gdcm.PixelFormat(ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation)
    )
    if ds.SamplesPerPixel > 1:
        image.SetPlanarConfiguration(0)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(content * copies)
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(wanted)))
    change.SetInput(image)
    if not change.Change():
        raise ValueError("gdcm does not compress the pixels")
    # A fragment a frame. gdcm's strings are bytes in disguise.
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    fragment: str = fragments.GetFragment(0).GetByteValue().GetBuffer()
    return fragment.encode("utf-8", "surrogateescape")
