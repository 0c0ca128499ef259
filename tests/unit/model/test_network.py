"""Every backbone that a bundle may name ends in one feature map, and some are taken all the way to the fast runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.network import BACKBONES, build_network, empty_network
from ocunet_pacs.model.parity import parity_picture
from ocunet_pacs.model.predictor import Predictor
from tests.unit.model.conftest import LABELS, manifest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("architecture", BACKBONES)
def test_every_backbone_ends_in_one_feature_map(architecture: str) -> None:
    network = empty_network(architecture, 3).eval()
    images = torch.empty(2, 3, 64, 64, device="meta")
    features = network.forward_features(images)
    assert features.shape == (2, network.head.attention.fc2.out_features, 2, 2)
    assert network(images).shape == (2, 3)
    assert "classifier" in network.backbone.pretrained_cfg, "what a file of ImageNet weights has beyond the backbone"


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_050", "resnet18"])
def test_a_backbone_of_another_family_is_served_by_the_fast_runtime(tmp_path: Path, architecture: str) -> None:
    """What `Predictor.load` takes it for only where logits, probabilities and maps are torch's."""
    picture = torch.from_numpy(parity_picture(PreprocessSpec(image_size=64)))
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = build_network(architecture, len(LABELS), dropout=0.0).train()
        with torch.no_grad():
            network(torch.cat([picture, picture.flip(3), 0.5 * picture]))  # batch norms that have seen such a picture
    write_bundle(tmp_path / "b", network.state_dict(), manifest(architecture=architecture))
    assert Predictor.load(tmp_path / "b", "cpu").runtime == "onnxruntime float32"
