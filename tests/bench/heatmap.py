"""What explanations cost: probabilities and all 30 maps (at 12 x 12) as a multiple of the forward pass alone.

The forward pass alone is the same backbone on the same runtime with the plain head. Bar: 1.05. Usual Grad-CAM (a whole
backward pass, one label, eager torch) stands beside it.
"""

from __future__ import annotations

import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import measure, ratio, say

ROUNDS = {1: 41, 8: 11}


def main() -> None:
    """Print a block a batch size."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        write_untrained_bundle(bundle, datetime(2026, 1, 1, tzinfo=UTC))
        predictor = Predictor.load(bundle, "cpu", allow_untrained=True)
        network = load_network(bundle, read_manifest(bundle))
    features, explained, head = predictor._features, predictor._head, network.head
    say(f"heatmap: runtime {predictor.runtime}; bar 1.05")
    for count, rounds in ROUNDS.items():
        batch = np.random.default_rng(0).standard_normal((count, 3, 384, 384), np.float32)

        def plain(batch: np.ndarray = batch) -> torch.Tensor:
            with torch.inference_mode():
                return head(features(batch).mean(dim=(2, 3)))

        contenders = {
            "forward alone": plain,
            "forward and 30 maps": lambda batch=batch: explained(features(batch)),
        }
        if count == 1:
            contenders["usual Grad-CAM, 1 label"] = lambda batch=batch: _usual(network, batch)
        times = measure(contenders, rounds)
        for name, values in times.items():
            say(
                f"  batch {count}  {name:26}{1000 * statistics.median(values):9.1f} ms"
                f"{ratio(times, name, 'forward alone'):8.3f} x forward"
            )


def _usual(network: torch.nn.Module, batch: np.ndarray) -> torch.Tensor:
    for parameter in network.parameters():
        parameter.requires_grad_()
    seen = network.forward_features(torch.from_numpy(batch))
    seen.retain_grad()
    network.zero_grad()
    network.head(seen.mean(dim=(2, 3)))[0, 1].backward()
    return torch.relu((seen.grad.mean(dim=(2, 3), keepdim=True) * seen).sum(dim=1)).detach()
