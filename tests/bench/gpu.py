"""On a GPU: images a second by batch and precision, against the memory's floor; on any other machine a sentence.

EfficientNets are bound by memory: each layer reads and writes its activations once at best. The floor is the time that
the bytes of all layers' inputs and outputs (and the weights) take at the bandwidth that a large copy reaches here.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.explain import ExplainedHead
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.runtime import HALVES, TorchFeatures
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import say

BATCHES = (1, 8, 32, 64, 128)
ROUNDS = 20


def main() -> None:
    """Print a row a batch and precision. Bar: 1,500 images/s forward at batch 64 in bfloat16 on an H200."""
    if not torch.cuda.is_available():
        say("gpu: there is no CUDA device here; nothing was measured")
        return
    device = torch.device("cuda:0")
    with tempfile.TemporaryDirectory() as folder:
        write_untrained_bundle(Path(folder) / "b", datetime(2026, 1, 1, tzinfo=UTC), prepare=False)
        manifest = read_manifest(Path(folder) / "b")
        network = load_network(Path(folder) / "b", manifest)
    bandwidth = _bandwidth(device)
    say(f"gpu: {torch.cuda.get_device_name(device)}; a large copy moves {bandwidth / 1e9:.0f} GB/s")
    head = ExplainedHead(deepcopy(network.head).to(device))
    values = _values_moved(network)
    exact: dict[int, np.ndarray] = {}
    for dtype in (torch.float32, *HALVES):
        features = TorchFeatures(deepcopy(network), device, dtype)
        for count in BATCHES:
            batch = np.random.default_rng(0).standard_normal((count, 3, 384, 384), np.float32)
            said = probabilities(head.logits(features(batch)).cpu().numpy(), manifest.temperature)
            exact.setdefault(count, said)
            forward = _seconds(lambda features=features, batch=batch: features(batch))
            maps = _seconds(lambda features=features, batch=batch: head(features(batch)))
            floor = values * count * dtype.itemsize / bandwidth
            say(
                f"  {features.name:16} batch {count:4}{count / forward:9.0f} images/s{count / maps:9.0f} with maps"
                f"{floor / forward:7.2f} of the floor's speed   {np.abs(said - exact[count]).max():.5f} from float32"
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


def _values_moved(network: nn.Module) -> int:
    """Numbers that the convolutions read and write for one picture, each once: what fusing everything else leaves."""
    moved = 0

    def count(_: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        nonlocal moved
        moved += given[0].numel() + made.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 384, 384))
    for hook in hooks:
        hook.remove()
    return moved
