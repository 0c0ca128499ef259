"""The gates that an image passes before it is analysed, by the names that a site opens and closes them with.

Each gate stops one kind of image, for one coded reason. Most are closed from the start, because the model was not
validated on what they stop; a site that knows better opens a gate, for everybody or for one source.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.domain.study import Reason


class Gate(StrEnum):
    """What is stopped while the gate is closed. Our own results never pass: that gate is not a site's to open."""

    VL_PHOTOGRAPHIC = "vl_photographic"
    """VL Photographic Image Storage: an ordinary photograph, which may be one of a fundus. Where it is open, region or
    device say that it is one, or the pixels must prove it (`Verdict.strict`)."""
    SECONDARY_CAPTURE = "secondary_capture"
    """Secondary Capture and Multi-frame True Color Secondary Capture. Where it is open, region or device must say that
    it shows a fundus; where it is open for a source by name, the pixels may prove it instead."""
    WIDE_FIELD = "wide_field"
    """Wide field classes, and a Horizontal Field of View beyond `eligibility.widest_field`."""
    DERIVED = "derived"
    """Image Type DERIVED, or a montage."""
    CALIBRATION = "calibration"
    """Calibration Image or Quality Control Image is YES."""
    OTHER_REGION = "other_region"
    """Anatomic region or device that is not of the fundus: lens, cornea, slit lamp, external camera."""
    UNPROVEN_REGION = "unproven_region"
    """Nothing in the header says that the fundus was photographed. Open from the start: many exports leave it out."""
    NOT_COLOUR = "not_colour"
    """Red-free, infrared, autofluorescence. Monochrome pixels are never analysed: there is no colour to read."""
    ANGIOGRAPHY = "angiography"
    """Fluorescein or indocyanine green."""
    CHILD = "child"
    """Patients younger than `eligibility.minimum_age`."""
    NOT_FUNDUS = "not_fundus"
    """Pixels that do not look like a colour fundus photograph."""
    UNGRADABLE = "ungradable"
    """Pixels that show a fundus too badly to be graded."""


OPEN_FROM_THE_START = frozenset({Gate.UNPROVEN_REGION})
PIXEL_GATES: Mapping[ReasonCode, Gate] = MappingProxyType(
    {ReasonCode.NOT_FUNDUS: Gate.NOT_FUNDUS, ReasonCode.UNGRADABLE: Gate.UNGRADABLE}
)
"""The gates of the pixel test, by the reasons that it gives."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """What the images of one source must pass: the open gates, and those among them opened for it by name."""

    open: frozenset[Gate] = OPEN_FROM_THE_START
    by_name: frozenset[Gate] = frozenset()
    minimum_age: float = 18.0
    widest_field: float = 60.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The site's gates. `sources` holds the rules of the sources that have some of their own, by name."""

    everybody: GateRules = GateRules()
    sources: Mapping[str, GateRules] = field(default_factory=dict)

    def of(self, source: str) -> GateRules:
        """The rules for the images of a source; everybody's for one that is not listed."""
        return self.sources.get(source, self.everybody)

    @property
    def digest(self) -> str:
        """sha256 (hex) over all of them: other rules are other results."""
        facts = {name: _plain(rules) for name, rules in self.sources.items()}
        text = json.dumps([_plain(self.everybody), facts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one image by its header; the pixels then have their say.

    `stop` keeps the pixels from being looked at. `afterwards` is what stops an image whose pixels pass: the gates that
    come after the pixel test. `despite` would have stopped it, had the site not opened the gate. `strict`: nothing in
    the header proves that it is a fundus photograph, so its pixels must. `open` are the open gates.
    """

    stop: Reason | None = None
    afterwards: Reason | None = None
    despite: tuple[Reason, ...] = ()
    strict: bool = False
    open: frozenset[Gate] = OPEN_FROM_THE_START

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The one reason why the image is not analysed, whatever its pixels are; empty where there is none."""
        first = self.stop or self.afterwards
        return () if first is None else (first,)

    def of_pixels(self, photograph: Photograph) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """Why the photograph is not scored by what its pixels show, and what is said of them although it is."""
        said = photograph.doubts if self.strict else photograph.reasons
        stopping = tuple(reason for reason in said if PIXEL_GATES.get(reason.code) not in self.open)
        return stopping, () if stopping else said


def _plain(rules: GateRules) -> dict[str, object]:
    return {
        "open": sorted(rules.open),
        "by name": sorted(rules.by_name),
        "minimum age": rules.minimum_age,
        "widest field": rules.widest_field,
    }
