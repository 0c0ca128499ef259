"""What is drawn for one picture in one epoch: numbers only, all from one seed.

Drawing is apart from doing, so that a picture's chances depend on nothing but its seed: not on the batch it is in, the
process, the device, nor on how many pictures went before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from training.recipe import Augmentation

MAGNITUDES: Final = 30
_ERASED_RATIOS: Final = (0.3, 3.3)
"""Height by width of an erased rectangle (Zhong et al., "Random Erasing Data Augmentation", 2020)."""


class Operation(StrEnum):
    """RandAugment's operations (Cubuk et al., 2020), each as likely as the others."""

    IDENTITY = "identity"
    SHEAR_X = "shear_x"
    SHEAR_Y = "shear_y"
    TRANSLATE_X = "translate_x"
    TRANSLATE_Y = "translate_y"
    ROTATE = "rotate"
    BRIGHTNESS = "brightness"
    SATURATION = "saturation"
    CONTRAST = "contrast"
    SHARPNESS = "sharpness"
    POSTERIZE = "posterize"
    SOLARIZE = "solarize"
    AUTOCONTRAST = "autocontrast"
    EQUALIZE = "equalize"


Step: TypeAlias = tuple[Operation, float]
"""An operation and how strong: a slope (shear), a share of the side (translate), degrees (rotate), a factor around 1
(brightness, saturation, contrast, sharpness), bits that are kept (posterize), the highest level that is kept
(solarize). The others have no strength: 0."""


@dataclass(frozen=True, slots=True)
class Variation:
    """What is done to one picture: RandAugment's `operations`, the geometry, the colours, then what is erased."""

    operations: tuple[Step, ...]
    flipped: bool
    rotation: float
    """Degrees, against the clock."""
    shear: float
    """Degrees, along the rows."""
    zoom: float
    """Above 1 the picture grows, and a part of it is seen."""
    place: tuple[float, float]
    """Where that part lies, -1 to 1 along each axis: 0 is the middle, and 1 leaves nothing out at the right or below.
    Pictures that shrink stay in the middle."""
    jitter: tuple[Step, ...]
    """BRIGHTNESS, CONTRAST and SATURATION, in the order in which they are done."""
    hue: float
    """Turns of the colour wheel, after that."""
    erased: tuple[float, float, float, float] | None
    """Left, top, right, bottom as shares of the side."""


def draw_variation(recipe: Augmentation, seed: int) -> Variation:
    """The variation that belongs to this seed (not negative). Equal arguments give an equal variation."""
    generator = np.random.default_rng(seed)
    jitter = [
        (Operation.BRIGHTNESS, _between(generator, *recipe.brightness)),
        (Operation.CONTRAST, _between(generator, *recipe.contrast)),
        (Operation.SATURATION, _between(generator, *recipe.saturation)),
    ]
    return Variation(
        operations=tuple(_operation(generator, recipe.magnitude) for _ in range(recipe.rand_augment)),
        flipped=bool(generator.random() < recipe.horizontal_flip),
        rotation=_between(generator, -recipe.rotation, recipe.rotation),
        shear=_between(generator, -recipe.shear, recipe.shear),
        zoom=_between(generator, *recipe.zoom),
        place=(_between(generator, -1.0, 1.0), _between(generator, -1.0, 1.0)),
        jitter=tuple(jitter[index] for index in generator.permutation(len(jitter))),
        hue=_between(generator, -recipe.hue, recipe.hue),
        erased=_erased(generator, recipe),
    )


def strength(operation: Operation, magnitude: int, sign: int) -> float:
    """How strong RandAugment's operation is at a magnitude of 0 to 30; `sign` is -1 or 1."""
    share = magnitude / MAGNITUDES
    amount = 0.0
    match operation:
        case Operation.SHEAR_X | Operation.SHEAR_Y:
            amount = sign * 0.3 * share
        case Operation.TRANSLATE_X | Operation.TRANSLATE_Y:
            amount = sign * 150 / 331 * share
        case Operation.ROTATE:
            amount = sign * 30.0 * share
        case Operation.BRIGHTNESS | Operation.SATURATION | Operation.CONTRAST | Operation.SHARPNESS:
            amount = 1.0 + sign * 0.9 * share
        case Operation.POSTERIZE:
            amount = 8.0 - round(4 * share)
        case Operation.SOLARIZE:
            amount = 255.0 * (1.0 - share)
    return amount


def _operation(generator: np.random.Generator, magnitude: int) -> Step:
    operations = list(Operation)
    operation = operations[int(generator.integers(len(operations)))]
    sign = 1 if generator.random() < 0.5 else -1
    return operation, strength(operation, magnitude, sign)


def _erased(generator: np.random.Generator, recipe: Augmentation) -> tuple[float, float, float, float] | None:
    """A rectangle of the drawn area, within the picture. The same numbers are drawn whether or not it is used."""
    used = generator.random() < recipe.erasing
    area = min(1.0, _between(generator, *recipe.erased_area))
    # Height by width so that neither side is longer than the picture's.
    low, high = max(_ERASED_RATIOS[0], area), min(_ERASED_RATIOS[1], 1.0 / area)
    ratio = math.exp(_between(generator, math.log(low), math.log(high)))
    height, width = math.sqrt(area * ratio), math.sqrt(area / ratio)
    left, top = (1.0 - width) * generator.random(), (1.0 - height) * generator.random()
    return (left, top, left + width, top + height) if used else None


def _between(generator: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(generator.random())
