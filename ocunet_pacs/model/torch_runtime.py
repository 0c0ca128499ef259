"""The network on torch: for GPUs, and on a CPU where no faster runtime was prepared.

The maps are the same closed form whichever runtime it is (`explain.ExplainedHead`).
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn

from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.explain import ExplainedHead
from ocunet_pacs.model.parity import parity_picture
from ocunet_pacs.model.runtime import HALF_TOLERANCE, DeviceMemoryFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.model.network import OcuNet
    from ocunet_pacs.model.runtime import Numbers, Runtime

HALVES: Final = (torch.bfloat16, torch.float16)
"""In order of preference: bfloat16 has float32's range, so that no picture can overflow it."""


class TorchRuntime:
    """A `Runtime` on torch. Takes the network over.

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

    def __call__(self, batch: NDArray[np.float32]) -> Callable[[], Numbers]:
        """See `Runtime`."""
        with _memory_full_by_its_name(), torch.inference_mode():
            logits, maps = self._head(self.features(batch))

        def numbers() -> Numbers:
            with _memory_full_by_its_name():
                return logits.cpu().numpy(), maps.cpu().numpy()

        return numbers

    def give_back(self) -> None:
        """See `Runtime`."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

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


def on_cpu(manifest: Manifest, folder: Path) -> Runtime:
    """The bundle in `folder` in float32. BundleError.

    This process keeps what memory it frees from then on: torch's layers would have the kernel clear theirs every time.
    """
    settle_allocator()
    return TorchRuntime(load_network(folder, manifest), torch.device("cpu"))


def on_gpu(manifest: Manifest, folder: Path, device: str) -> tuple[Runtime, Runtime | None]:
    """The bundle in `folder`: what to run, and what to fall back on where that is no float32. BundleError."""
    network, place = load_network(folder, manifest), torch.device(device)
    halves: dict[torch.dtype, Runtime] = {}
    picture = parity_picture(manifest.preprocess)
    pictures = np.concatenate([picture, picture[:, :, ::-1], 0.5 * picture])
    spare = deepcopy(network)
    exact = TorchRuntime(network, place)

    def logits_in(dtype: torch.dtype) -> NDArray[np.float32]:
        if dtype == torch.float32:
            return exact(pictures)()[0]
        halves[dtype] = TorchRuntime(deepcopy(spare), place, dtype)
        return halves[dtype](pictures)()[0]

    chosen = choose_precision(logits_in, manifest.temperatures)
    return (exact, None) if chosen == torch.float32 else (halves[chosen], exact)


@contextmanager
def _memory_full_by_its_name() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryFull("the device is out of memory") from error
