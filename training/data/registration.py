"""Laying one field upon another, and how alike they then are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from training.data.field import COARSE, SIDE, SMALL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.data.field import Turn

_GAIN: Final = 50.0
"""Fields have norm 1; the search for a map works in steps of grey levels."""
_STEPS: Final = 40
_QUICK_STEPS: Final = 10
_LEAST_OVERLAP: Final = 0.25
_STRETCH: Final = (0.6, 1.67)


@dataclass(frozen=True, slots=True)
class Laid:
    """A field laid upon another: the affine map, 2 x 3, from pixels of the one below, and their correlation there."""

    onto: NDArray[np.float64]
    correlation: float

    @property
    def credible(self) -> bool:
        """Whether a copy could have been made so: nothing is blown up, shrunk or squeezed out of measure."""
        sizes = np.linalg.svd(self.onto[:, :2], compute_uv=False)
        return bool(sizes.min() > _STRETCH[0] and sizes.max() < _STRETCH[1])

    @property
    def turn(self) -> tuple[bool, int]:
        """Whether the one below is the other mirrored left to right, and by how many degrees it was then turned."""
        there = np.linalg.inv(self.onto[:, :2])
        mirrored = bool(np.linalg.det(there) < 0)
        if mirrored:
            there = there @ np.diag([-1.0, 1.0])
        angle = np.degrees(np.arctan2(there[0, 1] - there[1, 0], there[0, 0] + there[1, 1]))
        return mirrored, round(float(angle)) % 360


def lay_quickly(first: NDArray[np.float32], second: NDArray[np.float32], turn: Turn) -> Laid | None:
    """`first` laid upon `second`, small fields; None where it fails. Under `turn` `first` looks about like `second`."""
    start = np.asarray(cv2.invertAffineTransform(turn.matrix(SMALL)), np.float64)
    return _lay(first.reshape(SMALL, SMALL), second.reshape(SMALL, SMALL), start, _QUICK_STEPS, 1)


def lay(first: NDArray[np.float32], second: NDArray[np.float32], start: Laid) -> Laid | None:
    """The same for coarse fields, from what `lay_quickly` found."""
    return _lay(first, second, scaled(start.onto, COARSE / SMALL), _STEPS, 3)


def _lay(
    first: NDArray[np.float32], second: NDArray[np.float32], start: NDArray[np.float64], steps: int, blur: int
) -> Laid | None:
    """The affine map with the highest correlation near `start`.

    G. Evangelidis, E. Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization, PAMI
    2008. It fails where the two have nothing in common.
    """
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-3)
    mask = (second != 0).astype(np.uint8) * 255
    begin = start.astype(np.float32)
    try:
        likeness, found = cv2.findTransformECC(
            second * _GAIN, first * _GAIN, begin, cv2.MOTION_AFFINE, criteria, mask, blur
        )
    except cv2.error:
        return None
    laid = Laid(np.asarray(found, np.float64), float(likeness))
    return laid if laid.credible else None


def scaled(onto: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """The same map for fields that are `scale` times as large."""
    shift = (scale - 1) / 2
    linear, offset = onto[:, :2], onto[:, 2]
    return np.hstack([linear, (scale * offset + shift - linear @ np.array([shift, shift]))[:, None]])


def likeness(first: NDArray[np.float32], second: NDArray[np.float32], laid: Laid) -> float:
    """Correlation, -1 to 1, of two fine fields where both are seen, laid as their coarse ones; 0 for too little."""
    onto = scaled(laid.onto, SIDE / COARSE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(first, onto, (SIDE, SIDE), flags=flags)
    whole = cv2.warpAffine((first != 0).astype(np.float32), onto, (SIDE, SIDE), flags=flags)
    seen = (whole > 0.99) & (second != 0)
    if seen.mean() < _LEAST_OVERLAP:
        return 0.0
    one, other = moved[seen] - moved[seen].mean(), second[seen] - second[seen].mean()
    return float(one @ other / max(1e-9, float(np.linalg.norm(one) * np.linalg.norm(other))))
