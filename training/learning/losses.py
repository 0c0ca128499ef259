"""What is minimised, element by element: each label of each photograph is a question of its own.

Every loss is masked: what is not known of a photograph costs exactly 0 and moves nothing, whatever the network says
there. The caller sums, and divides by the number of known entries of the whole batch.

Computed in float32 under any autocast; float64 stays float64. Losses and gradients are finite for every finite logit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from training.recipe import Loss

FLOOR: Final = 1e-5
"""The asymmetric loss takes no probability below this into a logarithm, so no entry costs more than 11.5 (weighted)."""
_SMALLEST_BASE: Final = 1e-7
"""Beneath it a power below 1 has a slope beyond float32. The loss there is under 1e-7 either way: log q is as small."""


class MaskedLoss(Protocol):
    """A loss with its weights and exponents filled in."""

    def __call__(self, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Each entry's loss, (n, labels), at least 0, and 0 where `known` (bool) is false; targets in [0, 1]."""


def build_loss(chosen: Loss, positive_weights: Tensor) -> MaskedLoss:
    """The recipe's loss. `positive_weights` (labels,) multiply what positives cost; they follow the logits' device."""

    def loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        return _masked(elementwise, logits, targets, known)

    def elementwise(logits: Tensor, targets: Tensor) -> Tensor:
        weights = positive_weights.to(logits)
        if chosen.kind == "asymmetric":
            return asymmetric(
                logits,
                targets,
                weights=weights,
                gamma_positive=chosen.gamma_positive,
                gamma_negative=chosen.gamma_negative,
                clip=chosen.clip,
            )
        if chosen.kind == "focal":
            return focal(logits, targets, weights=weights, gamma=chosen.gamma)
        return bce(logits, targets, weights=weights)

    return loss


def asymmetric(
    logits: Tensor, targets: Tensor, *, weights: Tensor, gamma_positive: float, gamma_negative: float, clip: float
) -> Tensor:
    """The asymmetric loss as OcuNet has it, any shape (…, labels): Ridnik et al. 2021, arXiv:2009.14119.

    With p = sigmoid(logit) and q = min(1 - p + clip, 1) an entry costs
    -[y w log max(p, 1e-5) + (1 - y) log max(q, 1e-5)] (1 - (p y + q (1 - y)))^g, where g is gamma_positive y +
    gamma_negative (1 - y).
    As in OcuNet, and unlike the paper's own code, the gradient flows through the power too.
    """
    positive, negative = torch.sigmoid(logits), torch.sigmoid(-logits)  # 1 - sigmoid would lose what is near 0
    shifted = (negative + clip).clamp(max=1.0)
    cost = targets * weights * positive.clamp(min=FLOOR).log() + (1.0 - targets) * shifted.clamp(min=FLOOR).log()
    wrong = targets * negative + (1.0 - targets) * (positive - clip).clamp(min=0.0)
    return -cost * _power(wrong, gamma_positive * targets + gamma_negative * (1.0 - targets))


def focal(logits: Tensor, targets: Tensor, *, weights: Tensor, gamma: float) -> Tensor:
    """The focal loss, any shape (…, labels): Lin et al. 2017, arXiv:1708.02002, with `weights` in place of alpha."""
    wrong = targets * torch.sigmoid(-logits) + (1.0 - targets) * torch.sigmoid(logits)
    return bce(logits, targets, weights=weights) * _power(wrong, torch.full_like(wrong, gamma))


def bce(logits: Tensor, targets: Tensor, *, weights: Tensor) -> Tensor:
    """Binary cross-entropy, any shape (…, labels), positives weighted."""
    return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none")


def _masked(elementwise: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    # The logits are masked before, too: a gradient of 0 times an infinite slope would be no number.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).masked_fill(~known, 0.0)
    return elementwise(logits, targets.to(logits.dtype)).masked_fill(~known, 0.0)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """`base` in [0, 1] to `exponent` >= 0, with a finite slope."""
    return base.clamp(min=_SMALLEST_BASE) ** exponent
