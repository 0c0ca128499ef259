"""What a site may choose about its reports."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocunet_pacs.domain.labels import Label, Urgency

TEMPLATE_VERSION = 3
"""Counts changes of what reports say or heatmaps look like: raise it with every such change."""

SR_CLASSES = {
    "comprehensive-3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}
"""SOP classes that the report can be stored as, by the word of `domain.routes.Form`.

The content is the same; older archives need the later ones.
"""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Everything a site may choose about a report and its heatmaps.

    `content_qualification` is Content Qualification (0018,9004): PRODUCT, RESEARCH or SERVICE. `heatmap_labels` is how
    many labels a heatmap explains (at least 1). Empty `institution_name`: as in the photographs. Reports get
    `series_number` (at least 900), heatmaps 50 more. `urgencies` replaces the suggested urgency of labels, as pairs of
    label name and urgency.
    """

    content_qualification: str = "RESEARCH"
    include_below_threshold: bool = False
    heatmap_labels: int = 3
    device_name: str = "OCUNET"
    institution_name: str = ""
    series_number: int = 900
    urgencies: tuple[tuple[str, Urgency], ...] = ()

    def __post_init__(self) -> None:
        if self.content_qualification not in {"PRODUCT", "RESEARCH", "SERVICE"}:
            raise ValueError("content_qualification must be PRODUCT, RESEARCH or SERVICE")
        if self.heatmap_labels < 1:
            raise ValueError("heatmap_labels must be at least 1")
        if self.series_number < 900:
            raise ValueError("series_number must be at least 900")

    @property
    def digest(self) -> str:
        """sha256 (hex) over every setting and the template's version."""
        facts = {"template": TEMPLATE_VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def urgency(self, label: Label) -> Urgency:
        """The site's word on the label, or the table's."""
        return dict(self.urgencies).get(label.name, label.urgency)
