"""On a GPU: images a second by batch and precision, against two floors; on any other machine a sentence.

EfficientNets are bound by memory: the memory's floor is the time that the bytes of all convolutions' inputs, outputs
and weights take at the bandwidth that a large copy reaches here, each moved once, everything else fused into them. The
arithmetic's floor is the time of their multiplications at the rate that a large matrix product reaches in the same
precision. No runtime can be faster than the slower of the two. `of the floor` is that limit by what was measured.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.parity import parity_picture
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import DeviceMemoryFull
from ocunet_pacs.model.torch_runtime import HALVES, TorchRuntime
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import say

BATCHES = (1, 8, 32, 64, 128)
ROUNDS = 20
_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Work:
    """What the network's convolutions do: numbers moved and multiplications for a picture, and weights for a batch."""

    values: int
    multiplications: int
    weights: int

    def bytes(self, count: int, dtype: torch.dtype) -> int:
        """Moved for a batch of `count`."""
        return (self.values * count + self.weights) * dtype.itemsize

    def flop(self, count: int) -> int:
        """A multiplication and an addition each."""
        return 2 * self.multiplications * count


def main() -> None:
    """Print a row a batch and precision. Bar: 1,500 images/s forward at batch 64 in bfloat16 on an H200."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "b"
        write_untrained_bundle(bundle, datetime(2026, 1, 1, tzinfo=UTC), prepare=False)
        manifest = read_manifest(bundle)
        network = load_network(bundle, manifest)
        work = _work(network)
        say(
            f"gpu: a picture moves {work.values / 1e6:.1f} million numbers and takes {work.flop(1) / 1e9:.2f} GFLOP; "
            f"the weights are {work.weights / 1e6:.1f} million"
        )
        if not torch.cuda.is_available():
            say("gpu: there is no CUDA device here; nothing was measured")
            return
        device = torch.device("cuda:0")
        chosen = Predictor.load(bundle, "cuda:0", allow_untrained=True)
        say(f"gpu: {torch.cuda.get_device_name(device)}; the daemon would choose {chosen.runtime} for these weights")
    bandwidth = _bandwidth(device)
    say(f"gpu: a large copy moves {bandwidth / 1e9:.0f} GB/s")
    picture = parity_picture(manifest.preprocess)
    for dtype in (torch.float32, *HALVES):
        rate = _matrix_product(device, dtype)
        say(f"  {str(dtype).removeprefix('torch.')}: a large matrix product reaches {rate / 1e12:.1f} TFLOP/s")
        runtime = TorchRuntime(deepcopy(network), device, dtype)
        for count in BATCHES:
            _row(runtime, np.repeat(picture, count, axis=0), work, (bandwidth, rate), dtype)
    exact = TorchRuntime(deepcopy(network), device)
    reference = probabilities(exact(picture)()[0], manifest.temperature)
    for dtype in HALVES:
        said = TorchRuntime(deepcopy(network), device, dtype)(picture)()[0]
        moved = np.abs(probabilities(said, manifest.temperature) - reference).max()
        say(f"  {dtype}: probabilities move by {moved:.5f} at most (bar 0.005; random weights amplify rounding)")


def _row(runtime: TorchRuntime, batch: np.ndarray, work: Work, speeds: tuple[float, float], dtype: torch.dtype) -> None:
    """`speeds` are bytes and operations a second."""
    count = len(batch)
    try:
        forward = _seconds(lambda: runtime.features(batch))
        maps = _seconds(lambda: runtime(batch))
    except (DeviceMemoryFull, torch.OutOfMemoryError):
        say(f"  {runtime.name:16} batch {count:4}  does not fit")
        return
    memory, arithmetic = work.bytes(count, dtype) / speeds[0], work.flop(count) / speeds[1]
    floor = max(memory, arithmetic)
    say(
        f"  {runtime.name:16} batch {count:4}{count / forward:9.0f} images/s{count / maps:9.0f} with maps; "
        f"floors {count / memory:.0f} (memory), {count / arithmetic:.0f} (arithmetic) images/s; "
        f"{floor / forward:.2f} of the floor"
    )


def _seconds(run: object) -> float:
    """Mean seconds of a run, its upload included, many queued one behind the other."""
    assert callable(run)
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(ROUNDS):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / ROUNDS


def _bandwidth(device: torch.device) -> float:
    """Bytes read and written a second."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source))


def _matrix_product(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second; float32 without TF32, as the daemon computes it."""
    left, right = (torch.rand(_SIDE, _SIDE, device=device, dtype=dtype) for _ in range(2))
    return 2 * _SIDE**3 / _seconds(lambda: left @ right)


def _work(network: nn.Module) -> Work:
    """Counted on one forward of one picture."""
    values = multiplications = 0

    def count(module: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        nonlocal values, multiplications
        assert isinstance(module, nn.Conv2d)
        values += given[0].numel() + made.numel()
        multiplications += made.numel() * module.weight[0].numel()

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(count) for module in convolutions]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 384, 384))
    for hook in hooks:
        hook.remove()
    return Work(values, multiplications, sum(module.weight.numel() for module in convolutions))
