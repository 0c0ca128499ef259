"""Good photographs spoiled on purpose, each by a strength that grows: what the quality limits are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ocunet_pacs.imaging.fundus import crop_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.ports import RgbImage


def blur(rgb: RgbImage, sigma: float) -> RgbImage:
    """Gaussian blur; `sigma` in per cent of the field's longer side."""
    box = crop_box(rgb, 0)
    side = max(box.right - box.left, box.bottom - box.top)
    return _bytes(cv2.GaussianBlur(rgb, (0, 0), sigma / 100 * side))


def darken(rgb: RgbImage, factor: float) -> RgbImage:
    """Less light: every value divided by `factor`."""
    return _bytes(rgb / factor)


def overexpose(rgb: RgbImage, factor: float) -> RgbImage:
    """More light: every value times `factor`, clipped."""
    return _bytes(rgb * np.float32(factor))


def glare(rgb: RgbImage, share: float) -> RgbImage:
    """One white reflection with a soft edge over `share` per cent of the field's box."""
    box = crop_box(rgb, 0)
    width, height = box.right - box.left, box.bottom - box.top
    radius = np.sqrt(share / 100 * width * height / np.pi)
    y, x = np.ogrid[: rgb.shape[0], : rgb.shape[1]]
    away = np.hypot(x - (box.left + 0.6 * width), y - (box.top + 0.55 * height))
    light = np.clip((1.15 * radius - away) / (0.3 * radius), 0, 1)[:, :, None]
    return _bytes(rgb * (1 - light) + 255 * light)


def cut(rgb: RgbImage, share: float) -> RgbImage:
    """Only the left part of the field, `share` per cent of its width cut off at the right."""
    box = crop_box(rgb, 0)
    return np.ascontiguousarray(rgb[:, : box.right - round(share / 100 * (box.right - box.left))])


def inner(rgb: RgbImage, share: float) -> RgbImage:
    """The middle of the field without any surround; `share` per cent of its longer side. Still a fundus photograph."""
    box = crop_box(rgb, 0)
    half = round(max(box.right - box.left, box.bottom - box.top) * share / 200)
    x, y = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    return np.ascontiguousarray(rgb[max(0, y - half) : y + half, max(0, x - half) : x + half])


def fade(rgb: RgbImage, share: float) -> RgbImage:
    """Towards grey: `share` per cent of the colour gone, 100 is a grey picture."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.float32)
    return _bytes(rgb + (grey - rgb) * np.float32(share / 100))


def red_free(rgb: RgbImage, _strength: float) -> RgbImage:
    """The green channel alone, as a red-free picture is often stored: three equal channels."""
    return np.repeat(rgb[:, :, 1:2], 3, axis=2)


def green_light(rgb: RgbImage, _strength: float) -> RgbImage:
    """The green channel alone, in green."""
    out = np.zeros_like(rgb)
    out[:, :, 1] = rgb[:, :, 1]
    return out


def blue_cast(rgb: RgbImage, share: float) -> RgbImage:
    """Red and blue change places by `share` per cent; 100 is a file read as BGR."""
    return _bytes(rgb + (rgb[:, :, ::-1].astype(np.float32) - rgb) * np.float32(share / 100))


def garbage(rgb: RgbImage, share: float) -> RgbImage:
    """The lower `share` per cent of the picture as a damaged JPEG gives it: rows of blocks of wrong colours."""
    rng = np.random.default_rng(5)
    height, width = rgb.shape[:2]
    rows = round(height * share / 100)
    blocks = rng.integers(0, 256, (rows // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    out = rgb.copy()
    if rows:
        out[height - rows :] = np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:rows, :width]
    return out


def grey_tail(rgb: RgbImage, share: float) -> RgbImage:
    """The lower `share` per cent flat grey, as most decoders fill what a cut-off JPEG lacks."""
    out = rgb.copy()
    rows = round(rgb.shape[0] * share / 100)
    if rows:
        out[rgb.shape[0] - rows :] = 128
    return out


SPOILED: dict[str, tuple[Callable[[RgbImage, float], RgbImage], tuple[float, ...]]] = {
    "blur, sigma in % of the field": (blur, (0.5, 1, 2, 3, 5, 8)),
    "darkened, divided by": (darken, (2, 3, 5, 8, 12, 16)),
    "over-exposed, times": (overexpose, (1.5, 2, 3, 4, 6, 8)),
    "glare, % of the field": (glare, (3, 6, 10, 20, 30, 45)),
    "cut off, % of the width": (cut, (10, 20, 30, 40, 50, 60)),
    "colour lost, %": (fade, (25, 50, 75, 90, 100)),
    "red-free, three equal channels": (red_free, (1,)),
    "red-free, green only": (green_light, (1,)),
    "red and blue swapped, %": (blue_cast, (25, 50, 75, 100)),
    "JPEG garbage, % of the rows": (garbage, (10, 20, 30, 50, 70)),
    "grey tail, % of the rows": (grey_tail, (10, 20, 30, 50, 70)),
}
"""Each way with its strengths, the mildest first."""


def _bytes(values: np.ndarray) -> RgbImage:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def recompressed(rgb: RgbImage, quality: int) -> RgbImage:
    """Through a JPEG of that quality: what a small file does to a good photograph."""
    import io

    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "JPEG", quality=quality)
    return np.array(Image.open(content).convert("RGB"))
