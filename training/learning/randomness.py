"""Where the randomness of a pass comes from, and what makes two runs equal.

Guaranteed on a CPU, with the same number of threads and the same releases: equal recipes on equal data give equal
weights, bit for bit, however often the run was killed and resumed, and whatever the number of data workers. On a GPU:
the same pictures in the same order with the same augmentations, the same dropout, the same schedule. Torch is asked
there for its deterministic kernels too; it warns once for an operation that has none, and from then on the bits may
differ. OcuNet's convolutions, norms, pooling and linear layers have one.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import deterministic

if TYPE_CHECKING:
    from collections.abc import Iterator


def pass_seed(seed: int, epoch: int, step: int, number: int) -> int:
    """The seed (64 bits) of micro-batch `number` of a step: of its place in the run and of nothing else.

    So a resumed run needs no generator's state, and the same micro-batch draws the same dropout in whichever process.
    """
    return int(np.random.SeedSequence((seed, epoch, step, number)).generate_state(1, np.uint64)[0])


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Deterministic kernels inside, and torch's generators and switches as they were afterwards."""
    # cuBLAS repeats its sums in the same order only with a workspace of its own; it reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = deterministic  # its one attribute is made at run time, out of mypy's sight
    filled, benchmarked = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")  # noqa: FBT003
        memory.fill_uninitialized_memory = False  # it costs time, and nothing here reads such memory
        torch.backends.cudnn.benchmark = False  # it picks kernels by the clock
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            memory.fill_uninitialized_memory = filled
            torch.backends.cudnn.benchmark = benchmarked
