"""What is random about a picture in each epoch. A fundus is never turned upside down: there is no vertical flip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from training.data.colours import coloured, hue_turned
from training.data.geometry import forward_map, warped
from training.data.variation import draw_variation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from training.data.variation import Variation
    from training.recipe import Augmentation

_NOTHING_TO_SEE: Final = (124, 116, 104)
"""ImageNet's mean colour: 0 for a network whose input is normalised by it."""


class Augment:
    """Pictures to varied pictures of `image_size` pixels a side, uint8 to uint8, on the device where they are.

    All that moves pixels is one resampling (`geometry`); then come the colours (`colours`): RandAugment's in their
    order, then brightness, contrast and saturation in an order that is drawn, then hue; last a rectangle is filled with
    `erased`, red green blue. The result depends on a picture and its seed only, on one kind of device to the last bit.
    """

    def __init__(
        self, recipe: Augmentation, image_size: int, *, erased: tuple[int, int, int] = _NOTHING_TO_SEE
    ) -> None:
        self._recipe = recipe
        self._side = image_size
        self._erased = erased

    def __call__(self, pixels: Tensor, seeds: Sequence[int]) -> Tensor:
        """uint8 (n, 3, S, S), S at least `image_size`, and n seeds to uint8 (n, 3, image_size, image_size)."""
        if len(seeds) != len(pixels):
            raise ValueError(f"{len(pixels)} pictures but {len(seeds)} seeds")
        if pixels.device.type == "cpu" and len(pixels) > 1:
            # One by one, a picture's numbers stay in the processor's cache.
            return torch.cat([self(one[None], [seed]) for one, seed in zip(pixels, seeds, strict=True)])
        variations = [draw_variation(self._recipe, seed) for seed in seeds]
        seen = warped(pixels, [forward_map(one) for one in variations], self._side)
        seen = coloured(seen, [(*one.operations, *one.jitter) for one in variations])
        seen = hue_turned(seen, [one.hue for one in variations])
        for picture, variation in zip(seen, variations, strict=True):
            self._erase(picture, variation)
        return seen

    def _erase(self, picture: Tensor, variation: Variation) -> None:
        if variation.erased is None:
            return
        left, top, right, bottom = (round(self._side * edge) for edge in variation.erased)
        colour = torch.tensor(self._erased, dtype=torch.uint8, device=picture.device)
        picture[:, top:bottom, left:right] = colour[:, None, None]
