"""Text in pictures: Pillow's own font, so that a server needs none installed.

Setting letters costs more than the rest of a heatmap, and most of its words are those of the one before. What was set
once is remembered, a few megabytes at most.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFont import FreeTypeFont

LINE = 1.35
"""Distance of baselines, in font sizes."""


def font(size: float) -> FreeTypeFont:
    """The built-in typeface at this many pixels."""
    return cast("FreeTypeFont", ImageFont.load_default(size=size))


@functools.lru_cache(maxsize=4096)
def length(text: str, size: float) -> float:
    """Width of the text in pixels."""
    return font(size).getlength(text)


@functools.lru_cache(maxsize=1024)
def _letters(text: str, size: float) -> Image.Image:
    face = font(size)
    _, _, right, bottom = face.getbbox(text)
    mask = Image.new("L", (max(1, math.ceil(right)), max(1, math.ceil(bottom))))
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=face)
    return mask


def write(
    canvas: Image.Image,
    place: tuple[float, float],
    text: str,
    size: float,
    colour: tuple[int, int, int],
    *,
    ends_here: bool = False,
) -> None:
    """Write the text with its top left corner at `place`, its top right corner where it `ends_here`."""
    left, top = place
    if ends_here:
        left -= length(text, size)
    canvas.paste(colour, (round(left), round(top)), _letters(text, size))


def wrap(text: str, size: float, width: float) -> list[str]:
    """Lines no wider than `width` pixels; a longer word (a digest) is broken."""
    words = text.split()
    if len(words) < 6 and length(" ".join(words), size) <= width:
        return [" ".join(words)] if words else []
    lines: list[str] = []
    used, space = 0.0, length(" ", size)
    for word in words:
        rest, needed = word, length(word, size)
        while needed > width:
            fits = next(n for n in range(len(rest), 0, -1) if n == 1 or length(rest[:n], size) <= width)
            lines.append(rest[:fits])
            rest, used = rest[fits:], width
            needed = length(rest, size)
        if lines and rest and used + space + needed <= width:
            lines[-1] += f" {rest}"
            used += space + needed
        elif rest:
            lines.append(rest)
            used = needed
    return lines


def drawable(text: str, face: FreeTypeFont) -> str:
    """The text as far as the typeface goes."""
    missing = bytes(face.getmask("\uffff"))
    return writable(text, lambda character: character.isascii() or bytes(face.getmask(character)) != missing)


def writable(text: str, has: Callable[[str], bool]) -> str:
    """The text in characters that a typeface `has`: without accents that it lacks, a question mark for the rest."""
    plain = (c if has(c) else unicodedata.normalize("NFKD", c)[0] for c in text)
    return "".join(c if has(c) else "?" for c in plain)
