"""docs/dicom-conformance.md, whose tables stand between comments that name them."""

from __future__ import annotations

from tests.conftest import PROJECT
from tests.statement import networking, objects, received, statuses, terms

PAGE = PROJECT / "docs" / "dicom-conformance.md"


def sections() -> dict[str, str]:
    """Every table by its name."""
    found: dict[str, str] = {}
    for part in (networking, statuses, received, objects, terms):
        found |= part.sections()
    return found
