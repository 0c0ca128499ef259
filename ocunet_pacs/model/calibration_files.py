"""The two YAML files that OcuNet's calibration leaves beside a checkpoint.

`calibration.yaml`: `temperature`, `thresholds: {LABEL: {threshold: …}}` and reports about them;
`optimal_thresholds.yaml`: `{LABEL: {threshold: …}}`. Only the numbers that serving needs are read, and those strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.manifest import temperature_problems, threshold_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted temperature, and the thresholds chosen behind it (None where the file holds none)."""

    temperature: float
    thresholds: Mapping[str, float] | None


def read_calibration(path: Path, labels: Sequence[str], *, partial: bool = False) -> Calibration:
    """`calibration.yaml` of a model with these labels. BundleError lists every problem.

    A label without a threshold is a problem unless `partial`.
    """
    content = _mapping(path)
    if "temperature" not in content:
        raise BundleError(f"{path.name}: temperature: is missing")
    temperature, raw = content["temperature"], content.get("thresholds")
    problems = temperature_problems(temperature)
    thresholds: dict[str, Any] = {}
    if raw is not None and not isinstance(raw, dict):
        problems.append("thresholds: is not a mapping of labels")
    elif raw is not None:
        thresholds = _values(raw)
        problems += threshold_problems(thresholds, _expected(thresholds, labels, partial=partial))
    _refuse(path, problems)
    return Calibration(float(temperature), None if raw is None else _floats(thresholds))


def read_thresholds(path: Path, labels: Sequence[str], *, partial: bool = False) -> dict[str, float]:
    """`optimal_thresholds.yaml` of a model with these labels. BundleError lists every problem.

    A label without a threshold is a problem unless `partial`.
    """
    thresholds = _values(_mapping(path))
    _refuse(path, threshold_problems(thresholds, _expected(thresholds, labels, partial=partial)))
    return _floats(thresholds)


def _expected(thresholds: Mapping[str, Any], labels: Sequence[str], *, partial: bool) -> list[str]:
    return [label for label in labels if label in thresholds or not partial]


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path.name}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise BundleError(f"{path.name}: is not plain YAML") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path.name}: is not a mapping")
    return {str(key): value for key, value in content.items()}


def _values(entries: Mapping[Any, Any]) -> dict[str, Any]:
    """{LABEL: {threshold: x}} or {LABEL: x} to {LABEL: x}, unchecked."""
    return {str(label): e.get("threshold") if isinstance(e, dict) else e for label, e in entries.items()}


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {label: float(value) for label, value in values.items()}


def _refuse(path: Path, problems: Sequence[str]) -> None:
    if problems:
        raise BundleError("\n".join(f"{path.name}: {problem}" for problem in problems))
