"""What turns pictures into logits and maps: the network on torch or, several times faster on a CPU, on ONNX Runtime.

The maps are the same closed form whichever it is (`explain.ExplainedHead`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.explain import ExplainedHead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet

T = TypeVar("T")
R = TypeVar("R")
HALF_TOLERANCE: Final = 0.005
"""How far a probability may move for the sake of speed on a GPU."""
HALVES: Final = (torch.bfloat16, torch.float16)
"""In order of preference: bfloat16 has float32's range, so that no picture can overflow it."""


class Runtime(Protocol):
    """A network with its explanations, on some runtime."""

    @property
    def name(self) -> str:
        """What a log says about it: "onnxruntime float32", "torch bfloat16"."""

    def __call__(self, batch: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Logits (N, labels) and maps (N, labels, h, w) of normalised pictures (N, 3, side, side), all float32.

        On the runtime's device. On a GPU the work may still be under way when this returns; reading the numbers waits
        for it.
        """


class TorchRuntime:
    """The network on torch: for GPUs, and the CPU's way where no faster runtime was prepared. Takes the network over.

    In a half precision the convolutions' weights are rounded once; batch norms and the head keep float32 numbers.
    """

    def __init__(self, network: OcuNet, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self._device = device
        self._dtype = dtype
        # Channels-last convolutions take 0.7 of the time and differ by some 1e-6 in the probabilities.
        self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._head = ExplainedHead(network.head)
        if dtype != torch.float32:
            for module in network.backbone.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(dtype)
        self._staging = _Staging(device) if device.type == "cuda" else None

    @property
    def name(self) -> str:
        """See `Runtime`."""
        return f"torch {str(self._dtype).removeprefix('torch.')}"

    def __call__(self, batch: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """See `Runtime`."""
        with torch.inference_mode():
            logits, maps = self._head(self.features(batch))
        return logits, maps

    def features(self, batch: NDArray[np.float32]) -> Tensor:
        """The backbone's feature maps alone, float32 (N, C, h, w)."""
        images = torch.from_numpy(batch)
        if self._staging is not None:
            images = self._staging.upload(images)
        images = images.to(dtype=self._dtype, memory_format=torch.channels_last)
        # Without allow_tf32=False cuDNN rounds float32 convolutions to TF32, 1e-3 away from the CPU's logits.
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            features: Tensor = self._network.forward_features(images).float()
        return features


class _Staging:
    """Page-locked memory, from which a GPU fetches a batch by itself; two buffers, used in turn.

    A buffer is filled again only after its copy ended: the event says when. Copies have a stream of their own: on the
    network's stream a batch would be fetched only after the one before it is computed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers: list[tuple[Tensor, torch.cuda.Event] | None] = [None, None]
        self._next = 0

    def upload(self, images: Tensor) -> Tensor:
        turn, self._next = self._next, 1 - self._next
        held = self._buffers[turn]
        if held is not None:
            held[1].synchronize()
        if held is None or held[0].shape[0] < images.shape[0] or held[0].shape[1:] != images.shape[1:]:
            held = torch.empty_like(images, pin_memory=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._buffers[turn] = held
        buffer, copied = held
        part = buffer[: images.shape[0]]
        part.copy_(images)
        with torch.cuda.stream(self._stream):
            sent = part.to(self._device, non_blocking=True)
            copied.record(self._stream)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(copied)
        sent.record_stream(computing)  # its memory is not given to the next copy before the network has read it
        return sent


def choose_precision(
    logits_in: Callable[[torch.dtype], NDArray[np.float32]],
    temperature: ArrayLike,
    candidates: Sequence[torch.dtype] = HALVES,
) -> torch.dtype:
    """The first of `candidates` whose probabilities stay within `HALF_TOLERANCE` of float32's; float32 when none does.

    `logits_in` runs the same pictures in a precision; `temperature` is one for all labels, or one for each.
    """
    exact = probabilities(logits_in(torch.float32), temperature)
    for candidate in candidates:
        logits = logits_in(candidate)
        if np.isfinite(logits).all() and np.abs(probabilities(logits, temperature) - exact).max() <= HALF_TOLERANCE:
            return candidate
    return torch.float32


def in_halves(run: Callable[[Sequence[T]], list[R]], batch: Sequence[T]) -> list[R]:
    """`run(batch)`; where the device's memory does not hold that, the two halves one after the other, and so on.

    torch.OutOfMemoryError where even one does not fit.
    """
    try:
        return run(batch)
    except torch.OutOfMemoryError:
        if len(batch) < 2:
            raise
    # Outside the handler: there the failed run's tensors would still be alive in the traceback.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    return in_halves(run, batch[:middle]) + in_halves(run, batch[middle:])


def cpu_count() -> int:
    """Cores that this process may use, which in a container or under taskset are fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
