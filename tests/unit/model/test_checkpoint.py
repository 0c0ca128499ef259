from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ocunet_pacs.domain.errors import BundleError, UnsafeCheckpoint
from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.checkpoint import read_checkpoint
from ocunet_pacs.model.network import build_network, empty_network

NAMES = [label.name for label in LABELS]


def checkpoint(labels: list[str], **changes: Any) -> dict[str, Any]:
    """What OcuNet's trainer writes, around EfficientNet-B0 (the backbone's entries under names of their own)."""
    state = OrderedDict()
    for index, (name, value) in enumerate(build_network("efficientnet_b0", len(labels)).state_dict().items()):
        if name.startswith("backbone."):
            state[f"backbone.features.{index}.{name.rpartition('.')[2]}"] = value
        else:
            state["classifier." + name.removeprefix("head.")] = value
    content = {
        "epoch": 74,
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 3e-4}]},
        "metrics": {"mAP": np.float64(0.4914), "f1": np.float32(0.25), "best": np.int64(3), "lists": [0.5]},
        "best_val_mAP": np.float64(0.4914),
        "config": {"model": {"architecture": "efficientnet_b0"}},
        "class_names": labels,
        "threshold": 0.5,
    }
    return content | changes


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("count", [30, 28])
def test_labels_and_their_number_come_from_the_checkpoint(tmp_path: Path, count: int) -> None:
    content = checkpoint(NAMES[:count])
    read = read_checkpoint(save(tmp_path / "old.pth", content))
    assert read.labels == tuple(NAMES[:count])
    assert read.trained
    assert (read.epoch, read.metrics["mAP"], read.threshold) == (74, 0.4914, 0.5)
    assert read.preprocess == PreprocessSpec()
    network = empty_network("efficientnet_b0", count)
    network.load_state_dict(read.weights, assign=True)
    for ours, theirs in zip(network.state_dict().values(), content["model_state_dict"].values(), strict=True):
        assert torch.equal(ours, theirs)


def test_data_parallel_prefixes_do_not_matter(tmp_path: Path) -> None:
    content = checkpoint(NAMES)
    plain = read_checkpoint(save(tmp_path / "a.pth", content))
    content["model_state_dict"] = {f"module.{name}": value for name, value in content["model_state_dict"].items()}
    wrapped = read_checkpoint(save(tmp_path / "b.pth", content))
    assert plain.weights.keys() == wrapped.weights.keys()
    assert all(torch.equal(plain.weights[name], wrapped.weights[name]) for name in plain.weights)


def test_preprocessing_comes_from_the_configuration(tmp_path: Path) -> None:
    config = {
        "model": {"architecture": "efficientnet_b0"},
        "dataset": {"image_size": 512},
        "preprocessing": {"fundus_roi_crop": False, "roi_padding": 0.02, "clahe": True, "clahe_clip_limit": 3},
    }
    read = read_checkpoint(save(tmp_path / "c.pth", checkpoint(NAMES, config=config)))
    assert read.preprocess == PreprocessSpec(roi_crop=False, roi_padding=0.02, clahe_clip_limit=3.0, image_size=512)
    config["preprocessing"]["clahe_channel"] = "lab"
    with pytest.raises(BundleError, match="clahe_channel"):
        read_checkpoint(save(tmp_path / "d.pth", checkpoint(NAMES, config=config)))


@pytest.mark.parametrize("record", [{"epoch": 0}, {"epoch": None}, {"metrics": {}}, {"metrics": None}])
def test_without_a_training_record_it_is_untrained(tmp_path: Path, record: dict[str, Any]) -> None:
    assert not read_checkpoint(save(tmp_path / "c.pth", checkpoint(NAMES, **record))).trained


class _Payload:
    """Unpickled freely, it creates a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("as_zip", [True, False])
def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path: Path, as_zip: bool) -> None:
    victim, path = tmp_path / "victim", tmp_path / "evil.pth"
    content = checkpoint(NAMES, history=_Payload(victim))
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(UnsafeCheckpoint, match=r"evil\.pth") as refused:
        read_checkpoint(path)
    assert not victim.exists()
    assert "weights_only" not in str(refused.value), "no advice on how to run it all the same"
    torch.load(path, weights_only=False)
    assert victim.exists(), "the file would have run code"


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"model_state_dict": _Payload(victim)}))
    with pytest.raises(BundleError):
        read_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a checkpoint", bytes(1000)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"x\.pth"):
        read_checkpoint(path)
    with pytest.raises(BundleError, match="cannot be read"):
        read_checkpoint(tmp_path / "absent.pth")


def _drop_one(state: dict[str, Any]) -> None:
    del state[next(iter(state))]


def _swap_weight_and_bias(state: dict[str, Any]) -> None:
    """Same shapes, other meaning: only the order of the names tells."""
    items = list(state.items())
    at = next(i for i, (name, value) in enumerate(items) if name.endswith(".weight") and value.ndim == 1)
    items[at], items[at + 1] = items[at + 1], items[at]
    state.clear()
    state.update(items)


def _reshape(state: dict[str, Any]) -> None:
    state["classifier.classifier.13.weight"] = torch.zeros(29, 256)


def _not_finite(state: dict[str, Any]) -> None:
    state["classifier.classifier.13.bias"][3] = torch.nan


def _stranger(state: dict[str, Any]) -> None:
    state["classifier.extra.weight"] = torch.zeros(1)


@pytest.mark.parametrize("damage", [_drop_one, _swap_weight_and_bias, _reshape, _not_finite, _stranger])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, damage: Any) -> None:
    content = checkpoint(NAMES)
    damage(content["model_state_dict"])
    with pytest.raises(BundleError, match=r"c\.pth"):
        read_checkpoint(save(tmp_path / "c.pth", content))


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": None},
        {"class_names": NAMES[:29]},
        {"class_names": [*NAMES[:29], "UNHEARD_OF"]},
        {"class_names": [*NAMES[:29], NAMES[0]]},
        {"threshold": 1.5},
        {"config": {"model": {"architecture": "hf-hub:somebody/something"}}},
        {"model_state_dict": {}},
        {"model_state_dict": [1]},
    ],
)
def test_contents_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        read_checkpoint(save(tmp_path / "c.pth", checkpoint(NAMES, **changes)))
