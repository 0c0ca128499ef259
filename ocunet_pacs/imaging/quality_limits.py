"""What a photograph must measure up to before it is scored, and the sentences for those that do not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocunet_pacs.imaging.quality import Quality


_STRICT_MOST = MappingProxyType({"most_outline": 0.02, "most_colour_clutter": 0.035})
_STRICT_LEAST = MappingProxyType(
    {
        "least_colour": 0.1,
        "least_redness": 0.36,
        "least_warmth": 0.1,
        "least_structure": 0.006,
        "least_surround": 0.1,
        "least_full_frame_warmth": 1.0,  # out of reach: without a dark surround nothing is proved
    }
)


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """The limits of a bundle, in the units of `Quality`; a photograph at a limit passes.

    `least` and `most` say which side is refused. A picture whose edge is lit (`surround` below `least_surround`) shows
    no round field that would speak for it, so the `full_frame` limits are stricter. Defaults: docs/image-quality.md.
    ValueError for what is not finite.
    """

    least_brightness: float = 13.0
    most_dark: float = 0.99
    most_overexposed: float = 0.22
    most_flat: float = 0.25
    least_field: float = 0.35
    most_outline: float = 0.12
    least_visible: float = 0.6
    least_colour: float = 0.03
    least_redness: float = 0.25
    least_warmth: float = -0.05
    most_colour_clutter: float = 0.055
    least_structure: float = 0.003
    least_surround: float = 0.05
    least_full_frame_warmth: float = 0.17
    least_full_frame_structure: float = 0.02
    least_full_frame_direction: float = 0.55

    def __post_init__(self) -> None:
        problems = [f"{name} must be finite" for name, value in asdict(self).items() if not math.isfinite(value)]
        if problems:
            raise ValueError("; ".join(problems))

    def strict(self) -> QualityLimits:
        """These limits and narrower ones, for a picture of which nothing but its pixels says that it is a fundus.

        A round field in a dark surround, in a fundus's colours: docs/image-quality.md says what that costs.
        """
        narrower = {name: min(getattr(self, name), value) for name, value in _STRICT_MOST.items()}
        narrower |= {name: max(getattr(self, name), value) for name, value in _STRICT_LEAST.items()}
        return replace(self, **narrower)

    def to_dict(self) -> dict[str, float]:
        """Plain JSON values under the fields' names; `from_dict` gives equal limits back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> QualityLimits:
        """The limits of a manifest. ValueError names every key that is unknown, missing or not a number."""
        names = {field.name for field in fields(cls)}
        problems = [f"unknown key {key!r}" for key in sorted(values.keys() - names)]
        problems += [f"missing key {key!r}" for key in sorted(names - values.keys())]
        read: dict[str, float] = {}
        for key in sorted(names & values.keys()):
            value = values[key]
            if isinstance(value, bool) or not isinstance(value, int | float):
                problems.append(f"{key!r} is not a number: {value!r}")
            else:
                read[key] = float(value)
        if problems:
            raise ValueError("quality: " + "; ".join(problems))
        return cls(**read)


def judge(quality: Quality, limits: QualityLimits) -> tuple[Reason, ...]:
    """Why the photograph must not be scored; empty where nothing speaks against it.

    What is too dark is only that: nothing else can be told from it. What is no fundus photograph is not graded.
    """
    if quality.brightness < limits.least_brightness:
        dark = f"too dark: mean brightness of the field {quality.brightness:.0f} of 255"
        return (Reason(ReasonCode.UNGRADABLE, f"{dark}, at least {limits.least_brightness:g} is needed"),)
    if quality.dark > limits.most_dark:
        dark = f"too dark: {quality.dark:.3f} of the field is black"
        return (Reason(ReasonCode.UNGRADABLE, f"{dark}, at most {limits.most_dark:g} is allowed"),)
    foreign = _reasons(ReasonCode.NOT_FUNDUS, _not_fundus(quality, limits))
    return foreign or _reasons(ReasonCode.UNGRADABLE, _ungradable(quality, limits))


def _reasons(code: ReasonCode, details: Iterator[str]) -> tuple[Reason, ...]:
    return tuple(Reason(code, detail) for detail in details)


def _not_fundus(quality: Quality, limits: QualityLimits) -> Iterator[str]:
    for value, least, what in (
        (quality.colour, limits.least_colour, "colour"),
        (quality.redness, limits.least_redness, "share of red"),
        (quality.warmth, limits.least_warmth, "red over blue"),
    ):
        if value < least:
            yield f"not the colours of a fundus: {what} {value:.3f}, at least {least:g} is needed"
    if quality.colour_clutter > limits.most_colour_clutter:
        yield (
            "not the colours of a fundus, or damaged: colour changes within the field by "
            f"{quality.colour_clutter:.3f}, at most {limits.most_colour_clutter:g} is allowed"
        )
    if quality.outline > limits.most_outline:
        yield (
            "not the round field of a fundus camera: its outline is off an ellipse by "
            f"{quality.outline:.3f} of its radius, at most {limits.most_outline:g} is allowed"
        )
    if quality.field < limits.least_field:
        yield f"the lit field covers {quality.field:.2f} of the picture, at least {limits.least_field:g} is needed"
    if quality.surround < limits.least_surround:
        yield from _not_full_frame(quality, limits)


def _not_full_frame(quality: Quality, limits: QualityLimits) -> Iterator[str]:
    """What speaks against the middle of a fundus, where there is no dark surround."""
    for value, least, what in (
        (quality.warmth, limits.least_full_frame_warmth, "red over blue"),
        (quality.structure, limits.least_full_frame_structure, "contrast of vessels"),
        (quality.direction, limits.least_full_frame_direction, "direction of edges"),
    ):
        if value < least:
            said = f"{what} {value:.3f}, at least {least:g} is needed"
            yield f"no dark surround, and not a fundus that fills the picture: {said}"


def _ungradable(quality: Quality, limits: QualityLimits) -> Iterator[str]:
    if quality.overexposed > limits.most_overexposed:
        yield (
            f"over-exposed or glare: {quality.overexposed:.2f} of the field is white, "
            f"at most {limits.most_overexposed:g} is allowed"
        )
    if quality.structure < limits.least_structure:
        yield (
            f"out of focus or opaque: contrast of the finest structures {quality.structure:.4f}, "
            f"at least {limits.least_structure:g} is needed"
        )
    if quality.visible < limits.least_visible:
        seen = f"{quality.visible:.2f} of it is in the picture"
        yield f"field cut off: {seen}, at least {limits.least_visible:g} is needed"
    if quality.flat > limits.most_flat:
        empty = f"{quality.flat:.2f} of the field is flat"
        yield f"picture data missing: {empty}, at most {limits.most_flat:g} is allowed"
