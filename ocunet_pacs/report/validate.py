"""Our own checks on every object before it leaves, and on any file that somebody asks about.

The rules are rows of `rules_general` (any DICOM object), `rules_ours` (all of ours) and the modules of each kind. They
hold what validators and readers were seen to reject or to misread, and what we promise beyond the standard;
docs/report.md lists them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.imaging.header import header_of
from ocunet_pacs.report.content import groups, named, walk
from ocunet_pacs.report.picture_rules import (
    ENCAPSULATED_PDF,
    GRAYSCALE_SECONDARY_CAPTURE,
    HEATMAP,
    MAP,
    PDF,
    SECONDARY_CAPTURE,
)
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.rules import Rule, broken
from ocunet_pacs.report.rules_conclusions import CONCLUSIONS
from ocunet_pacs.report.rules_general import GENERAL
from ocunet_pacs.report.rules_ours import OURS
from ocunet_pacs.report.rules_report import DATA_SET, TREE
from ocunet_pacs.report.rules_statements import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

__all__ = ["RULES", "broken_rules", "check", "groups", "kind_of", "named", "rules_for", "walk"]

_BY_CLASS = {
    SECONDARY_CAPTURE: OutputKind.HEATMAP,
    GRAYSCALE_SECONDARY_CAPTURE: OutputKind.MAP,
    ENCAPSULATED_PDF: OutputKind.PDF,
}

RULES: Mapping[OutputKind, tuple[Rule, ...]] = MappingProxyType(
    {
        OutputKind.REPORT: DATA_SET + TREE + STATEMENTS + CONCLUSIONS,
        OutputKind.HEATMAP: HEATMAP,
        OutputKind.MAP: MAP,
        OutputKind.PDF: PDF,
    }
)
"""The rules of each kind of object, beside those for all of ours and those for any."""


def kind_of(ds: Dataset) -> OutputKind | None:
    """Which of our objects it is; None for what others made."""
    if not header_of(ds, has_pixel_data=False).made_by_us:
        return None
    sop_class = str(ds.get("SOPClassUID", ""))
    if sop_class in SR_CLASSES.values() or ds.get("Modality") == "SR":
        return OutputKind.REPORT
    return _BY_CLASS.get(sop_class)


def rules_for(kind: OutputKind | None) -> tuple[Rule, ...]:
    """Every rule that an object of this kind is held to; None is an object of somebody else's."""
    return GENERAL if kind is None else GENERAL + OURS + RULES.get(kind, ())


def broken_rules(ds: Dataset, kind: OutputKind | None = None) -> list[Rule]:
    """All rules that the data set breaks, in their order: those of `kind`, or of what it is where that is not given."""
    return broken(ds, rules_for(kind or kind_of(ds)))


def check(ds: Dataset, kind: OutputKind) -> None:
    """InvalidReport naming every rule that an object of ours breaks."""
    found = broken_rules(ds, kind)
    if found:
        raise InvalidReport(f"an object that we made breaks the rules: {'; '.join(map(str, found))}")
