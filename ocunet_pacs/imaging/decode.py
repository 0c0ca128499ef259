"""DICOM frames and plain photographs to RGB, one at a time, never silently wrong.

Every size is checked before memory is set aside for it. A frame is either decoded whole and in colours that are known,
or BadInput says why not.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.codestream import read_jpeg
from ocunet_pacs.imaging.encoded import decode_frame, encoded_frames
from ocunet_pacs.imaging.jpeg import jpeg_pixels, refuse_filler
from ocunet_pacs.imaging.native import native_frames
from ocunet_pacs.imaging.part10 import opened, refusal, refusing
from ocunet_pacs.imaging.pixels import NATIVE_SYNTAXES, PIXEL_TAGS, check_size, describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage


def frames(path: Path) -> Iterator[RgbImage]:
    """The frames of a Part 10 file in order, each uint8 (rows, columns, 3); holds one frame at a time.

    JPEG frames come out bit-identical to the photograph that was wrapped. 16-bit samples are scaled to 8 by Bits
    Stored. BadInput at the frame that cannot be decoded (before the first for what concerns them all); OSError where
    the file cannot be read.
    """
    with opened(path, PIXEL_TAGS) as file:
        pixels = describe(file)
        if file.transfer_syntax_uid in NATIVE_SYNTAXES:
            yield from native_frames(file, pixels)
        else:
            for stream in encoded_frames(file, pixels):
                yield decode_frame(stream, pixels)


def read_photograph(path: Path) -> RgbImage:
    """A JPEG, PNG or TIFF photograph as uint8 (height, width, 3).

    The pixels are those that are stored: an EXIF orientation is not applied, because wrapping keeps the stored stream
    and both roads must show the model the same. BadInput as for `frames`; OSError where the file cannot be read.
    """
    return photograph_pixels(path.read_bytes())


def photograph_pixels(content: bytes) -> RgbImage:
    """The same for a photograph's bytes."""
    image = open_photograph(content)
    if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;"):
        raise refusal(ReasonCode.NOT_COLOUR, f"the photograph is grey ({image.mode})")
    if image.format not in ("JPEG", "MPO"):
        return load(image)
    if image.mode == "RGB":
        with refusing(ReasonCode.UNREADABLE_PIXELS, "the photograph cannot be decoded"):
            pixels = jpeg_pixels(content, read_jpeg(content))
    else:
        pixels = load(image)
    refuse_filler(pixels)
    return pixels


def open_photograph(content: bytes) -> Image.Image:
    """Pillow's image, its size checked, nothing decoded yet. BadInput."""
    with refusing(ReasonCode.UNREADABLE_PIXELS, "not a readable JPEG, PNG or TIFF photograph"):
        if content[:2] == b"\xff\xd8":
            facts = read_jpeg(content)
            check_size(facts.width, facts.height)
        try:
            # Past Pillow's own limit; that it warns before it refuses makes no difference to us.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "TIFF"))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise refusal(ReasonCode.TOO_LARGE, "the photograph has too many pixels") from None
    check_size(image.width, image.height)
    return image


def load(image: Image.Image, mode: str = "RGB") -> RgbImage:
    """Decode and convert. BadInput (UNREADABLE_PIXELS) where the file is cut off or corrupt."""
    with refusing(ReasonCode.UNREADABLE_PIXELS, "the photograph cannot be decoded"):
        return np.array(image.convert(mode))
