"""What turns pictures into logits and maps: torch, or, several times faster on a CPU, ONNX Runtime.

Nothing here needs torch: a worker on a CPU runs without it (`onnx_network`), and starts in a third of the time.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")
HALF_TOLERANCE: Final = 0.005
"""How far a probability may move for the sake of speed on a GPU, or of a smaller file."""
Numbers = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (N, labels) and maps (N, labels, h, w), both float32."""


class DeviceMemoryFull(RuntimeError):
    """The device's memory does not hold what was asked of it at once."""


class Runtime(Protocol):
    """A network with its explanations, on some runtime."""

    @property
    def name(self) -> str:
        """What a log says about it: "onnxruntime float32", "torch bfloat16"."""

    def __call__(self, batch: NDArray[np.float32]) -> Callable[[], Numbers]:
        """Begin with normalised pictures (N, 3, side, side), float32; what is returned waits, and gives the numbers.

        On a GPU the work goes on meanwhile. DeviceMemoryFull now or then.
        """

    def give_back(self) -> None:
        """Let go of memory that is kept for later runs: what did not fit is tried again in smaller parts."""


def in_halves(run: Callable[[Sequence[T]], list[R]], batch: Sequence[T], give_back: Callable[[], None]) -> list[R]:
    """`run(batch)`; where the device's memory does not hold that, the two halves one after the other, and so on.

    DeviceMemoryFull where even one does not fit.
    """
    try:
        return run(batch)
    except DeviceMemoryFull:
        if len(batch) < 2:
            raise
    # Outside the handler: there the failed run's tensors would still be alive in the traceback.
    give_back()
    middle = len(batch) // 2
    return in_halves(run, batch[:middle], give_back) + in_halves(run, batch[middle:], give_back)


def cpu_count() -> int:
    """Cores that this process may use, which in a container or under taskset are fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
