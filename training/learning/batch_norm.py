"""Batch norm's running statistics where one step is made of several passes, here or in several processes.

In each pass batch norm uses the statistics of that pass's photographs, and moves its running statistics once. Left
alone, a step of four passes would move them four times, and four processes would each have their own. Here they move
once a step, to the mean of where its passes would have taken them from where the step began: the same for every way to
share that many passes out among processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from training.learning.distributed import World


class RunningStatistics:
    """Of one network's batch norms. Does nothing where a step is one pass."""

    def __init__(self, network: nn.Module, world: World, accumulation: int) -> None:
        self._world = world
        self._passes = accumulation * world.processes
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 -- the only name for all of them
        self._moved = [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]
        self._counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._before: list[Tensor] = []
        self._sums: list[Tensor] = []

    def begin(self) -> None:
        """Before a step's first pass."""
        if self._passes > 1:
            self._before = [statistic.clone() for statistic in self._moved]
            self._sums = [torch.zeros_like(statistic) for statistic in self._moved]

    def after_pass(self) -> None:
        """After each pass: note where it took the statistics, and put them back."""
        if self._passes > 1:
            for statistic, total, before in zip(self._moved, self._sums, self._before, strict=True):
                total.add_(statistic)
                statistic.copy_(before)

    def finish(self, accumulation: int) -> None:
        """After the step's last pass, in every process: move the statistics to the passes' mean."""
        if self._passes == 1 or not self._moved:
            return
        flat = self._world.sum(torch.cat([total.flatten() for total in self._sums])) / self._passes
        parts = torch.split(flat, [statistic.numel() for statistic in self._moved])
        for statistic, part in zip(self._moved, parts, strict=True):
            statistic.copy_(part.view_as(statistic))
        for count in self._counts:
            count.sub_(accumulation - 1)
