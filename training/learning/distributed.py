"""One process or several under torchrun: who this one is, and the few things that they tell each other.

torchrun starts the processes, restarts none of its own accord here, and hands each its place in the environment (RANK,
WORLD_SIZE, LOCAL_RANK). Gradients are averaged by torch's DistributedDataParallel. Nothing else is distributed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import torch
from torch import distributed

from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

_PATIENCE: Final = timedelta(hours=2)
"""How long a process waits for the others. The first validates alone, which may take longer than torch's default."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train one network. Every method is called by all of them, in the same order."""

    rank: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes files and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values` (on the training device) become their sum over the processes, in place."""
        if self.processes > 1:
            distributed.all_reduce(values)
        return values

    def any(self, *, here: bool, device: torch.device) -> bool:
        """Whether it is so in any process; `device` is the training device."""
        if self.processes == 1:
            return here
        return bool(self.sum(torch.tensor(float(here), device=device)))

    def share(self, values: Tensor) -> Tensor:
        """`values` (on the training device, the same shape everywhere) become those of the first process, in place."""
        if self.processes > 1:
            distributed.broadcast(values, src=0)
        return values

    def wait(self) -> None:
        """Until every process is here."""
        if self.processes > 1:
            distributed.barrier()


ALONE: Final = World()
"""The world of one process."""


@contextmanager
def joined(device: str = "auto", environment: Mapping[str, str] = os.environ) -> Iterator[tuple[World, torch.device]]:
    """This process's place and device: among torchrun's processes where it was started by torchrun, alone elsewhere.

    `device` is auto (a GPU where there is one), cpu, cuda or cuda:N. Each of torchrun's processes on a host takes the
    GPU of its own number. RunError where there is no such device.
    """
    processes = int(environment.get("WORLD_SIZE", "1"))
    place = _device(device, int(environment.get("LOCAL_RANK", "0")) if processes > 1 else None)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if processes == 1:
        yield ALONE, place
        return
    on_gpu = place.type == "cuda"
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE, device_id=place if on_gpu else None)
    yield World(distributed.get_rank(), distributed.get_world_size()), place
    distributed.destroy_process_group()  # not after an error: it would wait for processes that are elsewhere


def _device(wanted: str, local_rank: int | None) -> torch.device:
    """See `joined`; `local_rank` is None outside torchrun."""
    count = torch.cuda.device_count()
    if wanted == "cpu" or (wanted == "auto" and not count):
        return torch.device("cpu")
    kind, _, number = wanted.partition(":")
    if kind not in {"auto", "cuda"} or not (number.isdecimal() or number == ""):
        raise RunError(f"device {wanted!r}: expected auto, cpu, cuda or cuda:N")
    if local_rank is not None and number:
        raise RunError(f"device {wanted}: under torchrun each process takes a GPU of its own; say cuda, or auto")
    index = int(number) if number else local_rank or 0
    if index >= count:
        raise RunError(
            f"device {wanted}: GPU {index} is asked for and torch sees {count}; start fewer processes, or cpu"
        )
    return torch.device("cuda", index)
