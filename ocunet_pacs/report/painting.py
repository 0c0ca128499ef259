"""The heatmap as a picture: the plain photograph, one panel for each label with its explanation painted over it, and
the chart of all labels.

White on black as in a reading room, and always as wide: the text is large enough to be read when the whole picture is
shown 1024 pixels wide. The panels lie in as many columns as show the photograph largest in a viewer's window.
Viridis is perceptually uniform and safe for colour-blind readers; it ends before its yellow, which would look like an
exudate. Its opacity follows the activation and stays low, so the photograph remains visible, and a line marks half of
the label's maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ocunet_pacs.report.chart import lay_out
from ocunet_pacs.report.lettering import LINE, length, wrap, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import Box
    from ocunet_pacs.report.chart import Row

MAX_OPACITY = 0.5
_FADE_IN = 0.15
"""Below this activation the photograph is left as it is; opacity then rises to its maximum at 1."""

_LAST_COLOUR = 0.78
"""How far along viridis the greatest activation lies."""
_HALF = 128
"""Half of a label's maximum, as one of 256 levels."""

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)
_GREY = (190, 190, 190)
_RED = (255, 96, 96)

WIDTH = 1600
"""Of every picture, in pixels. Sizes of text are chosen for it."""
_VIEW = 1300
"""Height of a viewer's window in pixels as wide: what is higher is shown smaller."""
_SMALLEST = 300
"""Width of the narrowest cell: in less room nothing can be seen of a fundus."""
_ENLARGED = 2.0
"""How much larger than it is a small photograph may be shown."""
_GAP = 16
_ABOVE, _BENEATH = 88, 72
"""Left black: where viewers write study, series and zoom over the corners of a picture."""
_BODY, _BOLD, _CHART = 23.0, 28.0, 21.0
"""Sizes of text: 15, 18 and 13 pixels where the picture is shown 1024 pixels wide."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One label: its title, the line beneath it, and its activation over the network's input, float32 in [0, 1]."""

    title: str
    detail: str
    activation: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Caption:
    """The text around the panels. `warning` is drawn in red above all else, "" where there is none."""

    heading: str
    disclaimer: str
    notes: tuple[str, ...]
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the panels lie: in `columns` of cells `cell` wide and `step` apart in height, each picture of this `size`."""

    columns: int
    cell: int
    step: int
    size: tuple[int, int]

    def height(self, panels: int) -> int:
        """Of all rows."""
        return math.ceil(panels / self.columns) * self.step


def spread(activation: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The activation over `size` (width, height) pixels as 256 levels, 255 for 1."""
    # Cubic interpolation overshoots: what it adds beyond the scale means nothing.
    smooth = np.asarray(cv2.resize(activation, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return np.rint(np.clip(smooth, 0.0, 1.0) * 255).astype(np.uint8)


def overlay(photograph: RgbImage, activation: NDArray[np.float32], crop: Box) -> RgbImage:
    """The photograph with the activation painted into `crop`, in the photograph's own pixels."""
    painted = photograph.copy()
    width, height = crop.right - crop.left, crop.bottom - crop.top
    if width <= 0 or height <= 0:
        return painted
    region = painted[crop.top : crop.bottom, crop.left : crop.right]
    levels = spread(activation, (width, height))
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    opacity = np.asarray(cv2.LUT(levels, opacity_of(ramp)), dtype=np.float32)
    colour = np.take(colours(ramp)[0], levels, axis=0)
    region[:] = cv2.blendLinear(np.ascontiguousarray(region), colour, 1 - opacity, opacity)
    # The frame of zeros closes lines that would otherwise run out of the crop.
    inside = np.pad((levels >= _HALF).astype(np.uint8), 1)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(photograph.shape) / 600))
    corner = (crop.left - 1, crop.top - 1)
    cv2.drawContours(painted, outlines, -1, _WHITE, thickness, lineType=cv2.LINE_AA, offset=corner)
    return painted


def opacity_of(activation: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the colour shows, in [0, MAX_OPACITY]."""
    share = np.clip((activation - _FADE_IN) / (1 - _FADE_IN), 0.0, 1.0)
    return np.asarray(share**0.7 * MAX_OPACITY, dtype=np.float32)


def colours(activation: NDArray[np.float32]) -> RgbImage:
    """RGB of each activation in [0, 1], same shape with 3 channels behind."""
    levels = np.rint(activation * (255 * _LAST_COLOUR)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def paint(photograph: RgbImage, panels: Sequence[Panel], crop: Box, caption: Caption, rows: Sequence[Row]) -> RgbImage:
    """The whole picture, (height, WIDTH, 3); `rows` are the chart's."""
    titles = [("Photograph", "without overlay"), *((panel.title, panel.detail) for panel in panels)]
    head = _text_block([(caption.warning, _RED, _BOLD), (caption.heading, _WHITE, _BOLD)])
    notes = [(note, _GREY, _BODY) for note in caption.notes]
    foot = _text_block([(caption.disclaimer, _WHITE, _BODY), *notes])
    bar = _colour_bar()
    chart = lay_out(rows, WIDTH - 2 * _GAP, 2, _CHART).draw()
    layout = _choose(photograph, titles, _ABOVE + head.height + bar.height + chart.height + foot.height + _BENEATH)
    small, crop = _scaled(photograph, crop, layout.size)
    pictures = [small, *(overlay(small, panel.activation, crop) for panel in panels)]
    first = _ABOVE + head.height
    below = first + layout.height(len(pictures))
    canvas = Image.new("RGB", (WIDTH, below + bar.height + chart.height + foot.height + _BENEATH), _BLACK)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = _GAP + (place % layout.columns) * (layout.cell + _GAP)
        top = first + (place // layout.columns) * layout.step
        canvas.paste(Image.fromarray(picture), (left + (layout.cell - layout.size[0]) // 2, top))
        _label(canvas, title, (left, top + layout.size[1] + _GAP // 2, layout.cell))
    canvas.paste(head, (0, _ABOVE))
    canvas.paste(bar, (0, below))
    canvas.paste(chart, (_GAP, below + bar.height))
    canvas.paste(foot, (0, below + bar.height + chart.height))
    return np.asarray(canvas, dtype=np.uint8)


def _choose(photograph: RgbImage, titles: Sequence[tuple[str, str]], around: int) -> _Layout:
    """The layout that shows the photograph largest; `around` is the height of everything but the panels."""
    height, width = photograph.shape[:2]
    layouts = []
    for columns in range(len(titles), 0, -1):
        cell = (WIDTH - _GAP) // columns - _GAP
        if cell < _SMALLEST:
            continue
        scale = min(_ENLARGED, cell / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        step = size[1] + max(_label_height(title, cell) for title in titles) + 2 * _GAP
        layouts.append(_Layout(columns, cell, step, size))
    return max(layouts, key=lambda one: one.size[0] * min(1.0, _VIEW / (around + one.height(len(titles)))))


def _scaled(photograph: RgbImage, crop: Box, size: tuple[int, int]) -> tuple[RgbImage, Box]:
    """The photograph in this `size`, and the crop in its pixels."""
    height, width = photograph.shape[:2]
    how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(photograph, size, interpolation=how), dtype=np.uint8)
    x, y = size[0] / width, size[1] / height
    edges = (round(crop.left * x), round(crop.top * y), round(crop.right * x), round(crop.bottom * y))
    return small, type(crop)(*edges)


def _label_height(title: tuple[str, str], width: int) -> int:
    lines = zip(title, (_BOLD, _BODY), strict=True)
    return math.ceil(sum(len(wrap(text, size, width)) * size * LINE for text, size in lines))


def _label(canvas: Image.Image, title: tuple[str, str], place: tuple[int, int, int]) -> None:
    left, top, width = place
    at = float(top)
    for text, size, colour in zip(title, (_BOLD, _BODY), (_WHITE, _GREY), strict=True):
        for line in wrap(text, size, width):
            write(canvas, (left, at), line, size, colour)
            at += size * LINE


def _text_block(paragraphs: Sequence[tuple[str, tuple[int, int, int], float]]) -> Image.Image:
    lines = [(line, colour, size) for text, colour, size in paragraphs for line in wrap(text, size, WIDTH - 2 * _GAP)]
    height = math.ceil(sum(size * LINE for _, _, size in lines)) + 2 * _GAP
    block = Image.new("RGB", (WIDTH, height), _BLACK)
    at = float(_GAP)
    for line, colour, size in lines:
        write(block, (_GAP, at), line, size, colour)
        at += size * LINE
    return block


def _colour_bar() -> Image.Image:
    """From nothing to the label's own maximum, over grey so that the opacity can be seen."""
    low, high = "no weight", "greatest weight for the label"
    height = math.ceil(_BODY * LINE)
    bar = Image.new("RGB", (WIDTH, height + _GAP), _BLACK)
    write(bar, (_GAP, _GAP), low, _BODY, _GREY)
    start = 2 * _GAP + math.ceil(length(low, _BODY))
    ramp = np.tile(np.linspace(0, 1, WIDTH // 3, dtype=np.float32), (height, 1))
    opacity = opacity_of(ramp)[..., None]
    strip = np.rint(colours(ramp) * opacity + 96 * (1 - opacity)).astype(np.uint8)
    bar.paste(Image.fromarray(strip), (start, _GAP))
    write(bar, (start + strip.shape[1] + _GAP, _GAP), high, _BODY, _GREY)
    return bar
