"""Where a run's first weights come from: ImageNet, an OcuNet checkpoint, one of our bundles, or nothing."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import safetensors
import safetensors.torch
import torch

from ocunet_pacs.domain.errors import UnsafeCheckpoint
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.checkpoint import read_checkpoint
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.network import build_network
from ocunet_pacs.model.torch_compat import import_timm
from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet
    from training.recipe import Network

_OTHER_START: Final = "or choose another network.start"


def starting_network(recipe: Network, labels: Sequence[str], seed: int) -> tuple[OcuNet, str]:
    """A network for `labels` on the CPU, in training mode, and a sentence for the records: where its weights come from.

    What the start does not give (the head after ImageNet, new labels' outputs) is drawn from `seed`, whatever the state
    of torch's generators, which stay as they are. Outputs of labels that the start knows are carried over by name.
    RunError where the start is of another architecture or cannot be reached; BundleError and UnsafeCheckpoint as in
    `model.checkpoint` and `model.bundle`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU too
        network = build_network(recipe.architecture, len(labels), dropout=recipe.dropout)
    network.train()
    if recipe.start == "nothing":
        return network, f"Random weights (seed {seed})."
    if recipe.start == "imagenet":
        return network, _from_imagenet(network, recipe)
    assert recipe.weights is not None  # the recipe was checked
    start = _checkpoint(recipe.weights) if recipe.start == "checkpoint" else _bundle(recipe.weights)
    if start.architecture != recipe.architecture:
        raise RunError(
            f"{start.name} is a {start.architecture}, and the recipe asks for {recipe.architecture}: set "
            f"network.architecture to {start.architecture}, {_OTHER_START}"
        )
    return network, _carry_over(network, start, labels)


@dataclass(frozen=True, slots=True)
class _Start:
    """Weights in our network's names, the labels of their outputs, and what to call them."""

    name: str
    architecture: str
    labels: Sequence[str]
    weights: Mapping[str, Tensor]


def _checkpoint(path: Path) -> _Start:
    read = read_checkpoint(path)
    name = f"OcuNet's checkpoint {path.name} (sha256 {read.source_sha256})"
    return _Start(name, read.architecture, read.labels, read.weights)


def _bundle(folder: Path) -> _Start:
    manifest = read_manifest(folder)
    name = f"Bundle {manifest.name} (digest {manifest.digest}{'' if manifest.trained else ', untrained'})"
    return _Start(name, manifest.architecture, manifest.labels, load_network(folder, manifest).state_dict())


def _carry_over(network: OcuNet, start: _Start, labels: Sequence[str]) -> str:
    """Fill the network in place, the last layer row by row."""
    state, fresh = dict(start.weights), network.state_dict()
    last = f"head.classifier.{len(network.head.classifier) - 1}."
    for name in (name for name in fresh if name.startswith(last)):
        rows = fresh[name].clone()
        for new, label in enumerate(labels):
            if label in start.labels:
                rows[new] = start.weights[name][start.labels.index(label)]
        state[name] = rows
    network.load_state_dict(state)
    sentences = [f"{start.name}."]
    if added := [label for label in labels if label not in start.labels]:
        sentences.append(f"It has no output for {', '.join(added)}: random weights there.")
    if left := [label for label in start.labels if label not in labels]:
        sentences.append(f"Its outputs for {', '.join(left)} were left behind.")
    return " ".join(sentences)


def _from_imagenet(network: OcuNet, recipe: Network) -> str:
    if recipe.weights is None:
        weights, name = _fetched(recipe.architecture)
        said = f"ImageNet weights {name}, fetched through timm"
    else:
        weights = _read(recipe.weights)
        _check_backbone(weights, network, recipe.weights, recipe.architecture)
        said = f"ImageNet weights in {recipe.weights.name} (sha256 {_sha256(recipe.weights)})"
    own = network.backbone.state_dict()
    network.backbone.load_state_dict({name: weights[name] for name in own})
    return f"{said}; the head starts from random weights."


def _fetched(architecture: str) -> tuple[Mapping[str, Tensor], str]:
    """timm's weights of the backbone and their name on its hub."""
    try:
        backbone = import_timm().create_model(architecture, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's client and those beneath it have no common root but Exception
        raise RunError(
            f"timm's ImageNet weights of {architecture} cannot be fetched from huggingface.co, nor are they in this "
            f"machine's cache ({type(error).__name__}). Fetch model.safetensors of timm's {architecture} on a machine "
            f"that reaches it and name the file in network.weights, {_OTHER_START}"
        ) from error
    return backbone.state_dict(), str(backbone.pretrained_cfg.get("hf_hub_id") or architecture)


def _read(path: Path) -> Mapping[str, Tensor]:
    """What is in a file of timm's: safetensors, or a torch file, of which nothing is ever run."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or 'not a file of weights'}") from None
    except pickle.UnpicklingError:
        # torch's text explains how to switch its protection off: it is not passed on.
        raise UnsafeCheckpoint(f"{path}: holds something that a safe load refuses, or is no file of weights") from None
    except (safetensors.SafetensorError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{path}: is damaged, or no file of weights") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: is no file of weights: tensors by name are expected")
    return content


def _check_backbone(weights: Mapping[str, Tensor], network: OcuNet, path: Path, architecture: str) -> None:
    """The backbone's entries, all of them, and none but those and timm's own classifier's. RunError."""
    expected = network.backbone.state_dict()
    names = cast("Mapping[str, str]", network.backbone.pretrained_cfg)["classifier"]
    problems = [f"{name} is missing" for name in expected if name not in weights]
    for name, value in weights.items():
        if name not in expected:
            if not name.startswith(f"{names}."):
                problems.append(f"{name} is unknown")
        elif not isinstance(value, torch.Tensor) or value.shape != expected[name].shape:
            problems.append(f"{name} has another shape")
    if problems:
        shown = "; ".join(problems[:3])
        raise RunError(
            f"{path}: does not hold timm's weights of {architecture} ({len(problems)} of its entries do not fit: "
            f"{shown}). Set network.architecture to theirs, {_OTHER_START}"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
