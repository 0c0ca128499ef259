"""The heatmap as a picture: the plain photograph, and one panel for each label with its explanation painted over it.

Panels lie side by side (four and more in rows of two or three), white on black as in a reading room. The text is
large enough to be read when the whole picture is shown 1024 pixels wide. Viridis is perceptually uniform and safe for
colour-blind readers; it ends before its yellow, which would look like an exudate. Its opacity follows the activation
and stays low, so the photograph remains visible, and a line marks half of the label's maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ocunet_pacs.report.lettering import LINE, font, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.ImageFont import FreeTypeFont

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import Box

MAX_OPACITY = 0.5
_FADE_IN = 0.15
"""Below this activation the photograph is left as it is; opacity then rises to its maximum at 1."""

_LAST_COLOUR = 0.78
"""How far along viridis the greatest activation lies."""
_HALF = 0.5

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)
_GREY = (190, 190, 190)
_RED = (255, 96, 96)
_SIDES = {1: 1600, 2: 800, 3: 640}
"""Longest side of a panel's picture in pixels, by number of columns."""


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
    notes: tuple[str, ...]
    warning: str = ""


def overlay(photograph: RgbImage, activation: NDArray[np.float32], crop: Box) -> RgbImage:
    """The photograph with the activation painted into `crop`, in the photograph's own pixels."""
    painted = photograph.copy()
    width, height = crop.right - crop.left, crop.bottom - crop.top
    if width <= 0 or height <= 0:
        return painted
    region = painted[crop.top : crop.bottom, crop.left : crop.right]
    # Cubic interpolation overshoots: what it adds beyond the scale means nothing.
    cubic = cv2.resize(activation, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(np.asarray(cubic, dtype=np.float32), 0.0, 1.0)
    opacity = opacity_of(smooth)[..., None]
    region[:] = np.rint(region * (1 - opacity) + colours(smooth) * opacity).astype(np.uint8)
    # The frame of zeros closes lines that would otherwise run out of the crop.
    inside = np.pad((smooth >= _HALF).astype(np.uint8), 1)
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


def paint(photograph: RgbImage, panels: Sequence[Panel], crop: Box, caption: Caption) -> RgbImage:
    """The whole picture, (height, width, 3)."""
    columns = _columns(len(panels) + 1)
    small, crop = _shrink(photograph, crop, _SIDES[columns])
    pictures = [small, *(overlay(small, panel.activation, crop) for panel in panels)]
    titles = [("Photograph", "without overlay"), *((panel.title, panel.detail) for panel in panels)]
    cell = max(small.shape[1], 240)
    gap = max(8, cell // 60)
    width = columns * cell + (columns + 1) * gap
    body = font(max(12.0, width / 62))
    bold = font(max(14.0, width / 50))
    label_height = max(_label_height(title, (bold, body), cell) for title in titles) + gap
    head = _text_block([(caption.warning, _RED, bold), (caption.heading, _WHITE, bold)], width, gap)
    foot = _text_block([(note, _GREY, body) for note in caption.notes], width, gap)
    bar = _colour_bar(width, gap, body)
    rows = math.ceil(len(pictures) / columns)
    step = small.shape[0] + label_height + gap
    canvas = Image.new("RGB", (width, head.height + rows * step + bar.height + foot.height), _BLACK)
    canvas.paste(head, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = gap + (place % columns) * (cell + gap)
        top = head.height + (place // columns) * step
        canvas.paste(Image.fromarray(picture), (left + (cell - small.shape[1]) // 2, top))
        _label(draw, title, (bold, body), (left, top + small.shape[0] + gap // 2, cell))
    canvas.paste(bar, (0, head.height + rows * step))
    canvas.paste(foot, (0, head.height + rows * step + bar.height))
    return np.asarray(canvas, dtype=np.uint8)


def _columns(panels: int) -> int:
    return 1 if panels == 1 else 2 if panels in {2, 4} else 3


def _shrink(photograph: RgbImage, crop: Box, side: int) -> tuple[RgbImage, Box]:
    """The photograph with its longest side at most `side`, and the crop in its pixels."""
    height, width = photograph.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    x, y = size[0] / width, size[1] / height
    edges = (round(crop.left * x), round(crop.top * y), round(crop.right * x), round(crop.bottom * y))
    return small, type(crop)(*edges)


def _label_height(title: tuple[str, str], faces: tuple[FreeTypeFont, FreeTypeFont], width: int) -> int:
    lines = zip(title, faces, strict=True)
    return math.ceil(sum(len(wrap(text, face, width)) * face.size * LINE for text, face in lines))


def _label(
    draw: ImageDraw.ImageDraw,
    title: tuple[str, str],
    faces: tuple[FreeTypeFont, FreeTypeFont],
    place: tuple[int, int, int],
) -> None:
    left, top, width = place
    at = float(top)
    for text, face, colour in zip(title, faces, (_WHITE, _GREY), strict=True):
        for line in wrap(text, face, width):
            draw.text((left, at), line, fill=colour, font=face)
            at += face.size * LINE


def _text_block(
    paragraphs: Sequence[tuple[str, tuple[int, int, int], FreeTypeFont]], width: int, gap: int
) -> Image.Image:
    lines = [(line, c, f) for text, c, f in paragraphs for line in wrap(text, f, width - 2 * gap)]
    height = math.ceil(sum(f.size * LINE for _, _, f in lines)) + 2 * gap
    block = Image.new("RGB", (width, height), _BLACK)
    draw = ImageDraw.Draw(block)
    at = float(gap)
    for line, colour, face in lines:
        draw.text((gap, at), line, fill=colour, font=face)
        at += face.size * LINE
    return block


def _colour_bar(width: int, gap: int, face: FreeTypeFont) -> Image.Image:
    """From nothing to the label's own maximum, over grey so that the opacity can be seen."""
    low, high = "no weight", "greatest weight for the label"
    height = math.ceil(face.size * LINE)
    bar = Image.new("RGB", (width, height + gap), _BLACK)
    draw = ImageDraw.Draw(bar)
    draw.text((gap, 0), low, fill=_GREY, font=face)
    start = gap + math.ceil(face.getlength(low)) + gap
    length = min(width // 3, width - start - 2 * gap - math.ceil(face.getlength(high)))
    ramp = np.tile(np.linspace(0, 1, max(length, 2), dtype=np.float32), (height, 1))
    opacity = opacity_of(ramp)[..., None]
    strip = np.rint(colours(ramp) * opacity + 96 * (1 - opacity)).astype(np.uint8)
    bar.paste(Image.fromarray(strip), (start, 0))
    draw.text((start + strip.shape[1] + gap, 0), high, fill=_GREY, font=face)
    return bar
