"""OcuNet's own checkpoints, read without ever running what is in them.

A checkpoint is a pickle, and a pickle is a program. It is loaded with torch's restricted unpickler, which knows tensors
and plain containers, plus the NumPy scalars that OcuNet's trainer puts into its metrics. Anything else is refused
before it is called.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pickle
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from ocunet_pacs.domain.errors import BundleError, UnsafeCheckpoint
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.manifest import label_problems
from ocunet_pacs.model.network import empty_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

DEFAULT_ARCHITECTURE: Final = "efficientnet_b3"
_DATA_PARALLEL: Final = "module."
_BACKBONE: Final = "backbone."
_HEAD: Final = "classifier."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in our network's names: `weights` fits `build_network(architecture, len(labels))`.

    `epoch` (None where the file has none) and `metrics` are its training record, `threshold` its one threshold for all
    labels, `config_sha256` the digest of the training configuration that it holds.
    """

    weights: Mapping[str, Tensor]
    architecture: str
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    threshold: float
    epoch: int | None
    metrics: Mapping[str, float]
    config_sha256: str | None
    source_sha256: str

    @property
    def trained(self) -> bool:
        """Whether it carries a training record: at least one epoch, and metrics."""
        return self.epoch is not None and self.epoch >= 1 and bool(self.metrics)


def read_checkpoint(path: Path) -> Checkpoint:
    """OcuNet's checkpoint at `path`.

    UnsafeCheckpoint: it holds objects that a safe load refuses. BundleError: it is no checkpoint, or not OcuNet's.
    """
    raw = _load(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("model_state_dict"), dict):
        raise BundleError(f"{path.name}: no model_state_dict: not a checkpoint that OcuNet wrote")
    labels = _labels(path, raw)
    config = raw.get("config") or {}
    if not isinstance(config, dict):
        raise BundleError(f"{path.name}: config is not a mapping")
    architecture = _section(config, "model").get("architecture", DEFAULT_ARCHITECTURE)
    epoch = raw.get("epoch")
    return Checkpoint(
        weights=_translate(path, raw["model_state_dict"], str(architecture), len(labels)),
        architecture=str(architecture),
        labels=labels,
        preprocess=_preprocess(path, config),
        threshold=_threshold(path, raw),
        epoch=int(epoch) if isinstance(epoch, int | np.integer) else None,
        metrics=_metrics(raw),
        config_sha256=_digest(config) if config else None,
        source_sha256=_file_sha256(path),
    )


def _load(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            # The restricted unpickler doubts newer pickle protocols; what it cannot read it refuses all the same.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's text explains how to switch its protection off: it is not passed on.
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise UnsafeCheckpoint(f"{path.name}: holds {named.group(1)}, which a safe load refuses") from None
        raise UnsafeCheckpoint(f"{path.name}: holds something that a safe load refuses, or is no checkpoint") from None
    except OSError as error:
        raise BundleError(f"{path.name}: cannot be read: {error.strerror or 'not a checkpoint'}") from None
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BundleError(f"{path.name}: is damaged, or no checkpoint") from error


def _numpy_scalars() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What a pickled NumPy number needs, under its names in NumPy 2 and before; no arrays, no objects."""
    scalar = importlib.import_module("numpy._core.multiarray").scalar
    kinds = (np.bool_, np.int32, np.int64, np.float32, np.float64)
    return [
        (scalar, "numpy._core.multiarray.scalar"),
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
    ]


def _labels(path: Path, raw: Mapping[str, Any]) -> tuple[str, ...]:
    names = raw.get("class_names")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BundleError(f"{path.name}: class_names is not a list of names")
    if problems := label_problems(names):
        raise BundleError("\n".join(f"{path.name}: class_names: {problem}" for problem in problems))
    return tuple(names)


def _translate(path: Path, state: Mapping[str, Any], architecture: str, label_count: int) -> dict[str, Tensor]:
    """Torchvision's names to ours. The backbone's entries come in the same order in both, one to one."""
    if state and all(str(name).startswith(_DATA_PARALLEL) for name in state):
        state = {name.removeprefix(_DATA_PARALLEL): value for name, value in state.items()}
    expected = empty_network(architecture, label_count).state_dict()
    ours = [name for name in expected if name.startswith(_BACKBONE)]
    theirs = [name for name in state if name.startswith(_BACKBONE)]
    if len(ours) != len(theirs):
        raise BundleError(f"{path.name}: {len(theirs)} backbone entries, {architecture} has {len(ours)}")
    names = dict(zip(theirs, ours, strict=True))
    names |= {n: f"head.{n.removeprefix(_HEAD)}" for n in state if n.startswith(_HEAD)}
    problems = [f"{name}: unknown" for name in state if name not in names]
    problems += [f"{name}: missing" for name in expected.keys() - names.values()]
    for name, own in names.items():
        problems += _entry_problems(name, state[name], own, expected.get(own))
    if problems:
        raise BundleError("\n".join(f"{path.name}: model_state_dict.{problem}" for problem in sorted(problems)))
    return {own: state[name] for name, own in names.items()}


def _entry_problems(name: str, value: object, own: str, expected: Tensor | None) -> list[str]:
    if expected is None:
        return [f"{name}: unknown"]
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return [f"{name}: is not a dense tensor"]
    # Shapes alone would not notice a batch-norm's weight and bias in each other's place.
    if name.rpartition(".")[2] != own.rpartition(".")[2]:
        return [f"{name}: stands where {own} is expected"]
    if value.shape != expected.shape or value.is_floating_point() != expected.is_floating_point():
        return [f"{name}: is {value.dtype} {tuple(value.shape)}, expected {expected.dtype} {tuple(expected.shape)}"]
    return [] if bool(torch.isfinite(value).all()) else [f"{name}: is not finite"]


def _preprocess(path: Path, config: Mapping[str, Any]) -> PreprocessSpec:
    """What the weights were trained behind; OcuNet v4's values where the configuration is silent."""
    steps, dataset, default = _section(config, "preprocessing"), _section(config, "dataset"), PreprocessSpec()
    channel = steps.get("clahe_channel", "green")
    if channel != "green":
        raise BundleError(f"{path.name}: config.preprocessing.clahe_channel: {channel!r} is not supported (only green)")
    values = default.to_dict() | {
        "roi_crop": steps.get("fundus_roi_crop", default.roi_crop),
        "roi_padding": steps.get("roi_padding", default.roi_padding),
        "clahe": steps.get("clahe", default.clahe),
        "clahe_clip_limit": steps.get("clahe_clip_limit", default.clahe_clip_limit),
        "image_size": dataset.get("image_size", default.image_size),
    }
    try:
        return PreprocessSpec.from_dict(values)
    except ValueError as error:
        raise BundleError(f"{path.name}: config: {error}") from None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _threshold(path: Path, raw: Mapping[str, Any]) -> float:
    value = raw.get("threshold", 0.5)
    if not isinstance(value, int | float | np.number) or not 0.0 <= float(value) <= 1.0:
        raise BundleError(f"{path.name}: threshold is not a number from 0 to 1")
    return float(value)


def _metrics(raw: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among the metrics; per-label lists and the like stay behind."""
    metrics = raw.get("metrics")
    if not isinstance(metrics, dict):
        return {}
    numbers = {str(k): float(v) for k, v in metrics.items() if isinstance(v, int | float | np.number)}
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
