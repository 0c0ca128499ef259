"""What a file's name gives away: the patient, the eye, and the original that it is a copy of.

Names join pictures that must stay on one side of a split; what they do not give away is left to the search for
duplicates. Joining too many costs nothing but freedom, joining too few is a leak.
"""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_EYES: Final = MappingProxyType({"left": "L", "os": "L", "right": "R", "od": "R"})
_CHANGE: Final = re.compile(
    "aug(ment(ed|ation)?)?|copy|[hv]?flip(ped)?|horizontal|vertical|mirror(ed)?|rot(ate|ated|ation)?|zoom(ed)?|gamma|"
    "bright(ened|ness)?|contrast|clahe|crop(ped)?|shift(ed)?|translated?|shear(ed)?|scaled|nois[ey]|gaussian|elastic|"
    "blur(red)?|sharpen(ed)?|jitter|hue|saturation|distort(ed|ion)"
)
"""Words of augmentation programs; a number may follow."""


class Named(NamedTuple):
    """The original's name, the same for all copies of it and for both eyes of a patient, and which eye: R, L or ""."""

    original: str
    is_patient: bool = False
    laterality: str = ""


def named(stem: str) -> Named:
    """What a file's name, without its suffix, gives away.

    "2329_left" is patient 2329's left eye; "Glaucoma12_flip_0" and "aug_3_Glaucoma12" are copies of Glaucoma12, and of
    a copy the eye is unknown, because it may be flipped. A name that would lose its last number gives nothing away.
    """
    words = [word.casefold() for word in _WORD.findall(stem)]
    original = _original(words)
    if len(original) > 1 and original[-1] in _EYES and _has_number(original[:-1]):
        return Named(
            "-".join(original[:-1]), is_patient=True, laterality=_EYES[original[-1]] if original == words else ""
        )
    return Named("-".join(original) or stem.casefold())


def _original(words: Sequence[str]) -> Sequence[str]:
    """The words without those of augmentation before and behind them."""
    rest = words
    if words and _CHANGE.fullmatch(words[0]):
        rest = list(dropwhile(lambda word: word.isdecimal() or _CHANGE.fullmatch(word), words))
    rest = list(takewhile(lambda word: not _CHANGE.fullmatch(word), rest))
    return rest if _has_number(rest) else words


def _has_number(words: Sequence[str]) -> bool:
    return any(word.isdecimal() for word in words)
