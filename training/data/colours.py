"""Everything that changes colours and leaves pixels where they are, uint8 to uint8.

Brightness, contrast and saturation are linear in red, green and blue (contrast is around the picture's mean luminance),
so that a chain of them is one linear map, rounded and clipped once at its end. Sums are of whole numbers and products
are added one by one: the numbers are the same in every batch and on every device, as those of matrix products are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
import torch

from training.data.variation import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from training.data.variation import Step

    Matrix: TypeAlias = NDArray[np.float64]

_LINEAR: Final = frozenset({Operation.BRIGHTNESS, Operation.CONTRAST, Operation.SATURATION})
_BITS: Final = 8
_HIGHEST: Final = 255


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A pixel p of a picture whose mean is m becomes `of_pixel` p + `of_mean` m; both are (3, 3)."""

    of_pixel: Matrix = field(default_factory=lambda: np.eye(3))
    of_mean: Matrix = field(default_factory=lambda: np.zeros((3, 3)))

    def then(self, step: Step) -> Self:
        """This map, and then a linear operation."""
        operation, amount = step
        if operation is Operation.CONTRAST:
            mean = _grey() @ (self.of_pixel + self.of_mean)
            return type(self)(amount * self.of_pixel, amount * self.of_mean + (1.0 - amount) * mean)
        by = amount * np.eye(3)
        if operation is Operation.SATURATION:
            by += (1.0 - amount) * _grey()
        return type(self)(by @ self.of_pixel, by @ self.of_mean)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return np.array_equal(self.of_pixel, np.eye(3)) and not self.of_mean.any()


def coloured(pixels: Tensor, steps: Sequence[Sequence[Step]]) -> Tensor:
    """Each picture of uint8 (n, 3, s, s) with its own steps done in their order; a new tensor of the same kind.

    Steps that move pixels are passed over.
    """
    pixels = pixels.clone()
    ends = []
    for picture, of_one in zip(pixels, steps, strict=True):
        pending = Linear()
        for step in of_one:
            if step[0] in _LINEAR:
                pending = pending.then(step)
            elif step[0] in _OTHERS:
                if not pending.is_identity:
                    picture.copy_(_linear(picture[None], [pending])[0])
                    pending = Linear()
                picture.copy_(_OTHERS[step[0]](picture, step[1]))
        ends.append(pending)
    return pixels if all(end.is_identity for end in ends) else _linear(pixels, ends)


def hue_turned(pixels: Tensor, turns: Sequence[float]) -> Tensor:
    """Each picture of uint8 (n, 3, s, s) with its hues turned by a share of the colour wheel, in HSV."""
    if not any(turns):
        return pixels
    values = pixels.to(torch.float32)
    red, green, blue = values.unbind(1)
    high, low = values.amax(1), values.amin(1)
    chroma = high - low
    divisor = chroma.clamp(min=1)  # where there is no chroma there is no hue, and any does
    # Ones and zeros as numbers: choosing by truth values takes ten times as long on a CPU.
    is_red, is_green = (torch.eq(high, one, out=torch.empty_like(high)) for one in (red, green))
    sixth = (red - green).div_(divisor).add_(4)
    sixth += is_green.mul_((blue - red).div_(divisor).add_(2).sub_(sixth))
    sixth += is_red.mul_((green - blue).div_(divisor).sub_(sixth))
    sixth += torch.tensor([6.0 * turn for turn in turns], dtype=torch.float32, device=pixels.device)[:, None, None]
    # The textbook's way back: how much of the chroma a channel lacks depends on how far the hue is from its own.
    for channel, own in zip((red, green, blue), (5, 3, 1), strict=True):
        apart = sixth + own
        apart -= (apart / 6).floor_().mul_(6)
        torch.sub(high, torch.minimum(apart, 4 - apart).clamp_(0, 1).mul_(chroma), out=channel)
    return values.round_().clamp_(0, _HIGHEST).to(torch.uint8)


def _linear(pixels: Tensor, maps: Sequence[Linear]) -> Tensor:
    """Each picture of (n, 3, s, s) through its map."""
    by = torch.from_numpy(np.stack([one.of_pixel for one in maps])).to(pixels.device)
    on = torch.from_numpy(np.stack([one.of_mean for one in maps])).to(pixels.device)
    mean = pixels.sum((2, 3), dtype=torch.int64).to(torch.float64) / (pixels.shape[2] * pixels.shape[3])
    offset = on[:, :, 0] * mean[:, 0, None] + on[:, :, 1] * mean[:, 1, None] + on[:, :, 2] * mean[:, 2, None]
    factors, values = by.to(torch.float32)[:, :, :, None, None], pixels.to(torch.float32)
    out = values[:, 0, None] * factors[:, :, 0]
    out += values[:, 1, None] * factors[:, :, 1]
    out += values[:, 2, None] * factors[:, :, 2]
    out += offset.to(torch.float32)[:, :, None, None]
    out = out.round_().clamp_(0, _HIGHEST)
    return out.to(torch.uint8)


def _posterized(picture: Tensor, bits: float) -> Tensor:
    return torch.bitwise_and(picture, _HIGHEST - (2 ** (_BITS - round(bits)) - 1))


def _solarized(picture: Tensor, highest: float) -> Tensor:
    """Levels above `highest` upside down."""
    return torch.where(picture > highest, _HIGHEST - picture, picture)


def _sharpened(picture: Tensor, factor: float) -> Tensor:
    """Away from (above 1) or towards (below 1) a smoothed copy; the outermost pixels stay as they are."""
    values = picture.to(torch.float32)
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    middle = values[:, 1:-1, 1:-1]
    smooth = ((around + 4 * middle) / 13).round_()
    middle.mul_(factor).add_((1.0 - factor) * smooth).round_().clamp_(0, _HIGHEST)
    return values.to(torch.uint8)


def _stretched(picture: Tensor, _: float) -> Tensor:
    """Each channel's levels spread over all that there are; a channel of one level stays as it is."""
    values = picture.to(torch.float32)
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    spread = (values - low) * (_HIGHEST / (high - low).clamp(min=1))
    return torch.where(high > low, spread.round(), values).to(torch.uint8)


def _equalized(picture: Tensor, _: float) -> Tensor:
    """Each channel's histogram made even, as Pillow does it."""
    return torch.stack([_channel_equalized(channel) for channel in picture])


def _channel_equalized(channel: Tensor) -> Tensor:
    levels = channel.to(torch.int64)
    flat = levels.flatten()
    counts = torch.zeros(_HIGHEST + 1, dtype=torch.int64, device=channel.device)
    counts = counts.scatter_add(0, flat, torch.ones_like(flat))
    step = (flat.numel() - counts.gather(0, flat.max()[None])) // _HIGHEST
    below = counts.cumsum(0) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=_HIGHEST)
    return torch.where(step > 0, table[levels], levels).to(torch.uint8)


_OTHERS: Final = {
    Operation.POSTERIZE: _posterized,
    Operation.SOLARIZE: _solarized,
    Operation.SHARPNESS: _sharpened,
    Operation.AUTOCONTRAST: _stretched,
    Operation.EQUALIZE: _equalized,
}


def _grey() -> Matrix:
    """Luminance (ITU-R BT.601) in all three channels."""
    return np.tile([0.299, 0.587, 0.114], (3, 1))
