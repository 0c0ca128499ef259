"""Files to photographs that are ready for the network and for the reader: the `PhotographReader` port."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocunet_pacs.domain.result import Box, Photograph
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.appearance import measure_appearance
from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.preprocess import apply
from ocunet_pacs.imaging.quality import judge, measure_small, small_copy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.imaging.quality import QualityLimits

SHOWN_SIDE = 1024
"""Longest side of what a reader is shown of a photograph, in pixels; smaller photographs stay as they are."""
_UNMEASURED = Reason(
    ReasonCode.NOT_FUNDUS, "the model has no limits for pixels, so nothing shows that this is a fundus photograph"
)


def prepare(
    spec: PreprocessSpec, rgb: RgbImage, limits: QualityLimits | None = None, *, reuse: bool = False
) -> Photograph:
    """The photograph, uint8 (height, width, 3), as the network and the reader will see it.

    With `limits` its quality is measured and judged; without, its pixels prove nothing and disprove nothing. With
    `reuse` the array may be written over.
    """
    height, width = rgb.shape[:2]
    shown = _scaled_down(rgb)  # first: what the network sees may be made in the same array
    ready = apply(spec, rgb, reuse=reuse and shown is not rgb)
    crop = _scaled(ready.crop, shown.shape[1] / width, shown.shape[0] / height)
    photograph = Photograph(ready.pixels, shown, crop, width, height)
    if limits is None:
        return replace(photograph, doubts=(_UNMEASURED,))
    # What is shown is large enough to be measured, and a quarter of the work of a camera's own size.
    small, outline = small_copy(shown)
    quality = measure_small(small, outline)
    appearance = measure_appearance(small, outline.field, max(width, height))
    return replace(
        photograph,
        reasons=judge(quality, limits),
        doubts=judge(quality, limits.strict()),
        quality=quality.items(),
        appearance=appearance.values,
        pattern=appearance.pattern,
    )


def _scaled_down(rgb: RgbImage) -> RgbImage:
    """The photograph with its longer side at most SHOWN_SIDE; the same array where it is no longer."""
    height, width = rgb.shape[:2]
    scale = SHOWN_SIDE / max(height, width)
    if scale >= 1.0:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Halving has a fast path, any other ratio has none: a third of the time, and levels that differ by 0.3 on average.
    while max(rgb.shape[:2]) >= 2 * SHOWN_SIDE and min(rgb.shape[:2]) > 1:
        height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
        even = rgb[: 2 * height, : 2 * width]
        rgb = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(box: Box, x: float, y: float) -> Box:
    """The box on the scaled picture, at least a pixel wide and high."""
    left, top = round(box.left * x), round(box.top * y)
    return Box(left, top, max(left + 1, round(box.right * x)), max(top + 1, round(box.bottom * y)))


class PreparedFiles:
    """The port on DICOM files, in this process; `limits` as for `prepare`."""

    def __init__(self, spec: PreprocessSpec, limits: QualityLimits | None = None) -> None:
        self._spec = spec
        self._limits = limits

    def header(self, path: Path) -> ImageHeader:
        """See `ocunet_pacs.imaging.header.read_header`."""
        return read_header(path)

    def photographs(self, path: Path) -> Iterator[Photograph]:
        """See `ocunet_pacs.imaging.decode.frames`."""
        for rgb in frames(path):
            yield prepare(self._spec, rgb, self._limits, reuse=True)
