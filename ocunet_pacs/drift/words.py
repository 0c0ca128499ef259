"""What each measure is, in a person's words, and what to look at when it has changed."""

from __future__ import annotations

from types import MappingProxyType

from ocunet_pacs.domain.drift import Part
from ocunet_pacs.drift.sample import EVERY_LABEL, PATTERN, REFUSED

_LENS = "lens and focus: dirt, moisture, a scratch"
_LIGHT = "flash, exposure and colour settings; another camera under this name"
_FRAME = "resolution, field of view, mask or export settings; another camera under this name"
_ABOUT = MappingProxyType(
    {
        "structure": ("contrast of vessels", _LENS),
        "detail": ("detail finer than a vessel", f"{_LENS}; resolution and compression"),
        "contrast": ("how much the light differs over the field", _LENS),
        "direction": ("how far edges run one way", _LENS),
        "flat": ("share without any variation", "compression, damaged files"),
        "colour": ("strength of colour", _LIGHT),
        "redness": ("share of red", _LIGHT),
        "warmth": ("red less blue", _LIGHT),
        "colour_clutter": ("change of colour over a vessel's width", f"{_LENS}; compression"),
        "red": ("mean red", _LIGHT),
        "green": ("mean green", _LIGHT),
        "blue": ("mean blue", _LIGHT),
        "brightness": ("mean brightness", _LIGHT),
        "low": ("dark end of the light", _LIGHT),
        "high": ("bright end of the light", _LIGHT),
        "dark": ("share that is black", _LIGHT),
        "overexposed": ("share that is white", _LIGHT),
        "evenness": ("light at the rim beside the middle", "alignment, pupil size, flash; another camera"),
        "field": ("share of the picture that is lit", _FRAME),
        "surround": ("share of the edge that is dark", _FRAME),
        "outline": ("shape of the field's rim", _FRAME),
        "visible": ("share of the round field in the picture", _FRAME),
        "pixels": ("pixels of the longest side", _FRAME),
        REFUSED: ("share that cannot be graded", f"{_LENS}; how photographs are taken"),
        PATTERN: ("something in the same place in every photograph", "dust or a smear on lens or sensor: clean it"),
        EVERY_LABEL: ("scores of all labels together", "what else has changed; other patients"),
    }
)


def about(part: Part, measure: str) -> tuple[str, str]:
    """What it is, and what to look at; of scores the measure is a label."""
    if measure in _ABOUT:
        return _ABOUT[measure]
    if part is Part.SCORES:
        return f"scores of {measure}", "what else has changed; other patients"
    return measure, ""
