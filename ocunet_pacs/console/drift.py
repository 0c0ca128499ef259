"""The nights of the drift watch as rows and small plots: each measure beside its limit, night by night. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocunet_pacs.console.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 200, 44
"""Of a plot, in its own units. The limit lies half-way up."""
_EDGE = 4
_OPEN = 6
"""Measures of a camera that are shown at once, beside those with an alert."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One measure over the nights: `line` are the points of a polyline, `alerts` those of nights with an alert."""

    line: str
    alerts: tuple[tuple[float, float], ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of one camera, as the last night found it."""

    what: str
    look_at: str
    direction: str
    value: float
    limit: float
    alert: bool
    plot: Plot


@dataclass(frozen=True, slots=True)
class Watched:
    """One camera. `foremost` are its measures that are nearest to their limits or past them, `others` the rest."""

    digest: str
    name: str
    standing: str
    alert: bool
    photographs: int
    patients: int
    foremost: tuple[Measure, ...]
    others: tuple[Measure, ...]


def watched(nights: Sequence[Mapping[str, Any]]) -> list[Watched]:
    """The cameras of the last night, those with an alert first. `nights` as of `drift report --json`, newest first."""
    if not nights:
        return []
    past: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for night in nights:
        for camera in night["cameras"]:
            for one in camera["measures"]:
                past.setdefault((camera["camera"], one["part"], one["measure"]), {})[night["night"]] = one
    days = [night["night"] for night in reversed(nights)]
    found = [_watched(camera, past, days) for camera in nights[0]["cameras"]]
    return sorted(found, key=lambda camera: not camera.alert)


def _watched(
    camera: Mapping[str, Any], past: Mapping[tuple[str, str, str], Mapping[str, Mapping[str, Any]]], days: list[str]
) -> Watched:
    measures = [
        Measure(
            one["what"],
            one["look_at"],
            one["direction"],
            one["value"],
            one["limit"],
            one["alert"],
            _plot(past[camera["camera"], one["part"], one["measure"]], days),
        )
        for one in camera["measures"]
    ]
    first = max(_OPEN, sum(one.alert for one in measures))
    return Watched(
        camera["camera"],
        camera["name"],
        camera["standing"],
        camera["alert"],
        camera["photographs"],
        camera["patients"],
        tuple(measures[:first]),
        tuple(measures[first:]),
    )


def _plot(nights: Mapping[str, Mapping[str, Any]], days: Sequence[str]) -> Plot:
    points, alerts = [], []
    step = (WIDTH - 2 * _EDGE) / max(len(days) - 1, 1)
    for place, day in enumerate(days):
        one = nights.get(day)
        if one is None:
            continue
        share = one["value"] / one["limit"] if one["limit"] > 0 else 0.0
        point = round(_EDGE + place * step, 1), round(HEIGHT / 2 * (2 - min(max(share, 0.0), 1.9)), 1)
        points.append(point)
        if one["alert"]:
            alerts.append(point)
    highest = max((one["value"] for one in nights.values()), default=0.0)
    summary = f"{counted(len(nights), 'night')}, highest {highest:.2f}, {counted(len(alerts), 'alert')}"
    return Plot(" ".join(f"{x},{y}" for x, y in points), tuple(alerts), summary)
