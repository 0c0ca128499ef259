"""What duplicates are looked for in: a photograph's lit field, evened out, and its perceptual hashes in every turn.

All fundus photographs look alike from afar: a bright disc on black with a brighter spot in it. So the field is cut out,
stretched to a square (some collections squeeze their pictures), taken in green, where vessels are dark, and freed of
its slow shading; what is left are vessels and lesions, which no two eyes share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage

SIDE: Final = 128
"""Side of a field in pixels, as it is kept."""

COARSE: Final = 64
SMALL: Final = 32
"""Sides at which fields are registered, and hashed."""

_RIM: Final = 9
"""Width, in pixels of a field, of the rim that is left out, twice."""
_RADIUS: Final = 0.92
"""Of the half side: what lies outside may be the surround, a camera's notch or its writing."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A way to look at a field: mirrored left to right or not, then turned counter-clockwise, then looked at closer."""

    mirrored: bool = False
    angle: int = 0
    zoom: float = 1.0

    def matrix(self, side: int) -> NDArray[np.float64]:
        """2 x 3: pixels of the field as it is to pixels of the field as it is looked at."""
        centre = (side - 1) / 2
        turned = np.vstack([cv2.getRotationMatrix2D((centre, centre), self.angle, self.zoom), [0.0, 0.0, 1.0]])
        mirror = np.array([[-1.0, 0.0, side - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) if self.mirrored else np.eye(3)
        return np.asarray((turned @ mirror)[:2], np.float64)


TURNS: Final = (
    *(Turn(mirrored, angle) for mirrored in (False, True) for angle in range(0, 360, 10)),
    *(
        Turn(mirrored, angle, zoom)
        for zoom in (1.12, 1.25)
        for mirrored in (False, True)
        for angle in (0, 90, 180, 270)
    ),
)
"""Ways in which a copy may lie to its original; the first is as it is. Between two angles a hash still answers."""


def green_field(rgb: RgbImage) -> NDArray[np.uint8]:
    """The lit field's green channel, stretched to uint8 (SIDE, SIDE), 0 where nothing is lit and at least 1 elsewhere.

    `rgb` is uint8 (height, width, 3). All of it counts as lit where nothing stands out.
    """
    lit = _lit(rgb)
    left, top, right, bottom = _box(lit)
    across, down = rgb.shape[1] / lit.shape[1], rgb.shape[0] / lit.shape[0]
    green = rgb[int(top * down) : math.ceil(bottom * down), int(left * across) : math.ceil(right * across), 1]
    values = cv2.resize(np.ascontiguousarray(green), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(lit[top:bottom, left:right].astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(mask > 0.5, np.maximum(values, 1), 0), np.uint8)


def evened(green: NDArray[np.uint8], side: int, detail: float) -> NDArray[np.float32]:
    """The field without shading and with the same contrast everywhere: float32 (side, side), mean 0, norm 1.

    What is wider than about `detail` pixels is shading. Exactly 0 outside the field and at its rim: edges of the field
    are the camera's, and would make any two pictures of one camera alike.
    """
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIM, _RIM))
    whole = cv2.erode((green > 0).astype(np.float32), rim, borderType=cv2.BORDER_CONSTANT, borderValue=1.0)
    inside = disc(side) * (cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA) > 0.99)
    values = np.asarray(cv2.resize(green, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    if side == SIDE:  # noise of the sensor and of JPEG
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.7), np.float32)
    near, wide = (np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3) for sigma in (detail, 2 * detail))
    rest = (values - cv2.GaussianBlur(values * inside, (0, 0), detail) / near) * inside
    contrast = np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), 2 * detail) / wide)
    rest = rest / (contrast + 0.5) * inside
    rest -= inside * (rest.sum() / max(1.0, float(inside.sum())))
    return np.asarray(rest / max(1e-6, float(np.linalg.norm(rest))), np.float32)


def coarse(green: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The field's vessels, float32 (COARSE, COARSE): what hashes and registration look at."""
    return evened(green, COARSE, 4.0)


def fine(green: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The field's finest details, float32 (SIDE, SIDE): what tells one eye from another."""
    return evened(green, SIDE, 2.5)


@cache
def disc(side: int, radius: float = _RADIUS) -> NDArray[np.float32]:
    """1 inside the circle of `radius` half sides around the middle, 0 outside; float32 (side, side)."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.asarray(np.hypot(y, x) < radius * side / 2, np.float32)


def small(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """A coarse field as a vector of norm 1, float32 (1024,), whose products with others are correlations."""
    values = cv2.resize(field, (SMALL, SMALL), interpolation=cv2.INTER_AREA).ravel()
    return np.asarray(values / max(1e-6, float(np.linalg.norm(values))), np.float32)


def turned(field: NDArray[np.float32], turn: Turn) -> NDArray[np.float32]:
    """A coarse field seen under a turn, as `small` gives it."""
    if turn == TURNS[0]:
        return small(field)
    seen = cv2.warpAffine(field, turn.matrix(COARSE), (COARSE, COARSE), flags=cv2.INTER_LINEAR)
    return small(np.asarray(seen, np.float32))


def hashes(green: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The perceptual hash of the field under each of TURNS, uint64 (len(TURNS),)."""
    field = coarse(green)
    return dct_hashes(np.stack([turned(field, turn) for turn in TURNS]).reshape(-1, SMALL, SMALL))


def dct_hashes(pictures: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The hash of each picture of float32 (n, 32, 32): which of its 8 x 8 lowest DCT terms exceed their median.

    The bits are those of `imagehash.phash`, which takes a thousand times as long over as many turns.
    """
    terms = (_cosines() @ pictures @ _cosines().T).reshape(len(pictures), -1)
    bits = terms > np.median(terms, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


@cache
def _cosines() -> NDArray[np.float64]:
    """The eight lowest rows of the DCT-II of length 32."""
    place = np.arange(SMALL) + 0.5
    return np.asarray(np.cos(np.pi / SMALL * np.arange(8)[:, None] * place), np.float64)


def _lit(rgb: RgbImage) -> NDArray[np.bool_]:
    """Where the photograph, made small, is neither dark around the field nor blank paper.

    Not `crop_box`: its threshold follows the picture's histogram, so that the box of a brightened or equalised copy is
    another one in a quarter of all cases. A share of the brightest level moves with the brightness instead.
    """
    height, width = rgb.shape[:2]
    step = max(1, max(height, width) // 160)
    shrunk = cv2.resize(rgb, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    white = shrunk.min(axis=2) > 235
    if all(white[row, column] for row in (1, -2) for column in (1, -2)):
        shrunk[white] = 0
    level = cv2.GaussianBlur(shrunk.max(axis=2), (0, 0), 1.5)
    return np.asarray(level > max(8.0, 0.15 * float(np.percentile(level, 98))), np.bool_)


def _box(lit: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is lit; the whole where that is next to nothing."""
    rows, columns = np.flatnonzero(lit.mean(axis=1) > 0.05), np.flatnonzero(lit.mean(axis=0) > 0.05)
    if min(len(rows), len(columns)) < 8:
        lit[:] = True
        return 0, 0, lit.shape[1], lit.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
