"""What to change when the device has too little memory for a step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch

from training.errors import MemoryExhausted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.recipe import Recipe

_CPU: Final = "DefaultCPUAllocator"
_FEW: Final = 8
"""Photographs in a pass below which batch norm's statistics become noise (Wu & He 2018, arXiv:1803.08494)."""


@contextmanager
def memory_advice(recipe: Recipe, device: torch.device, precision: str, processes: int = 1) -> Iterator[None]:
    """Torch's out-of-memory error becomes MemoryExhausted, which says what was asked for and what to change."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise MemoryExhausted(advice(recipe, device, precision, processes)) from None
    except RuntimeError as error:
        if _CPU not in str(error):
            raise
        raise MemoryExhausted(advice(recipe, device, precision, processes)) from None


def advice(recipe: Recipe, device: torch.device, precision: str, processes: int = 1) -> str:
    """What did not fit, and the changes that help, what costs nothing first."""
    asked = recipe.optimisation
    passes = asked.accumulation * processes
    size = asked.batch_size // passes
    lines = [
        (
            f"{_name(device)} has too little memory for a pass of {size} photographs (batch_size {asked.batch_size}, "
            f"accumulation {asked.accumulation}, processes {processes}) of {recipe.preprocess.image_size} pixels "
            f"(image_size) in {precision} through {recipe.network.architecture}. What helps, the least costly first:"
        )
    ]
    if device.type == "cuda":
        lines.append("see with nvidia-smi whether another program holds the memory")
    if precision == "float32" and device.type == "cuda":
        lines.append("optimisation.precision: auto (half the memory, and faster)")
    lines += [f"optimisation.{line}" for line in _smaller_passes(asked.batch_size, asked.accumulation, processes)]
    lines += ["a smaller network.architecture", "a smaller preprocess.image_size (small lesions may become invisible)"]
    return "\n  ".join(lines)


def _smaller_passes(batch_size: int, accumulation: int, processes: int) -> Iterator[str]:
    share = batch_size // processes
    more = next((n for n in range(accumulation + 1, share) if share % n == 0), None)
    if more is None:
        return
    size = share // more
    noisy = ", few for batch norm" if size < _FEW else ""
    yield f"accumulation: {more} (the same batch in more passes, of {size} photographs{noisy})"
    if processes == 1 and batch_size % 2 == 0:
        yield f"batch_size: {batch_size // 2} (another recipe: lower optimisation.learning_rate with it)"


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    facts = torch.cuda.get_device_properties(device)
    return f"{device} ({facts.name}, {facts.total_memory / 2**30:.0f} GiB)"
