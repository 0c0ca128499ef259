"""JPEG streams to pixels, whether they come in a DICOM frame or as a file of their own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg  # type: ignore[import-untyped, unused-ignore]
from PIL.JpegImagePlugin import JpegImageFile

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.part10 import refusal, refusing

if TYPE_CHECKING:
    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.codestream import Codestream

_RGB_IDS = ((82, 71, 66), (114, 103, 98))
"""Component identifiers "RGB" and "rgb"."""
_FILLER = 128
"""What libjpeg paints where the data ended too early: every coefficient zero is mid-grey."""

_SEQUENTIAL = (0xC0, 0xC1)
"""Frame markers of the processes that both decoders undo to the same pixels (baseline and extended Huffman)."""

_SAYS_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""An Adobe segment (APP14) whose transform is "none"."""


def decode_jpeg(stream: bytes, facts: Codestream, *, declared_rgb: bool) -> RgbImage:
    """A sequential or progressive 8-bit JPEG of three components to RGB, the very pixels that Pillow gives its file.

    `declared_rgb` is whether the data set calls its photometric interpretation RGB. The stream is believed first: by
    JFIF its samples are YCbCr, by an Adobe segment or by its component identifiers they are what those say, and
    subsampled components are never RGB; only a stream that says nothing is read as the data set declares it.

    BadInput: PHOTOMETRIC where the stream contradicts itself, UNREADABLE_PIXELS where it cannot be decoded whole.
    """
    if claims_rgb(facts) and facts.subsampled:
        raise refusal(ReasonCode.PHOTOMETRIC, "its JPEG stream claims RGB and has subsampled components")
    silent = not facts.jfif and facts.adobe_transform is None and not facts.subsampled
    if declared_rgb and silent and not _has_rgb_ids(facts):
        stream = stream[:2] + _SAYS_RGB + stream[2:]
    with refusing(ReasonCode.UNREADABLE_PIXELS, "its JPEG stream cannot be decoded"):
        pixels = jpeg_pixels(stream, facts)
    refuse_filler(pixels)
    return pixels


def jpeg_pixels(stream: bytes, facts: Codestream) -> RgbImage:
    """The pixels that Pillow gives, several times faster where TurboJPEG gives the same ones.

    TurboJPEG is asked only about sound sequential streams of three 8-bit components. It is strict: whatever it merely
    warns of, a corrupt block or a missing end, goes to Pillow, so that there is one judge of damaged streams. Raises
    what Pillow raises, and ValueError where the size is not that of `facts`.
    """
    if facts.frame_marker in _SEQUENTIAL and facts.precision == 8 and facts.components == 3:
        # The buffer is the size that was checked: a header that hides another size cannot make it take more.
        pixels = np.empty((facts.height, facts.width, 3), np.uint8)
        try:
            if simplejpeg.decode_jpeg(stream, colorspace="RGB", buffer=pixels).shape == pixels.shape:
                return pixels
        except ValueError:
            pass
    image = JpegImageFile(io.BytesIO(stream))
    if image.size != (facts.width, facts.height):
        raise ValueError("the stream holds an image of another size")
    return np.array(image.convert("RGB"))


def claims_rgb(facts: Codestream) -> bool:
    """Whether the stream itself says that its samples are red, green and blue."""
    return facts.components == 3 and not facts.jfif and (facts.adobe_transform == 0 or _has_rgb_ids(facts))


def refuse_filler(pixels: RgbImage) -> None:
    """BadInput where a JPEG ended early but had its end marker: then its last rows are the decoder's grey filler."""
    if (pixels[-1] == _FILLER).all():
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "its JPEG stream ends before the image does")


def _has_rgb_ids(facts: Codestream) -> bool:
    return facts.adobe_transform is None and facts.component_ids in _RGB_IDS
