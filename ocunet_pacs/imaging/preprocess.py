"""From a photograph to what the network sees: the only road to a tensor, in serving, training and evaluation alike.

A model bundle carries its `PreprocessSpec`, so that weights are never fed with anything but what they were fitted to.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from PIL import Image

from ocunet_pacs.domain.result import Box
from ocunet_pacs.imaging.fundus import crop_box

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """Every choice between a photograph and a tensor; the defaults are OcuNet v4's.

    `roi_padding` is a share of the field's longer side; `clahe_clip_limit` and `clahe_tiles` (tiles per side) are
    OpenCV's; `image_size` is the side of the square that comes out, in pixels (the aspect ratio is not kept); `mean`
    and `std` are per channel (red, green, blue) on the scale 0 to 1. ValueError where a value makes no sense.
    """

    roi_crop: bool = True
    roi_padding: float = 0.05
    clahe: bool = True
    clahe_clip_limit: float = 2.0
    clahe_tiles: int = 8
    image_size: int = 384
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be {rule}, not {getattr(self, name)!r}"
            for name, rule, ok in (
                ("roi_padding", "0 to 1", 0 <= self.roi_padding <= 1),
                ("clahe_clip_limit", "positive", 0 < self.clahe_clip_limit < math.inf),
                ("clahe_tiles", "1 to 64", 1 <= self.clahe_tiles <= 64),
                ("image_size", "32 to 4096", 32 <= self.image_size <= 4096),
                ("mean", "finite", all(map(math.isfinite, self.mean))),
                ("std", "positive", all(0 < s < math.inf for s in self.std)),
            )
            if not ok
        ]
        if problems:
            raise ValueError("; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the fields' names; `from_dict` gives an equal spec back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PreprocessSpec:
        """The spec of a manifest. ValueError names every key that is unknown, missing or of the wrong type.

        Strict on purpose: a key that one release writes and another ignores would change what the network sees.
        """
        types = {field.name: str(field.type) for field in fields(cls)}
        problems = [f"unknown key {key!r}" for key in sorted(values.keys() - types.keys())]
        problems += [f"missing key {key!r}" for key in sorted(types.keys() - values.keys())]
        read: dict[str, Any] = {}
        for key in types.keys() & values.keys():
            try:
                read[key] = _READERS[types[key]](values[key])
            except (TypeError, ValueError):
                problems.append(f"{key!r} is not a {types[key]}: {values[key]!r}")
        if problems:
            raise ValueError("preprocessing: " + "; ".join(sorted(problems)))
        return cls(**read)


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessed:
    """`pixels` is uint8 (image_size, image_size, 3), red green blue; `crop` is the part of the photograph they show."""

    pixels: RgbImage
    crop: Box


def apply(spec: PreprocessSpec, rgb: RgbImage, *, reuse: bool = False) -> Preprocessed:
    """Crop, even out the contrast, resize. `rgb` is uint8 (height, width, 3).

    It is left as it is, unless `reuse` says that nobody needs it any more: that saves a copy of tens of megabytes.
    The order matters: CLAHE works at the crop's own resolution, so doing it after the resize gives other numbers.
    """
    height, width = rgb.shape[:2]
    crop = crop_box(rgb, spec.roi_padding) if spec.roi_crop else Box(0, 0, width, height)
    field = rgb[crop.top : crop.bottom, crop.left : crop.right]
    if spec.clahe:
        if not (reuse and rgb.flags.writeable):
            field = field.copy()
        _clahe_on_green(field, spec)
    return Preprocessed(_resized(field, spec.image_size), crop)


def to_tensor_array(spec: PreprocessSpec, pixels: RgbImage) -> NDArray[np.float32]:
    """uint8 (side, side, 3) to float32 (3, side, side), scaled to 0..1 and normalised by `mean` and `std`."""
    # 256 levels are normalised and then looked up: the same float32 numbers in a fifth of the time.
    levels = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    normalised = (levels - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    tensor = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.take(normalised[:, channel], pixels[:, :, channel], out=tensor[channel], mode="clip")
    return tensor


def _clahe_on_green(rgb: RgbImage, spec: PreprocessSpec) -> None:
    """Contrast-limited adaptive histogram equalisation of the channel that carries the vessels, in place."""
    tiles = (spec.clahe_tiles, spec.clahe_tiles)
    equaliser = cv2.createCLAHE(clipLimit=spec.clahe_clip_limit, tileGridSize=tiles)
    cv2.insertChannel(equaliser.apply(cv2.extractChannel(rgb, 1)), rgb, 1)


def _resized(rgb: RgbImage, side: int) -> RgbImage:
    """The picture as a square, by Pillow: its bilinear filter is antialiased when it shrinks, OpenCV's give others."""
    height, width = rgb.shape[:2]
    stride = rgb.strides[0]
    if rgb.strides != (stride, 3, 1) or stride < 3 * width:
        rgb = np.ascontiguousarray(rgb)
        stride = rgb.strides[0]
    # Pillow's decoder steps over what lies between the crop's rows, so that they need not be put together first.
    rows = as_strided(rgb, (height * stride - (stride - 3 * width),), (1,), writeable=False)
    picture = Image.frombytes("RGB", (width, height), rows.data, "raw", "RGB", stride, 1)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _triple(value: object) -> Triple:
    if not isinstance(value, list | tuple):
        raise TypeError
    red, green, blue = value
    return _number(red), _number(green), _number(blue)


_READERS = {"bool": _flag, "float": _number, "int": _count, "Triple": _triple}
