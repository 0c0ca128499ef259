"""Class activation maps for all labels out of one forward.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weights each channel of the last feature map A (C, H, W) with the
spatial mean of the logit's gradient. Behind a global average pool that gradient is the same everywhere: the gradient at
the pooled vector divided by H * W. So the backbone needs no backward pass. The head is small and known, so its Jacobian
is written out here: on one picture the bookkeeping of an automatic gradient costs more than the numbers do, and plain
arithmetic can be exported to another runtime together with the backbone (`onnx_network`).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from ocunet_pacs.model.network import Head, OcuNet

_SQRT_HALF: Final = math.sqrt(0.5)
_NORMAL_PEAK: Final = 1.0 / math.sqrt(2.0 * math.pi)
_LEAST_PEAK: Final = 1e-30
"""What an empty map is divided by."""


class ExplainedHead(nn.Module):
    """A head in eval mode with its Jacobian, batch norms multiplied in. Takes the weights as they are now.

    Only arithmetic that torch's exporter knows, and every shape from the tensors. Call it in inference mode.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.squeeze, self.excite = _folded(head.attention.fc1, None), _folded(head.attention.fc2, None)
        layers = list(head.classifier)
        norms = {id(a): b for a, b in pairwise(layers) if isinstance(b, nn.BatchNorm1d)}
        *hidden, last = [_folded(layer, norms.get(id(layer))) for layer in layers if isinstance(layer, nn.Linear)]
        self.hidden, self.last = nn.ModuleList(hidden), last

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, labels) and maps (N, labels, h, w) of feature maps (N, C, h, w).

        A map is Grad-CAM's with ReLU, scaled to [0, 1] by its own maximum; all zero where nothing speaks for the label.
        """
        pooled = features.mean(dim=(2, 3))
        inner = self.squeeze(pooled)
        gate = torch.sigmoid(self.excite(inner.relu()))
        value, slopes = pooled * gate, []
        for layer in self._hidden():
            raw = layer(value)
            share = 0.5 + 0.5 * torch.erf(raw * _SQRT_HALF)
            # GELU(x) = x * Phi(x): its slope is Phi(x) + x * phi(x).
            slopes.append(share + raw * torch.exp(-0.5 * raw * raw) * _NORMAL_PEAK)
            value = raw * share
        jacobian = self.last.weight  # of the logits at what is in front of each layer, from the last to the first
        for layer, slope in zip(reversed(self._hidden()), reversed(slopes), strict=True):
            jacobian = (jacobian * slope[:, None]) @ layer.weight
        # pooled * gate(pooled) has two ways in: through the product, and through the gate.
        jacobian = jacobian * gate[:, None]
        through = (jacobian * (pooled * (1.0 - gate))[:, None]) @ self.excite.weight
        jacobian = jacobian + (through * (inner > 0).to(through.dtype)[:, None]) @ self.squeeze.weight
        # The gradient's constant factor 1 / (h * w) goes out in the scaling.
        maps = (jacobian @ features.flatten(2)).relu()
        maps = maps / maps.amax(dim=2, keepdim=True).clamp(min=_LEAST_PEAK)
        return self.last(value), maps.reshape(-1, maps.shape[1], features.shape[2], features.shape[3])

    def _hidden(self) -> list[nn.Linear]:
        return [layer for layer in self.hidden if isinstance(layer, nn.Linear)]


def logits_and_maps(network: OcuNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """`ExplainedHead` on a whole network in eval mode: normalised images (N, 3, H, W) to logits and maps."""
    with torch.inference_mode():
        logits, maps = ExplainedHead(network.head)(network.forward_features(images))
    return logits, maps


def _folded(layer: nn.Linear, norm: nn.BatchNorm1d | None) -> nn.Linear:
    """A linear layer with the batch norm behind it multiplied in, without gradients."""
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if norm is not None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        weight = weight * scale[:, None]
        bias = (bias - norm.running_mean) * scale + norm.bias.detach()
    made = nn.Linear(layer.in_features, layer.out_features, device="meta")
    made.weight = nn.Parameter(weight, requires_grad=False)
    made.bias = nn.Parameter(bias, requires_grad=False)
    return made
