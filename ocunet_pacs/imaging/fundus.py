"""Where the fundus is in a photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from ocunet_pacs.domain.result import Box

if TYPE_CHECKING:
    from ocunet_pacs.domain.ports import RgbImage

_FIXED_THRESHOLD = 15
"""Grey level that parts the field from a black surround where Otsu's threshold finds nothing sensible."""


def crop_box(rgb: RgbImage, padding: float = 0.05) -> Box:
    """The rectangle around the illuminated field, `padding` of its longer side added on each side, within the image.

    The whole image where no field stands out. These steps are the ones that OcuNet was trained with; another
    threshold or kernel shifts the box by a few pixels and the probabilities with it.
    """
    height, width = rgb.shape[:2]
    x, y, w, h = _largest_blob(_field_mask(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)))
    if min(w, h) < 2 * int(0.2 * min(height, width)) or min(w, h) == 0:
        return Box(0, 0, width, height)
    margin = int(max(w, h) * padding)
    return Box(max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin))


def _field_mask(grey: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """255 where the field is lit, 0 around it; uint8, the shape of `grey`."""
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    share = cv2.countNonZero(mask) / mask.size
    if share < 0.1 or share > 0.95:
        _, mask = cv2.threshold(grey, _FIXED_THRESHOLD, 255, cv2.THRESH_BINARY)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel, iterations=3)
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel, iterations=2)


def _largest_blob(mask: cv2.typing.MatLike) -> tuple[int, int, int, int]:
    """Left, top, width and height of the contour with the largest area; zeros where the mask is empty."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return 0, 0, 0, 0
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return x, y, w, h
