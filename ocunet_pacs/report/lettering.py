"""Text in pictures: Pillow's own font, so that a server needs none installed."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, cast

from PIL import ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

LINE = 1.35
"""Distance of baselines, in font sizes."""


def font(size: float) -> FreeTypeFont:
    """The built-in typeface at this many pixels."""
    return cast("FreeTypeFont", ImageFont.load_default(size=size))


def wrap(text: str, face: FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than `width` pixels; a longer word (a digest) is broken."""
    lines = [""]
    for word in text.split():
        rest = word
        while face.getlength(rest) > width:
            fits = next(n for n in range(len(rest), 0, -1) if n == 1 or face.getlength(rest[:n]) <= width)
            lines.append(rest[:fits])
            rest = rest[fits:]
        longer = f"{lines[-1]} {rest}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(rest)
    return [line for line in lines if line]


def drawable(text: str, face: FreeTypeFont) -> str:
    """The text as far as the typeface goes: without accents that it lacks, a question mark for what it cannot draw."""
    missing = bytes(face.getmask("\uffff"))

    def has(character: str) -> bool:
        return character.isascii() or bytes(face.getmask(character)) != missing

    plain = (c if has(c) else unicodedata.normalize("NFKD", c)[0] for c in text)
    return "".join(c if has(c) else "?" for c in plain)
