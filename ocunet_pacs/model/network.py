"""OcuNet's network: a convolutional backbone, global average pooling, and a head of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.torch_compat import import_timm

if TYPE_CHECKING:
    from collections.abc import Callable

BACKBONES: Final = (
    "efficientnet_b3",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b4",
    "efficientnet_b5",
    "tf_efficientnetv2_s",
    "convnext_tiny",
    "densenet121",
    "regnety_016",
    "resnet18",
    "resnet50",
    "mobilenetv3_small_050",
    "mobilenetv3_small_100",
)
"""The timm models that a bundle may name. A closed list: timm would download what a free name points to.

Each ends in one feature map (N, C, h, w), which is what pooling and heatmaps need.
"""

_WIDTHS: Final = (1024, 512, 256)
_DROPOUT_STEPS: Final = (1.0, 0.8, 0.6, 0.4)


class Attention(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) on a pooled vector: (N, width) to (N, width)."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width // reduction)
        self.fc2 = nn.Linear(width // reduction, width)

    def forward(self, pooled: Tensor) -> Tensor:
        """The vector, each channel multiplied by its gate in (0, 1)."""
        return pooled * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


class Head(nn.Module):
    """Attention and a four-layer perceptron: pooled features (N, width) to logits (N, labels)."""

    def __init__(self, width: int, label_count: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width)
        layers: list[nn.Module] = []
        for size, step in zip(_WIDTHS, _DROPOUT_STEPS, strict=False):
            layers += [nn.Dropout(dropout * step), nn.Linear(width, size), nn.BatchNorm1d(size), nn.GELU()]
            width = size
        layers += [nn.Dropout(dropout * _DROPOUT_STEPS[-1]), nn.Linear(width, label_count)]
        # OcuNet's checkpoints count the layers of this sequence: 1, 2, 5, 6, 9, 10 and 13 carry weights.
        self.classifier = nn.Sequential(*layers)

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits (N, labels)."""
        return cast("Tensor", self.classifier(self.attention(pooled)))


class OcuNet(nn.Module):
    """Normalised RGB (N, 3, H, W), float32, to logits (N, labels)."""

    def __init__(self, backbone: nn.Module, width: int, label_count: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = Head(width, label_count, dropout)

    def forward_features(self, images: Tensor) -> Tensor:
        """The backbone's last feature map: (N, 1536, 12, 12) for EfficientNet-B3 at 384 x 384."""
        forward = cast("Callable[[Tensor], Tensor]", self.backbone.forward_features)
        return forward(images)

    @staticmethod
    def pool(features: Tensor) -> Tensor:
        """(N, C, H, W) to its spatial mean (N, C)."""
        return features.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, labels)."""
        return cast("Tensor", self.head(self.pool(self.forward_features(images))))


def build_network(architecture: str, label_count: int, *, dropout: float = 0.4) -> OcuNet:
    """A network with OcuNet's initial weights for training: the head's linear layers truncated normal (.02), bias 0.

    Draws from torch's global generator. `architecture` is one of `BACKBONES`, otherwise BundleError.
    """
    network = _assemble(architecture, label_count, dropout)
    for module in network.head.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    return network


def empty_network(architecture: str, label_count: int) -> OcuNet:
    """The same network on torch's meta device: names and shapes without numbers, for `load_state_dict(assign=True)`."""
    with torch.device("meta"):
        return _assemble(architecture, label_count, dropout=0.4)


def _assemble(architecture: str, label_count: int, dropout: float) -> OcuNet:
    if architecture not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise BundleError(f"architecture {architecture!r} is not known (known: {known})")
    backbone: nn.Module = import_timm().create_model(architecture, pretrained=False, num_classes=0)
    return OcuNet(backbone, cast("int", backbone.num_features), label_count, dropout)
