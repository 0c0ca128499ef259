"""How a camera's photographs look: what a dirty lens, another camera or other settings of it change.

Nothing here says whether a photograph can be graded (`quality` does). The numbers are compared with those of the same
camera's earlier photographs: docs/drift.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from ocunet_pacs.domain.drift import FULL, MIDDLE, OUTSIDE, PATTERN_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage

    Cells = NDArray[np.float32]

_RIM = 7
"""Pixels of the small picture; half of them are taken off all around the field."""
_NEIGHBOURS = 5
_INSIDE = 0.98
"""Share of a cell that must lie in the field."""


class Appearance(NamedTuple):
    """How a photograph looks, in numbers and in one small map.

    `values`: `red`, `green` and `blue` are the means of the field (0 to 255), `low` and `high` the 5th and 95th
    percentile of green; as shares of mean green, `contrast` is the spread of the cells and `detail` the mean of what is
    finer than a vessel; `evenness` is the green of the field's rim as a share of that of its middle; `pixels` is the
    photograph's own longest side. Empty without a field.

    `pattern`, uint8 (`PATTERN_SIDE`, `PATTERN_SIDE`, 1), is how bright each part of the picture is beside its
    neighbours: `OUTSIDE` outside the field, else `MIDDLE` and up to 127 more or less at a difference of `FULL`. Of one
    photograph it shows vessels and lesions; the mean over many shows what stays where it is while eyes change.
    """

    values: tuple[tuple[str, float], ...]
    pattern: NDArray[np.uint8]


def measure_appearance(small: RgbImage, field: NDArray[np.uint8], pixels: int) -> Appearance:
    """Of a small picture, uint8 (height, width, 3), as `quality.small_copy` makes it; `field` is 1 inside the field."""
    # Without the rim, where field and surround mix.
    inner = np.ones((_RIM, _RIM), np.uint8)
    field = np.asarray(cv2.erode(field, inner, borderType=cv2.BORDER_CONSTANT, borderValue=(1.0,)), np.uint8)
    green = cv2.extractChannel(small, 1)
    weight = field.astype(np.float32)
    share = _cells(weight)
    lit = _cells(cv2.multiply(green, field, dtype=cv2.CV_32F))
    cells = np.asarray(lit / np.maximum(share, 1e-3), np.float32)
    known = share >= _INSIDE
    return Appearance(_values(small, green, field, (cells, known), pixels), _pattern(cells, known))


def _values(
    small: RgbImage,
    green: cv2.typing.MatLike,
    field: NDArray[np.uint8],
    grid: tuple[Cells, NDArray[np.bool_]],
    pixels: int,
) -> tuple[tuple[str, float], ...]:
    cells, known = grid
    if not known.any():
        return ()
    red, mean, blue, _ = cv2.mean(small, mask=field)
    levels = np.cumsum(cv2.calcHist([green], [0], field, [256], [0, 256]).ravel())
    low, high = np.searchsorted(levels, np.array([0.05, 0.95]) * levels[-1]).tolist()
    detail = cv2.mean(cv2.absdiff(green, cv2.blur(green, (3, 3))), mask=field)[0]
    return (
        ("red", red),
        ("green", mean),
        ("blue", blue),
        ("low", float(low)),
        ("high", float(high)),
        ("contrast", float(cells[known].std()) / (mean + 1.0)),
        ("detail", detail / (mean + 1.0)),
        ("evenness", _evenness(cells, known)),
        ("pixels", float(pixels)),
    )


def _evenness(cells: Cells, known: NDArray[np.bool_]) -> float:
    rows, columns = np.nonzero(known)
    y, x = (
        (np.arange(PATTERN_SIDE) - (place.min() + place.max()) / 2) / max(0.5, (place.max() - place.min()) / 2)
        for place in (rows, columns)
    )
    away = np.hypot(y[:, None], x[None, :])
    middle, rim = known & (away < 0.5), known & (away > 0.75)
    if not (middle.any() and rim.any()):
        return 1.0
    return float(cells[rim].mean()) / (float(cells[middle].mean()) + 1.0)


def _pattern(cells: Cells, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    inside = known.astype(np.float32)
    around = _mean(cells * inside) / np.maximum(_mean(inside), np.float32(1e-3))
    difference = np.clip((cells - around) / (around + 4.0) / FULL, -1.0, 1.0)
    return np.where(known, MIDDLE + np.rint(127 * difference), OUTSIDE).astype(np.uint8)[:, :, None]


def _cells(plane: cv2.typing.MatLike) -> Cells:
    return np.asarray(cv2.resize(plane, (PATTERN_SIDE, PATTERN_SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _mean(plane: Cells) -> Cells:
    return np.asarray(cv2.blur(plane, (_NEIGHBOURS, _NEIGHBOURS), borderType=cv2.BORDER_CONSTANT), np.float32)
