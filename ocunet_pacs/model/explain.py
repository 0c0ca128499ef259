"""Class activation maps for all labels out of one forward.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weights each channel of the last feature map A (C, H, W) with the
spatial mean of the logit's gradient. Behind a global average pool that gradient is the same everywhere: the gradient at
the pooled vector divided by H * W. So the backbone needs no backward pass. The head is small and known, so its Jacobian
is written out here: on one picture the bookkeeping of an automatic gradient costs more than the numbers do.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from torch import Tensor

    from ocunet_pacs.model.network import Head, OcuNet

_SQRT_HALF = math.sqrt(0.5)
_NORMAL_PEAK = 1.0 / math.sqrt(2.0 * math.pi)


class ExplainedHead:
    """A head in eval mode with its Jacobian. Takes the weights as they are now, on their device and in their dtype."""

    def __init__(self, head: Head) -> None:
        gate = head.attention
        self._squeeze = gate.fc1.weight.detach(), gate.fc1.bias.detach()
        self._excite = gate.fc2.weight.detach(), gate.fc2.bias.detach()
        layers = list(head.classifier)
        norms = {id(a): b for a, b in pairwise(layers) if isinstance(b, nn.BatchNorm1d)}
        self._layers = [_folded(layer, norms.get(id(layer))) for layer in layers if isinstance(layer, nn.Linear)]

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Logits (N, labels) of feature maps (N, C, h, w)."""
        return self._forward(features.mean(dim=(2, 3)))[0]

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, labels) and maps (N, labels, h, w) of feature maps (N, C, h, w).

        A map is Grad-CAM's with ReLU, scaled to [0, 1] by its own maximum; all zero where nothing speaks for the label.
        """
        pooled = features.mean(dim=(2, 3))
        logits, gate, inner, slopes = self._forward(pooled)
        # The gradient's constant factor 1 / (h * w) goes out in the scaling.
        maps = (self._jacobian(pooled, gate, inner, slopes) @ features.flatten(2)).relu_()
        peak = maps.amax(dim=2, keepdim=True)
        maps /= torch.where(peak > 0, peak, 1.0)
        return logits, maps.view(*logits.shape, *features.shape[2:])

    def _forward(self, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Logits, the gate, what is in front of its inner ReLU, and each GELU's slope."""
        inner = linear(pooled, *self._squeeze)
        gate = torch.sigmoid(linear(inner.relu(), *self._excite))
        value, slopes = pooled * gate, []
        for weight, bias in self._layers[:-1]:
            raw = linear(value, weight, bias)
            share = torch.erf(raw * _SQRT_HALF).add_(1.0).mul_(0.5)
            # GELU(x) = x * Phi(x): its slope is Phi(x) + x * phi(x).
            slopes.append(share + raw * torch.exp(-0.5 * raw * raw) * _NORMAL_PEAK)
            value = raw * share
        return linear(value, *self._layers[-1]), gate, inner, slopes

    def _jacobian(self, pooled: Tensor, gate: Tensor, inner: Tensor, slopes: list[Tensor]) -> Tensor:
        """Gradient of each logit at the pooled vector: (N, labels, C)."""
        jacobian = self._layers[-1][0].expand(len(pooled), -1, -1)
        for (weight, _), slope in zip(reversed(self._layers[:-1]), reversed(slopes), strict=True):
            jacobian = (jacobian * slope[:, None]) @ weight
        # pooled * gate(pooled) has two ways in: through the product, and through the gate.
        through = (jacobian * (pooled * gate * (1.0 - gate))[:, None]) @ self._excite[0]
        through *= (inner > 0)[:, None]
        return jacobian.mul_(gate[:, None]).add_(through @ self._squeeze[0])


def logits_and_maps(network: OcuNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """`ExplainedHead` on a whole network in eval mode: normalised images (N, 3, H, W) to logits and maps."""
    with torch.inference_mode():
        features = network.forward_features(images)
    return ExplainedHead(network.head)(features)


def _folded(layer: nn.Linear, norm: nn.BatchNorm1d | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer with the batch norm behind it multiplied in."""
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if norm is None:
        return weight, bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    return weight * scale[:, None], (bias - norm.running_mean) * scale + norm.bias.detach()
