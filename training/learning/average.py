"""A running average of the network's weights, which is what is validated, kept and exported."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from ocunet_pacs.model.network import OcuNet

_UPDATES: Final = "updates"
_NETWORK: Final = "network"


class Average:
    """An exponential moving average of a network: parameters and batch norms' statistics alike.

    Averaged weights behind the statistics of the last batches would be a network that nobody trained. Counters are
    copied (torch's AveragedModel averages them as integers, and they stand still). The decay of update n, from 0, is
    min(decay, (1 + n) / (10 + n)), as in TensorFlow: a short run is not left with its random start. Decay 0 is a copy.
    """

    def __init__(self, network: OcuNet, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        """The averaged network, in eval mode, on the device of the one it follows."""
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, network: OcuNet) -> None:
        """Take `network` in, after an optimiser step. The same network each time, not wrapped in anything."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        pairs = list(zip(_numbers(self.network), _numbers(network), strict=True))
        averaged = [own for own, _ in pairs if own.is_floating_point()]
        current = [other.detach() for own, other in pairs if own.is_floating_point()]
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
        for own, other in pairs:
            if not own.is_floating_point():
                own.copy_(other)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """All that goes on with `load_state_dict`: tensors and plain numbers."""
        return {_NETWORK: self.network.state_dict(), _UPDATES: self._updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.network.load_state_dict(state[_NETWORK])
        self._updates = int(state[_UPDATES])


def _numbers(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
