"""In which numbers a pass is computed, and the scaling that half precision needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from training.recipe import Optimisation

_TYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """Automatic mixed precision (Micikevicius et al. 2018, arXiv:1710.03740) on one device.

    Weights, gradients, losses and the optimiser stay in float32; convolutions and products are computed in `dtype`.
    """

    def __init__(self, asked: str, device: torch.device) -> None:
        self.dtype = _TYPES[_resolved(asked, device)]
        self._device = device.type
        # float16 alone has too little range for gradients; a disabled scaler hands everything through.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    @property
    def name(self) -> str:
        """float32, bfloat16 or float16."""
        return str(self.dtype).removeprefix("torch.")

    def passes(self) -> torch.autocast:
        """The context in which the network is called."""
        return torch.autocast(self._device, self.dtype, enabled=self.dtype is not torch.float32)


def precision_of(optimisation: Optimisation, device: torch.device) -> Precision:
    """The recipe's precision on this device: auto is float32 on a CPU, half on a GPU, bfloat16 where it has it."""
    return Precision(optimisation.precision, device)


def _resolved(asked: str, device: torch.device) -> str:
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
