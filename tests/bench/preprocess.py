"""What a photograph costs from JPEG to the network's input, stage by stage, against the library calls it is made of.

`ours` is the product's code, `library` the bare calls on inputs that lie ready: what no preprocessing that gives the
same pixels with these libraries can go below. CLAHE needs the green channel by itself and its result back in the
picture: "channel" is what OpenCV takes for these two; ratios stand with and without it. `shown` is the copy for the
reader, scaled down with one call in the library's column. One thread, as in a worker of the decoding pool, and
processor time of that thread, so that other programs on the machine do not count. As in the pool, `apply` and `prepare`
may write over the photograph.
"""

from __future__ import annotations

import io
import statistics
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.codestream import read_jpeg
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.fundus import crop_box
from ocunet_pacs.imaging.jpeg import jpeg_pixels
from ocunet_pacs.imaging.prepare import SHOWN_SIDE, prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply
from tests.bench.rounds import measure, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

ROUNDS = 15
SIZES = ((2000, 2000), (4288, 2848))
SPEC = PreprocessSpec()


def main() -> None:
    """A table for each size."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for size in SIZES:
            _report(size, _times(_jpeg(size)))
    finally:
        cv2.setNumThreads(threads)


def _jpeg(size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    drawn = draw_fundus(seed=1, laterality=Laterality.RIGHT, size=size)
    Image.fromarray(drawn).save(content, "JPEG", quality=92)
    return content.getvalue()


def _times(stream: bytes) -> dict[str, float]:
    """Median milliseconds by name."""
    facts = read_jpeg(stream)
    rgb = jpeg_pixels(stream, facts)
    box = crop_box(rgb, SPEC.roi_padding)
    field = np.ascontiguousarray(rgb[box.top : box.bottom, box.left : box.right])
    green = np.ascontiguousarray(field[:, :, 1])
    worn = rgb.copy()
    inside = worn[box.top : box.bottom, box.left : box.right]
    contenders: dict[str, Callable[[], object]] = {
        "decode, Pillow": lambda: np.array(Image.open(io.BytesIO(stream)).convert("RGB")),
        "decode, ours": lambda: jpeg_pixels(stream, facts),
        "crop, library": lambda: _crop(rgb),
        "crop, ours": lambda: crop_box(rgb, SPEC.roi_padding),
        "channel, library": lambda: cv2.insertChannel(cv2.extractChannel(inside, 1), inside, 1),
        "CLAHE, library": lambda: _clahe().apply(green),
        "resize, library": lambda: _resize(field),
        "shown, library": lambda: _shown(rgb),
        "apply, ours": lambda: apply(SPEC, worn, reuse=True),
        "prepare, ours": lambda: prepare(SPEC, worn, reuse=True),
        "whole, ours": lambda: prepare(SPEC, jpeg_pixels(stream, facts), reuse=True),
        "whole, plain": lambda: _plain(stream),
    }
    return {
        name: 1000 * statistics.median(values)
        for name, values in measure(contenders, ROUNDS, clock=time.thread_time).items()
    }


def _report(size: tuple[int, int], ms: dict[str, float]) -> None:
    say(f"{size[0]} x {size[1]}, median of {ROUNDS} rounds, ms a photograph")
    for name, value in ms.items():
        say(f"  {name:18}{value:9.1f}")
    bare = ms["crop, library"] + ms["CLAHE, library"] + ms["resize, library"]
    both, channel = bare + ms["shown, library"], ms["channel, library"]
    for name, calls in (("apply", bare), ("prepare", both), ("whole", both + ms["decode, ours"])):
        took = ms[f"{name}, ours"]
        say(f"  {name:8}/ its library calls{took / (calls + channel):8.3f}, channel calls left out {took / calls:.3f}")
    say(f"  whole   / the plain way (Pillow) {ms['whole, ours'] / ms['whole, plain']:6.2f}")


def _clahe() -> cv2.CLAHE:
    return cv2.createCLAHE(clipLimit=SPEC.clahe_clip_limit, tileGridSize=(SPEC.clahe_tiles, SPEC.clahe_tiles))


def _crop(rgb: Pixels) -> tuple[int, ...]:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, ellipse, iterations=3)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, ellipse, iterations=2)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return tuple(cv2.boundingRect(max(contours, key=cv2.contourArea)))


def _resize(field: Pixels) -> Pixels:
    side = (SPEC.image_size, SPEC.image_size)
    return np.asarray(Image.fromarray(field).resize(side, Image.Resampling.BILINEAR))


def _shown(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    scale = SHOWN_SIDE / max(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _plain(stream: bytes) -> tuple[Pixels, Pixels]:
    """Everything with Pillow's decoder and the bare calls, as a script does it."""
    rgb = np.array(Image.open(io.BytesIO(stream)).convert("RGB"))
    box = crop_box(rgb, SPEC.roi_padding)
    field = rgb[box.top : box.bottom, box.left : box.right].copy()
    field[:, :, 1] = _clahe().apply(np.ascontiguousarray(field[:, :, 1]))
    return _resize(field), _shown(rgb)
