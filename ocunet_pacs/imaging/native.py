"""Uncompressed Pixel Data to RGB, frame by frame (PS3.5 section 8.1, PS3.3 section C.7.6.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.colour import shift_down, spread_422, through_palette, to_rgb
from ocunet_pacs.imaging.part10 import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.part10 import OpenedFile
    from ocunet_pacs.imaging.pixels import Pixels

_HALF_CHROMINANCE = ("YBR_FULL_422", "YBR_PARTIAL_422")


def native_frames(file: OpenedFile, pixels: Pixels) -> Iterator[RgbImage]:
    """The frames in order; BadInput at the first that is cut off, or where the length contradicts the description."""
    size = _frame_bytes(pixels)
    _check_length(file, pixels, size)
    assert file.pixel_offset is not None
    for index in range(pixels.frames):
        file.stream.seek(file.pixel_offset + index * size)
        stored = file.stream.read(size)
        if len(stored) < size:
            raise refusal(ReasonCode.UNREADABLE_PIXELS, f"frame {index + 1} of {pixels.frames} is cut off")
        yield _frame(np.frombuffer(stored, np.uint8), file, pixels)


def _frame_bytes(pixels: Pixels) -> int:
    if pixels.photometric == "YBR_PARTIAL_420":
        raise refusal(ReasonCode.PHOTOMETRIC, "YBR_PARTIAL_420 has no uncompressed form")
    samples = pixels.rows * pixels.columns * pixels.samples
    if pixels.photometric in _HALF_CHROMINANCE:
        if pixels.columns % 2 or pixels.bits_allocated != 8:
            raise refusal(ReasonCode.PHOTOMETRIC, f"{pixels.photometric} with odd columns or more than 8 bits")
        return samples * 2 // 3
    return samples * pixels.bits_allocated // 8


def _check_length(file: OpenedFile, pixels: Pixels, size: int) -> None:
    """A length that fits another description means that one of them is wrong, and no pixel of it can be trusted."""
    if file.pixel_length is None:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "compressed pixels under an uncompressed transfer syntax")
    excess = file.pixel_length - size * pixels.frames
    if pixels.photometric in _HALF_CHROMINANCE and excess >= size * pixels.frames // 2:
        raise refusal(ReasonCode.PHOTOMETRIC, f"{pixels.photometric} but three samples stored for each pixel")
    if excess >= pixels.columns:
        raise refusal(ReasonCode.UNREADABLE_PIXELS, "it holds more pixels than it declares")


def _frame(stored: NDArray[np.uint8], file: OpenedFile, pixels: Pixels) -> RgbImage:
    if pixels.big_endian and pixels.bits_allocated == 8 and file.pixel_vr == "OW":
        # Bytes are stored two to a word, and words have their most significant byte first (PS3.5 section 8.1.1).
        padded = stored if stored.size % 2 == 0 else np.append(stored, np.uint8(0))
        stored = padded.reshape(-1, 2)[:, ::-1].reshape(-1)[: stored.size]
    if pixels.photometric in _HALF_CHROMINANCE:
        return to_rgb(spread_422(stored, pixels.rows, pixels.columns), pixels.photometric, 8)
    samples: NDArray[np.uint8] | NDArray[np.uint16] = stored
    if pixels.bits_allocated == 16:
        samples = stored.view(">u2" if pixels.big_endian else "<u2").astype(np.uint16)
    if pixels.shift:
        samples = shift_down(samples, pixels.shift)
    if pixels.samples == 1:
        flat = samples.reshape(pixels.rows, pixels.columns)
        return through_palette(flat, pixels.bits_stored, pixels.dataset, big_endian=pixels.big_endian)
    if pixels.planar:
        samples = samples.reshape(3, pixels.rows, pixels.columns).transpose(1, 2, 0)
    else:
        samples = samples.reshape(pixels.rows, pixels.columns, 3)
    return np.require(to_rgb(samples, pixels.photometric, pixels.bits_stored), requirements=["C", "W"])
