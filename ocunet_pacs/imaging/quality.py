"""Is it a colour fundus photograph, and can it be graded? Measured from pixels; the verdict is in `quality_limits`.

docs/image-quality.md holds how well that works on real photographs, and what it cannot see.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocunet_pacs.imaging.outline import find_outline
from ocunet_pacs.imaging.quality_limits import QualityLimits, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.outline import Outline

    Plane = NDArray[np.float32]

__all__ = ["Quality", "QualityLimits", "judge", "measure", "measure_small", "small_copy"]

_SIDE = 256
"""Longest side of the picture that is measured, in pixels: vessels are still there, and it costs a few milliseconds."""
_FINE, _COARSE = 1.0, 4.0
"""Standard deviations of blurs, in pixels of that picture: noise lies below, vessels between, illumination above."""
_LOCAL = 41
"""Side in pixels of the square whose mean is a point's surroundings."""
_LINE = 9
"""Width in pixels of the widest dark line that counts as structure."""
_BLACK = 25
_CLIPPED = 245


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of one photograph; shares are 0 to 1.

    `field` is the share of the picture that is lit, `surround` the share of its edge that is not, `outline` how far the
    field's rim lies from an ellipse (share of its radius), `visible` the share of that ellipse in the picture. Within
    the field: `brightness` is the mean grey level (0 to 255); `dark`, `overexposed` and `flat` are the shares of pixels
    that are black, that are clipped, that do not differ from their neighbours. `colour` is the mean difference of the
    largest and the smallest channel, `redness` the mean red, `warmth` the mean red less blue, all as shares of
    red + green + blue; `colour_clutter` is how much the warmth changes over a vessel's width (90th percentile).
    `structure` is the contrast of dark lines and spots to their surroundings (95th percentile), `direction` how far
    edges run one way locally (0 for noise, 1 for straight lines).
    """

    field: float
    surround: float
    outline: float
    visible: float
    brightness: float
    dark: float
    overexposed: float
    flat: float
    colour: float
    redness: float
    warmth: float
    colour_clutter: float
    structure: float
    direction: float

    def items(self) -> tuple[tuple[str, float], ...]:
        """Names and values, as `Photograph.quality` holds them."""
        return tuple(asdict(self).items())


def measure(rgb: RgbImage) -> Quality:
    """Measure a photograph, uint8 (height, width, 3), of any size; a scaled copy gives nearly the same values."""
    return measure_small(*small_copy(rgb))


def small_copy(rgb: RgbImage) -> tuple[RgbImage, Outline]:
    """The copy of a photograph on which everything is measured, and the outline of the field there."""
    small = _scaled(rgb)
    return small, find_outline(small)


def measure_small(small: RgbImage, outline: Outline) -> Quality:
    """`measure` of what `small_copy` made."""
    area = int(outline.field.sum())
    inside = cv2.erode(outline.field, np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(1.0,))
    where = inside > 0 if inside.any() else outline.field > 0
    if not where.any():
        return Quality(0.0, 1.0, 0.0, 0.0, float(small.mean()), 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    structure, direction = _structure(small[:, :, 1], outline.field, where)
    colour, redness, warmth, clutter = _colour(small, where)
    return Quality(
        field=area / outline.field.size,
        surround=outline.surround,
        outline=outline.deviation,
        visible=outline.visible,
        brightness=float(grey[where].mean()),
        dark=float((grey[where] < _BLACK).mean()),
        overexposed=float((small[:, :, 1][where] >= _CLIPPED).mean()),
        flat=_flat(small, where),
        colour=colour,
        redness=redness,
        warmth=warmth,
        colour_clutter=clutter,
        structure=structure,
        direction=direction,
    )


def _scaled(rgb: RgbImage) -> RgbImage:
    """The picture with its longest side at `_SIDE`, up or down."""
    height, width = rgb.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def _structure(green: NDArray[np.uint8], field: NDArray[np.uint8], where: NDArray[np.bool_]) -> tuple[float, float]:
    """Contrast of dark lines, and how far edges run one way locally."""
    weight = field.astype(np.float32)
    plane = green.astype(np.float32) * weight
    # Blurring with the field as weight keeps the black surround out, whose edge would be the strongest line of all.
    fine = _blurred(plane, _FINE) / np.maximum(_blurred(weight, _FINE), 1e-3)
    local = _mean(plane, _LOCAL) / np.maximum(_mean(weight, _LOCAL), 1e-3) + 8
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_LINE, _LINE))
    dark = np.asarray(cv2.morphologyEx(fine, cv2.MORPH_BLACKHAT, kernel)) / local
    across, down = cv2.Sobel(fine, cv2.CV_32F, 1, 0), cv2.Sobel(fine, cv2.CV_32F, 0, 1)
    xx, yy, xy = (_mean(part, _LINE) for part in (across * across, down * down, across * down))
    one_way = np.sqrt((xx - yy) ** 2 + 4 * xy * xy)[where]
    return float(np.percentile(dark[where], 95)), float(one_way.sum() / ((xx + yy)[where].sum() + 1e-6))


def _colour(small: RgbImage, where: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Mean colour, redness and warmth, and how much the warmth changes over a vessel's width."""
    channels = small.astype(np.float32)
    red, blue, total = channels[:, :, 0], channels[:, :, 2], channels.sum(axis=2)
    spread = small.max(axis=2).astype(np.float32) - small.min(axis=2)
    whole = float(total[where].mean()) + 1e-3
    colour = float(spread[where].mean()) / whole
    redness, warmth = float(red[where].mean()) / whole, float((red - blue)[where].mean()) / whole
    local = (red - blue) / (total + 30)
    change = np.abs(_blurred(local, 1.5) - _blurred(local, _COARSE))[where]
    return colour, redness, warmth, float(np.percentile(change, 90))


def _flat(small: RgbImage, where: NDArray[np.bool_]) -> float:
    """Share of the field where five by five pixels are all alike."""
    kernel = np.ones((5, 5), np.uint8)
    spread = cv2.dilate(small, kernel) - cv2.erode(small, kernel)
    return float((spread.max(axis=2)[where] == 0).mean())


def _blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _mean(plane: Plane, side: int) -> Plane:
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)
