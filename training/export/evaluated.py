"""What a model card needs of an evaluation's `report.json`, and what was found without a source.

Whatever else the report holds or lacks does no harm.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its interval; nan where undefined or not in the report."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        """With three decimals; "undefined" for nan."""
        if math.isnan(self.value):
            return "undefined"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label's figures by name, and over how many photographs they are."""

    positives: int
    negatives: int
    figures: Mapping[str, Figure]
    within_sources: Figure = Figure()
    """AUROC among photographs of the same source."""
    by_source: Figure = Figure()
    """AUROC of a reader who sees only where a photograph is from."""


@dataclass(frozen=True, slots=True)
class Part:
    """The photographs of one source."""

    value: str
    scored: int
    mean_average_precision: Figure
    mean_auroc: Figure


@dataclass(frozen=True, slots=True)
class Healthy:
    """Photographs of a source that show nothing, and the share of them on which a label is called all the same."""

    source: str
    photographs: int
    alarmed: Figure


@dataclass(frozen=True, slots=True)
class WithoutLabel:
    """One label's AUROC on a source's test photographs.

    Of the bundle (`within`), of a network that never saw a photograph of the source (`without`), and the first's
    `lead`.
    """

    label: str
    positives: int
    negatives: int
    within: Figure
    without: Figure
    lead: Figure


@dataclass(frozen=True, slots=True)
class Without:
    """One source. `labels` are those of which it has test photographs with and without."""

    source: str
    photographs: int
    groups: int
    labels: tuple[WithoutLabel, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was found. `remarks` come in their weight: a "void" one takes all meaning from the figures."""

    bundle_sha256: str
    operating_point: str
    splits: tuple[str, ...]
    photographs: int
    groups: int
    scored: int
    remarks: tuple[str, ...]
    means: Mapping[str, Figure]
    labels: Mapping[str, LabelFigures]
    sources: tuple[Part, ...]
    healthy: tuple[Healthy, ...] = ()


def read_evaluated(path: Path) -> Evaluated:
    """The figures in `path`, as `ocunet-train evaluate` writes it. RunError where it is no such file."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise RunError(f"{path}: is not JSON") from None
    report = _mapping(content)
    labels = {str(one["label"]): _label(one) for one in _mappings(report.get("labels")) if "label" in one}
    if not labels:
        raise RunError(f"{path}: holds no figures of labels: is it the report.json of `ocunet-train evaluate`?")
    bundle, data = _mapping(report.get("bundle")), _mapping(report.get("data"))
    cuts = [cut for cut in _mappings(report.get("slices")) if cut.get("by") == "source"]
    return Evaluated(
        bundle_sha256=str(bundle.get("digest", "")),
        operating_point=str(bundle.get("operating_point", "default")),
        splits=tuple(str(split) for split in data.get("splits") or ()),
        photographs=_count(data, "photographs"),
        groups=_count(data, "groups"),
        scored=_count(data, "scored"),
        remarks=tuple(str(one["text"]) for one in _mappings(report.get("remarks")) if "text" in one),
        means={name: _figure(value) for name, value in _mapping(report.get("means")).items()},
        labels=labels,
        sources=tuple(_part(part) for cut in cuts for part in _mappings(cut.get("slices"))),
        healthy=tuple(
            Healthy(str(one.get("source", "")), _count(one, "photographs"), _figure(one.get("alarmed")))
            for one in _mappings(report.get("healthy"))
        ),
    )


def read_without(path: Path) -> tuple[Without, ...]:
    """What a run found without some of its sources, as `training.crossed` writes it. RunError."""
    try:
        found = json.loads(path.read_bytes())
        return tuple(
            Without(one["source"], one["photographs"], one["groups"], tuple(map(_without_label, one["labels"])))
            for one in found
        )
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise RunError(f"{path}: is not what a run without a source leaves") from None


def _without_label(one: Mapping[str, Any]) -> WithoutLabel:
    figures = (_figure(one[name]) for name in ("within", "without", "lead"))
    return WithoutLabel(one["label"], one["positives"], one["negatives"], *figures)


def _label(one: Mapping[str, Any]) -> LabelFigures:
    figures = {name: _figure(value) for name, value in _mapping(one.get("figures")).items()}
    return LabelFigures(
        _count(one, "positives"),
        _count(one, "negatives"),
        figures,
        _figure(one.get("auroc_within_sources")),
        _figure(one.get("auroc_by_source")),
    )


def _part(one: Mapping[str, Any]) -> Part:
    means = (_figure(one.get("mean_average_precision")), _figure(one.get("mean_auroc")))
    return Part(str(one.get("value", "")), _count(one, "scored"), *means)


def _figure(value: object) -> Figure:
    """Of a number, of a mapping with its interval, or of nothing."""
    if isinstance(value, dict):
        return Figure(*(_number(value.get(name)) for name in ("value", "low", "high")))
    return Figure(_number(value))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _count(one: Mapping[str, Any], name: str) -> int:
    value = one.get(name)
    return value if isinstance(value, int) else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
