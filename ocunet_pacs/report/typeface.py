"""The typeface of documents: Noto Sans (SIL Open Font License), whose package brings it as one variable font.

A document embeds no more than the characters that it has. Cutting the font down before its weights are fixed takes a
tenth of a second where the other way round takes ten.
"""

from __future__ import annotations

import io
import unicodedata
from functools import cached_property
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

from ocunet_pacs.report.lettering import writable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

REGULAR, BOLD = 400, 700
_FILE = files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
_ALWAYS = "".join(map(chr, range(32, 127))) + "\u2022\u00b7\u00a0"
"""ASCII, a bullet, a dot in the middle, a space that does not break."""


class Typeface:
    """What the typeface can write, and files with as much of it as a document needs."""

    @cached_property
    def _characters(self) -> frozenset[int]:
        with as_file(_FILE) as path, TTFont(path, lazy=True) as face:
            return frozenset(face.getBestCmap())

    def has(self, character: str) -> bool:
        """Whether there is a glyph for this character."""
        return ord(character) in self._characters

    def write(self, text: str) -> str:
        """The text in one line as far as the typeface goes: accents that it lacks are left out, "?" for the rest."""
        spaced = "".join(" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text)
        return writable(" ".join(spaced.split()), self.has)

    def write_name(self, name: str) -> str:
        """A person's name with those of its component groups that can be written, the alphabetic one first.

        Groups (PS3.5 section 6.2.1) are divided by "=". Where none can be written, the first is, with question marks.
        """
        groups = [group.replace("^", " ").strip() for group in name.split("=") if group.strip(" ^")]
        first, *others = [g for g in groups if self.write(g) == " ".join(g.split())] or groups[:1] or [""]
        return self.write(first) + (f" ({', '.join(map(self.write, others))})" if others else "")

    def cut(self, characters: AbstractSet[str], files_by_weight: Mapping[int, Path]) -> None:
        """Write a font file of each weight with these characters, and with those that every document has."""
        small = io.BytesIO()
        with as_file(_FILE) as source, TTFont(source, lazy=True, recalcTimestamp=False) as face:
            subsetter = Subsetter(Options(layout_features=[], hinting=False, notdef_outline=True))
            subsetter.populate(text=_ALWAYS + "".join(sorted(characters)))
            subsetter.subset(face)
            face.save(small)
        for weight, path in files_by_weight.items():
            small.seek(0)
            with TTFont(small, recalcTimestamp=False) as face:
                instantiateVariableFont(face, {"wght": weight, "wdth": 100}).save(path)
