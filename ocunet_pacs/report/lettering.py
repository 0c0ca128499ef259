"""Text in pictures: Pillow's own font, so that a server needs none installed."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, cast

from PIL import ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFont import FreeTypeFont

LINE = 1.35
"""Distance of baselines, in font sizes."""


def font(size: float) -> FreeTypeFont:
    """The built-in typeface at this many pixels."""
    return cast("FreeTypeFont", ImageFont.load_default(size=size))


def wrap(text: str, face: FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than `width` pixels; a longer word (a digest) is broken."""
    if len(text.split()) < 6 and face.getlength(text) <= width:
        return [" ".join(text.split())] if text.strip() else []
    lines: list[str] = []
    used, space = 0.0, face.getlength(" ")
    for word in text.split():
        rest, length = word, face.getlength(word)
        while length > width:
            fits = next(n for n in range(len(rest), 0, -1) if n == 1 or face.getlength(rest[:n]) <= width)
            lines.append(rest[:fits])
            rest, used = rest[fits:], width
            length = face.getlength(rest)
        if lines and rest and used + space + length <= width:
            lines[-1] += f" {rest}"
            used += space + length
        elif rest:
            lines.append(rest)
            used = length
    return lines


def drawable(text: str, face: FreeTypeFont) -> str:
    """The text as far as the typeface goes."""
    missing = bytes(face.getmask("\uffff"))
    return writable(text, lambda character: character.isascii() or bytes(face.getmask(character)) != missing)


def writable(text: str, has: Callable[[str], bool]) -> str:
    """The text in characters that a typeface `has`: without accents that it lacks, a question mark for the rest."""
    plain = (c if has(c) else unicodedata.normalize("NFKD", c)[0] for c in text)
    return "".join(c if has(c) else "?" for c in plain)
