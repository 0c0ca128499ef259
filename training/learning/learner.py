"""What learns: a network, its average, and the optimiser that moves both once for each batch."""

from __future__ import annotations

import inspect
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.learning.average import Average
from training.learning.batch_norm import RunningStatistics
from training.learning.precision import precision_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet
    from training.learning.distributed import World
    from training.recipe import Recipe


class Learner:
    """A network on one device, alone or as one of a world's equal copies.

    A step is `begin`, then for each of its passes `predict` and `learn` within `one_pass`, then `move`. AdamW
    (Loshchilov & Hutter 2019, arXiv:1711.05101) decays every parameter, norms and biases too, as OcuNet's does.
    """

    def __init__(self, network: OcuNet, recipe: Recipe, device: torch.device, world: World) -> None:
        chosen = recipe.optimisation
        # Also on a CPU: depthwise convolutions learn several times as fast in this layout.
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze_unreached(self.network, recipe.preprocess.image_size, device)
        self.average = Average(self.network, chosen.ema)
        self.precision = precision_of(chosen, device)
        self._weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._optimiser = torch.optim.AdamW(self._weights, chosen.learning_rate, weight_decay=chosen.weight_decay)
        self._clip = chosen.clip_norm or math.inf
        self._accumulation = chosen.accumulation
        self._statistics = RunningStatistics(self.network, world, chosen.accumulation)
        self._distributed = _distributed(self.network, device) if world.processes > 1 else None

    @property
    def may_skip(self) -> bool:
        """Whether a step may leave the weights where they are, while float16's scaler looks for its scale."""
        return bool(self.precision.scaler.is_enabled())

    def state(self) -> dict[str, Any]:
        """All that goes on with `load`; and `averaged`, the averaged network's weights by OcuNet's names."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "averaged": self.average.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, on whatever device."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # empty where the run was in another precision
            self.precision.scaler.load_state_dict(state["scaler"])

    def begin(self) -> None:
        """Before a step's first pass."""
        self.network.train()
        self._optimiser.zero_grad(set_to_none=True)
        self._statistics.begin()

    def one_pass(self, *, last: bool) -> AbstractContextManager[None]:
        """Around a pass: processes exchange gradients in the step's last one only."""
        if self._distributed is None or last:
            return nullcontext()
        return cast("AbstractContextManager[None]", self._distributed.no_sync())

    def predict(self, images: Tensor) -> Tensor:
        """Logits (n, labels), float32, of a pass that will be learned from."""
        with self.precision.passes():
            pixels = images.contiguous(memory_format=torch.channels_last)
            logits: Tensor = (self._distributed or self.network)(pixels)
        return logits.float()

    def learn(self, loss: Tensor) -> None:
        """Add the gradient of one pass, which processes average among themselves."""
        self.precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._statistics.after_pass()

    def move(self, rate: float) -> tuple[float, bool]:
        """One optimiser step at learning rate `rate`, and the average after it.

        Returns the gradient's norm before clipping, and whether the weights moved. They do not where the norm is not
        finite: with float16 that is the scaler's way to find its scale, else something is wrong.
        """
        scaler = self.precision.scaler
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        scaler.unscale_(self._optimiser)
        norm = float(nn.utils.clip_grad_norm_(self._weights, self._clip))
        self._statistics.finish(self._accumulation)
        moved = math.isfinite(norm)
        if moved or self.may_skip:
            scaler.step(self._optimiser)
            scaler.update()
        if moved:
            self.average.update(self.network)
        return norm, moved


def freeze_unreached(network: OcuNet, side: int, device: torch.device) -> None:
    """Take the gradient from parameters that no pass reaches: some backbones end in layers that OcuNet leaves out.

    They would keep DistributedDataParallel waiting for gradients that never come. One pass over a black picture tells.
    """
    network.eval().zero_grad(set_to_none=True)
    network(torch.zeros(1, 3, side, side, device=device)).sum().backward()
    for weight in network.parameters():
        weight.requires_grad_(weight.grad is not None)
    network.zero_grad(set_to_none=True)


def _distributed(network: OcuNet, device: torch.device) -> DistributedDataParallel:
    """Copies of `network` that average their gradients; it broadcasts the first process's weights to begin with."""
    # Running statistics are kept equal by RunningStatistics. What switches torch's own way off has got a new name.
    known = inspect.signature(DistributedDataParallel).parameters
    switch = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, **{switch: False})  # type: ignore[arg-type]
