"""The outline of the lit field on a small picture: where it is, and how well it is the round window of a camera.

Apart from `fundus.crop_box`, whose steps are part of the weights' preprocessing and must stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage

_DARK_CORNER = 45
_PAPER = 240
_EDGE = 2
"""Pixels at the picture's edge where a rim is the picture's own and not the field's."""
_RIM_TO_EXTEND = 0.25
"""Share of the outline that must be rim before the ellipse is believed beyond the picture: four short arcs, as a field
that is cut off on all sides leaves them, fit ellipses of any size."""
_TRUE_RIM = 0.01
"""Deviation up to which it is believed there: a rim that is partly a mask's shade does not continue as an ellipse."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """`field` is uint8 (height, width), 1 inside the field's convex hull, all 0 where nothing is lit.

    `surround` is the share of the picture's outermost edge that lies outside the field. `deviation` is how far the
    field's rim lies from the best ellipse, as a share of its radius (80th percentile; 0 for a field without a rim).
    `visible` is the share of that ellipse that the picture holds (1 where too little rim is left to say).
    """

    field: NDArray[np.uint8]
    surround: float
    deviation: float
    visible: float


def find_outline(rgb: RgbImage) -> Outline:
    """The outline of the largest lit blob of a small picture, uint8 (height, width, 3)."""
    field = np.zeros(rgb.shape[:2], np.uint8)
    blobs, _ = cv2.findContours(_lit(rgb), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not blobs:
        return Outline(field, 1.0, 0.0, 0.0)
    cv2.fillConvexPoly(field, cv2.convexHull(max(blobs, key=cv2.contourArea)), 1)
    frame = np.concatenate(
        [field[:_EDGE].ravel(), field[-_EDGE:].ravel(), field[:, :_EDGE].ravel(), field[:, -_EDGE:].ravel()]
    )
    deviation, visible = _fit(field)
    return Outline(field, 1 - float(frame.mean()), deviation, visible)


def _lit(rgb: RgbImage) -> NDArray[np.uint8]:
    """255 where the picture is brighter than the surround that its corners show."""
    top = cv2.blur(rgb.max(axis=2), (3, 3))
    corner = max(2, round(0.04 * min(top.shape)))
    ends = (slice(0, corner), slice(-corner, None))
    corners = [float(np.median(top[rows, columns])) for rows in ends for columns in ends]
    level = max([6.0, *(value for value in corners if value < _DARK_CORNER)]) + 8
    lit = np.where(top > level, 255, 0).astype(np.uint8)
    if min(corners) > _PAPER:
        # A field printed on white paper: the paper that touches the corners is its surround.
        paper = np.where(rgb.min(axis=2) > _PAPER - 5, 255, 0).astype(np.uint8)
        for seed in (
            (0, 0),
            (paper.shape[1] - 1, 0),
            (0, paper.shape[0] - 1),
            (paper.shape[1] - 1, paper.shape[0] - 1),
        ):
            if paper[seed[1], seed[0]] == 255:
                cv2.floodFill(paper, None, seed, 100)
        lit[paper == 100] = 0
        lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(np.uint8)
    return lit


def _fit(field: NDArray[np.uint8]) -> tuple[float, float]:
    """Deviation and visible share; 0 and 1 where too little rim lies inside the picture to say."""
    height, width = field.shape
    contours, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return 0.0, 1.0
    points = max(contours, key=len)[:, 0, :].astype(np.float32)
    inside = (points >= _EDGE).all(axis=1) & (points[:, 0] < width - _EDGE) & (points[:, 1] < height - _EDGE)
    rim = points[inside]
    if len(rim) < max(12, 0.05 * len(points)):
        return 0.0, 1.0
    (x, y), (first, second), degrees = cv2.fitEllipseAMS(rim)
    if not min(first, second) > 1 or not np.isfinite([x, y, first, second]).all():
        return 1.0, 1.0
    angle = np.deg2rad(degrees)
    along = (rim[:, 0] - x) * np.cos(angle) + (rim[:, 1] - y) * np.sin(angle)
    across = (rim[:, 1] - y) * np.cos(angle) - (rim[:, 0] - x) * np.sin(angle)
    away = np.abs(np.hypot(along / (first / 2), across / (second / 2)) - 1)
    deviation, visible = float(np.percentile(away, 80)), 1.0
    if deviation <= _TRUE_RIM and len(rim) >= _RIM_TO_EXTEND * len(points):
        visible = min(1.0, float(field.sum()) / (np.pi * first * second / 4))
    return deviation, visible
