"""What a person must be able to read of the study with findings in both eyes, whatever the layout.

Patterns for text in one line. A share may be shown with one decimal or two: 91.3 % or 91.32 %.
"""

from __future__ import annotations

import re

DISCLAIMER = r"[Dd]ecision support, not a diagnosis"
NOT_VERIFIED = r"[Nn]ot verified"
NOT_LISTED = r"did not reach their threshold"

FINDINGS = (
    ("OD", "Diabetic retinopathy", (91.32, 91.3), 41.2),
    ("OD", "Retinal exudation", (78.45, 78.5), 35.8),
    ("OS", "Glaucoma (suspected)", (81.27, 81.3), 46.7),
    ("OS", "Drusen", (66.54, 66.5), 39.1),
)
"""Eye, label, probability with two decimals and with one, threshold; in percent."""

CONCLUSIONS = (
    r"Conclusions\b(?:(?!Conclusions).){0,60}?OD \(right eye\).*?"
    r"Conclusions\b(?:(?!Conclusions).){0,60}?OS \(left eye\)"
)
"""Each eye's conclusions say at once which eye they are of."""
CAVEATS = (r"gives no grade", r"composite flag, which", r"not diabetic neuropathy")
"""Of diabetic retinopathy, of the composite flag, of drusen."""


def finding(eye: str, label: str, probability: tuple[float, float], threshold: float) -> str:
    """The eye, then the label, its probability and its threshold, with no other eye and no other share between them."""
    shares = "|".join(f"{share:.{places}f}" for share, places in zip(probability, (2, 1), strict=True))
    others = r"(?:(?!\bO[DSU]\b|%).)*?"
    return rf"\b{eye}\b(?:(?!\bO[DSU]\b).)*?{re.escape(label)}{others}\b(?:{shares}) ?%{others}\b{threshold:.1f}0? ?%"


def missing(text: str) -> list[str]:
    """Which of the findings cannot be read in the text, or not as they should be."""
    return [label for eye, label, *shares in FINDINGS if not re.search(finding(eye, label, *shares), text)]
