"""A small network in a bundle, made once: EfficientNet-B0 at 64 x 64 answers in milliseconds."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.manifest import Manifest, Provenance
from ocunet_pacs.model.network import build_network
from ocunet_pacs.model.untrained import write_untrained_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.model.network import OcuNet

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LABELS = ("Disease_Risk", "DR", "NORMAL")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lively_network(label_count: int, seed: int = 7) -> OcuNet:
    """Random weights whose signal reaches the outputs: batch norms settled on noise, a loud last layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network("efficientnet_b0", label_count, dropout=0.0)
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = None
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
        with torch.no_grad():
            network.train()(torch.randn(8, 3, 64, 64))
    return network.eval()


def manifest(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "name": "small",
        "created_at": NOW,
        "architecture": "efficientnet_b0",
        "labels": LABELS,
        "preprocess": PreprocessSpec(image_size=64),
        "temperature": 1.25,
        "thresholds": {"Disease_Risk": 0.3, "DR": 0.575, "NORMAL": 0.65},
        "calibrated": True,
        "trained": True,
        "provenance": Provenance(epoch=3, metrics={"mAP": 0.25}),
    }
    return Manifest(**(fields | changes))


@pytest.fixture(scope="session")
def network() -> OcuNet:
    return lively_network(len(LABELS))


@pytest.fixture(scope="session")
def _small_bundle(tmp_path_factory: pytest.TempPathFactory, network: OcuNet) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    write_bundle(folder, network.state_dict(), manifest())
    return folder


@pytest.fixture
def bundle(_small_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of the test's own."""
    return shutil.copytree(_small_bundle, tmp_path / "bundle")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's bundle: OcuNet's own architecture, size and labels."""
    folder = tmp_path_factory.mktemp("demo") / "bundle"
    write_untrained_bundle(folder, NOW)
    return folder


@pytest.fixture
def photograph() -> np.ndarray:
    """A lit disc with texture, uint8 (200, 260, 3)."""
    rows, columns = np.mgrid[:200, :260]
    lit = (rows - 100) ** 2 + (columns - 130) ** 2 < 90**2
    texture = np.random.default_rng(1).integers(60, 200, (200, 260, 3))
    return (texture * lit[..., None]).astype(np.uint8)
