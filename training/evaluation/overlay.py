"""A photograph and what weighed for one label, small enough for a page of many."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from ocunet_pacs.domain.result import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage

_OPACITY: Final = 0.55
"""Of the colour where the activation is greatest; the photograph stays visible."""
_FADE_IN: Final = 0.15
"""Below this activation the photograph is left as it is."""
_LAST_COLOUR: Final = 0.78
"""How far along viridis the greatest activation lies: its yellow would look like an exudate."""
_QUALITY: Final = 82


def scaled(shown: RgbImage, crop: Box, side: int) -> tuple[RgbImage, Box]:
    """The picture with its longer side at most `side` pixels, and the crop in its pixels."""
    height, width = shown.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = size[0] / width, size[1] / height
    return small, Box(round(crop.left * x), round(crop.top * y), round(crop.right * x), round(crop.bottom * y))


def overlay(picture: RgbImage, activation: NDArray[np.float32], crop: Box) -> RgbImage:
    """The picture with an activation, float32 (h, w) in [0, 1], painted over the part that the network saw.

    The activation is over the network's input, whose aspect ratio is not the crop's. A white line marks half of its
    maximum.
    """
    painted = picture.copy()
    size = (crop.right - crop.left, crop.bottom - crop.top)
    if min(size) < 1:
        return painted
    region = painted[crop.top : crop.bottom, crop.left : crop.right]
    smooth = np.clip(cv2.resize(activation, size, interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    levels = np.rint(smooth * (255 * _LAST_COLOUR)).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB).astype(np.float32)
    weight = (np.clip((smooth - _FADE_IN) / (1 - _FADE_IN), 0.0, 1.0) * _OPACITY)[..., None]
    region[:] = np.rint(region * (1 - weight) + colour * weight).astype(np.uint8)
    # The frame of zeros closes lines that would otherwise run out of the crop.
    inside = np.pad((smooth >= 0.5).astype(np.uint8), 1)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(painted, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA, offset=(crop.left - 1, crop.top - 1))
    return painted


def jpeg_uri(picture: RgbImage) -> str:
    """The picture as a JPEG in a `data:` address, without any metadata."""
    made, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert made
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
