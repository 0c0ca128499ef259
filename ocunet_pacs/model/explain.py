"""Class activation maps for all labels out of one forward.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weights each channel of the last feature map A (C, H, W) with the
spatial mean of the logit's gradient. Behind a global average pool that gradient is the same everywhere: the gradient at
the pooled vector divided by H * W. So the backbone needs no backward pass, and the head's, which is small, runs once
for all labels together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet


def logits_and_maps(network: OcuNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, labels) and maps (N, labels, h, w) for normalised images (N, 3, H, W); the network is in eval mode.

    A map is Grad-CAM's with ReLU, scaled to [0, 1] by its own maximum; all zero where nothing speaks for the label.
    """
    with torch.inference_mode():
        features = network.forward_features(images)
        frozen = network.pool(features)
    pooled = frozen.clone().requires_grad_()  # made outside inference mode: autograd may see it
    with torch.enable_grad():
        logits = network.head(pooled)
    count, labels = logits.shape
    # Row k of this batch of seeds asks for the gradient of logit k in every image: images do not mix in eval mode.
    seeds = torch.eye(labels, dtype=logits.dtype, device=logits.device).unsqueeze(1).expand(labels, count, labels)
    (gradients,) = torch.autograd.grad(logits, pooled, seeds, is_grads_batched=True)
    with torch.inference_mode():
        area = features.shape[2] * features.shape[3]
        maps = torch.einsum("lnc,nchw->nlhw", gradients / area, features).relu()
        peak = maps.amax(dim=(2, 3), keepdim=True)
        return logits.detach(), torch.where(peak > 0, maps / peak, 0.0)
