"""The maps against plain Grad-CAM: a whole backward pass for each label, on the feature map itself."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
import torch

from ocunet_pacs.model.explain import logits_and_maps

if TYPE_CHECKING:
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
