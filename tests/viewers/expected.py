"""What a person must be able to read of the study with findings in both eyes, whatever the layout.

Patterns for text in one line. A probability may be shown with one decimal or two: 91.3 % or 91.32 %.
"""

from __future__ import annotations

DISCLAIMER = r"[Dd]ecision support, not a diagnosis"
NOT_VERIFIED = r"[Nn]ot verified"
THRESHOLD = r"50\.00? ?%"
NOT_LISTED = r"did not reach their threshold"

FINDINGS = (
    ("OD", "Diabetic retinopathy", r"91\.32? ?%"),
    ("OD", "Retinal exudation", r"78\.4?5 ?%"),
    ("OS", "Glaucoma \\(suspected\\)", r"81\.27|81\.3 ?%"),
    ("OS", "Drusen", r"66\.5|66\.54 ?%"),
)
"""Eye, label, probability: as they must stand in one sentence."""


def sentence(eye: str, label: str, probability: str) -> str:
    """The eye, then the label, then its probability, with no other eye between them."""
    return rf"\b{eye}\b(?:(?!\bO[DSU]\b).)*?{label}(?:(?!%).)*?(?:{probability})"
