"""What a camera's photographs are compared with: how each measure lies, and what lies in the same place in all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ocunet_pacs.drift.pattern import Pattern
from ocunet_pacs.drift.stability import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocunet_pacs.drift.sample import Sample

STEPS = MappingProxyType(
    {
        "field": 0.02,
        "surround": 0.02,
        "outline": 0.005,
        "visible": 0.02,
        "dark": 0.01,
        "overexposed": 0.01,
        "flat": 0.01,
        "evenness": 0.02,
        **dict.fromkeys(("brightness", "red", "green", "blue", "low", "high"), 2.0),
    }
)
"""What is no change, of measures that a steady camera may repeat almost exactly."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Of how many photographs, studies (which stand for patients) and days it is made, and what they are like."""

    photographs: int
    studies: int
    days: int
    measures: Mapping[str, Distribution]
    pattern: Pattern | None = None

    @classmethod
    def of(cls, sample: Sample) -> Reference:
        """What photographs of a camera are like that is as it should be."""
        return cls(
            sample.photographs,
            sample.studies,
            sample.days,
            {
                name: Distribution.of(column.values, column.studies, column.days, STEPS.get(name, 0.0))
                for name, column in sorted(sample.columns.items())
            },
            Pattern.of(sample.patterns, sample.pattern_studies),
        )

    def to_json(self) -> str:
        """As a row keeps it."""
        plain = asdict(self)
        if plain["pattern"] is not None:
            for part in ("mean", "variance"):
                plain["pattern"][part] = [None if math.isnan(cell) else cell for cell in plain["pattern"][part]]
        return json.dumps(plain, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """What `to_json` was called on."""
        plain = json.loads(text)
        measures = {name: _distribution(fields) for name, fields in plain["measures"].items()}
        pattern = None if plain["pattern"] is None else _pattern(plain["pattern"])
        return cls(plain["photographs"], plain["studies"], plain["days"], measures, pattern)


def _distribution(fields: dict[str, Any]) -> Distribution:
    return Distribution(
        tuple(fields["edges"]),
        tuple(fields["counts"]),
        fields["size"],
        fields["days"],
        fields["day_variance"],
        fields["step"],
        fields["middle"],
    )


def _pattern(fields: dict[str, Any]) -> Pattern:
    mean, variance = (
        tuple(math.nan if cell is None else cell for cell in fields[part]) for part in ("mean", "variance")
    )
    return Pattern(mean, variance, fields["studies"])
