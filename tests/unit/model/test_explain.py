"""The maps against plain Grad-CAM: a whole backward pass for each label, on the feature map itself."""

from __future__ import annotations

import importlib
import os
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.explain import logits_and_maps
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.torch_compat import import_torchvision

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from ocunet_pacs.model.network import OcuNet


def grad_cam(network: OcuNet, image: torch.Tensor, label: int) -> torch.Tensor:
    features = network.forward_features(image[None])
    features.retain_grad()
    network.zero_grad()
    network.head(features.mean(dim=(2, 3)))[0, label].backward()
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    cam = torch.relu((weights * features).sum(dim=1))[0].detach()
    return cam / cam.max() if cam.max() > 0 else cam


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 96, 64, generator=torch.Generator().manual_seed(3))


def test_every_map_is_grad_cam(network: OcuNet, images: torch.Tensor) -> None:
    # In double precision: random weights amplify float32's rounding far beyond a trained network's.
    network, images = deepcopy(network).double(), images.double()
    logits, maps = logits_and_maps(network, images)
    assert maps.shape == (3, 3, 3, 2)
    with torch.no_grad():
        torch.testing.assert_close(logits, network(images))
    for row, image in enumerate(images):
        for label in range(3):
            torch.testing.assert_close(maps[row, label], grad_cam(network, image, label), rtol=0, atol=1e-4)
    assert (maps.amax(dim=(2, 3)) > 0).any(), "the comparison would be empty"


def test_a_label_that_nothing_speaks_for_has_an_empty_map(network: OcuNet, images: torch.Tensor) -> None:
    _, maps = logits_and_maps(network, images)
    with torch.no_grad():
        last = network.head.classifier[-1]
        kept = last.weight[0].clone()
        last.weight[0] = 0
    try:
        _, silenced = logits_and_maps(network, images)
    finally:
        with torch.no_grad():
            last.weight[0] = kept
    assert not silenced[:, 0].any()
    torch.testing.assert_close(silenced[:, 1:], maps[:, 1:])


def test_the_network_keeps_no_gradients(network: OcuNet, images: torch.Tensor) -> None:
    network.zero_grad(set_to_none=True)
    logits, maps = logits_and_maps(network, images)
    assert not logits.requires_grad
    assert not maps.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.fixture
def package() -> ModuleType:
    """The published package grad-cam (J. Gildenblat and others)."""
    import_torchvision()
    try:
        return importlib.import_module("pytorch_grad_cam")
    except ImportError as error:
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(f"grad-cam cannot be imported: {error.name}")
        pytest.skip("grad-cam is not installed")


@pytest.mark.peers
def test_a_predictors_maps_are_those_of_the_published_package(demo: Path, package: ModuleType) -> None:
    """OcuNet's own architecture at its own size, our side on the runtime that is the CPU's default."""

    class AtTheFeatureMap(package.GradCAM):
        def get_target_width_height(self, input_tensor: torch.Tensor) -> None:
            """None: do not enlarge."""

    predictor = Predictor.load(demo, "cpu", allow_untrained=True)
    made = predictor.manifest
    eye = prepare(made.preprocess, draw_fundus(seed=5, laterality=Laterality.LEFT, size=(640, 480)))
    (seen,) = predictor.classify([eye])
    network = load_network(demo, made).requires_grad_()
    image = torch.from_numpy(to_tensor_array(made.preprocess, eye.pixels))[None]
    compared = 0
    with AtTheFeatureMap(model=network, target_layers=[network.backbone.bn2]) as theirs:
        for label in (0, 1, 7, 29):
            (expected,) = theirs(image, [package.utils.model_targets.ClassifierOutputTarget(label)])
            own = seen.maps[label]
            assert own.shape == expected.shape == (12, 12)
            own = (own - own.min()) / max(float(np.ptp(own)), 1e-12)  # the package takes the minimum away too
            np.testing.assert_allclose(own, expected, rtol=0, atol=1e-4, err_msg=made.labels[label])
            compared += bool(own.any())
    assert compared >= 2, "the comparison would be empty"
