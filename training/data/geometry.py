"""Everything that moves pixels, composed into one map and one resampling: faster than one after another, less blur."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch.nn import functional

from training.data.variation import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from training.data.variation import Step, Variation

    Matrix: TypeAlias = NDArray[np.float64]


def forward_map(variation: Variation) -> Matrix:
    """Where a point of the picture goes, (3, 3) for homogeneous columns (x, y, 1).

    x grows to the right and y downwards; the middle is 0 and the picture's edges are at -1 and 1. First RandAugment's
    operations in their order, then flip, shear, rotation, and zoom.
    """
    whole = np.eye(3)
    for step in variation.operations:
        whole = _operation(step) @ whole
    if variation.flipped:
        whole = np.diag([-1.0, 1.0, 1.0]) @ whole
    whole = _sheared(math.tan(math.radians(variation.shear)), 0.0) @ whole
    whole = _rotated(variation.rotation) @ whole
    zoom = variation.zoom
    spare = max(0.0, zoom - 1.0)
    return _moved(-spare * variation.place[0], -spare * variation.place[1]) @ np.diag([zoom, zoom, 1.0]) @ whole


def warped(pixels: Tensor, maps: Sequence[Matrix], side: int) -> Tensor:
    """Each picture through its own forward map: uint8 (n, 3, S, S) to uint8 (n, 3, side, side).

    Bilinear; what comes from outside is black, as is what surrounds a fundus. Where a pixel covers more than one of the
    picture's, several points of it are averaged, so that detail is not skipped over.
    """
    if side == pixels.shape[-1] and all(np.array_equal(one, np.eye(3)) for one in maps):
        return pixels
    backward = np.linalg.inv(np.stack(maps))
    points = [_points(one, pixels.shape[-1] / side) for one in backward]
    if len(set(points)) == 1:
        return _sampled(pixels, torch.from_numpy(backward), side, points[0])
    seen = pixels.new_empty((*pixels.shape[:2], side, side))
    for number in sorted(set(points)):
        some = [index for index, own in enumerate(points) if own == number]
        seen[some] = _sampled(pixels[some], torch.from_numpy(backward[some]), side, number)
    return seen


def _points(backward: Matrix, scale: float) -> int:
    """Points along each axis of a pixel, so that they lie about as close as the picture's own pixels."""
    return max(1, round(scale * math.sqrt(abs(float(np.linalg.det(backward))))))


def _sampled(pixels: Tensor, backward: Tensor, side: int, points: int) -> Tensor:
    # Sums and products one by one are the same numbers on every device and in every batch; a matrix product is not.
    across = torch.arange(side * points, device=pixels.device, dtype=torch.float32)
    across = (2 * across + 1) / (side * points) - 1
    a = backward.to(pixels.device, torch.float32)[:, :, :, None, None]
    x = a[:, 0, 0] * across[None, None, :] + (a[:, 0, 1] * across[None, :, None] + a[:, 0, 2])
    y = a[:, 1, 0] * across[None, None, :] + (a[:, 1, 1] * across[None, :, None] + a[:, 1, 2])
    grid = torch.stack((x, y), dim=1).permute(0, 2, 3, 1)  # a plane each: quicker to make and to read
    seen = functional.grid_sample(
        pixels.to(torch.float32), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    if points > 1:
        seen = functional.avg_pool2d(seen, points)
    return seen.round_().clamp_(0, 255).to(torch.uint8)


def _operation(step: Step) -> Matrix:
    match step:
        case (Operation.SHEAR_X, slope):
            return _sheared(slope, 0.0)
        case (Operation.SHEAR_Y, slope):
            return _sheared(0.0, slope)
        case (Operation.TRANSLATE_X, share):
            return _moved(2.0 * share, 0.0)
        case (Operation.TRANSLATE_Y, share):
            return _moved(0.0, 2.0 * share)
        case (Operation.ROTATE, degrees):
            return _rotated(degrees)
    return np.eye(3)


def _rotated(degrees: float) -> Matrix:
    """Against the clock as one sees it, y growing downwards."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _sheared(along_x: float, along_y: float) -> Matrix:
    return np.array([[1.0, along_x, 0.0], [along_y, 1.0, 0.0], [0.0, 0.0, 1.0]])


def _moved(right: float, down: float) -> Matrix:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])
