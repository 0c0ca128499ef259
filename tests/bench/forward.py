"""Images a second of our predictor (default install, photographs to probabilities and maps) against other runtimes.

Contenders run the backbone and the head alone: what a program could reach that explains nothing. The ceiling is what a
large float32 matrix product reaches on this machine; EfficientNet-B3 at 384 takes 5.64 GFLOP a picture. Bar: ours at
least 0.95 of the best. torch.compile is left out: it takes 40 s to compile and is slower than ONNX Runtime
(`--compile` is not worth a flag).
"""

from __future__ import annotations

import importlib
import statistics
import tempfile
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.onnx_features import FEATURES
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import cpu_count
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import measure, ratio, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.model.network import OcuNet

ROUNDS = {1: 25, 8: 7}
GFLOP = 5.64
_SIDE = 2048


def main() -> None:
    """Print a block a batch size."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        write_untrained_bundle(bundle, datetime(2026, 1, 1, tzinfo=UTC))
        ours = Predictor.load(bundle, "cpu", allow_untrained=True)
        network = load_network(bundle, read_manifest(bundle))
        runtimes = _runtimes(network, bundle)
    say(f"forward: ours is {ours.runtime}, batch size {ours.batch_size}; {cpu_count()} threads; bar 0.95 of the best")
    eye = prepare(ours.manifest.preprocess, draw_fundus(seed=1, laterality=Laterality.RIGHT, size=(512, 512)))
    one = to_tensor_array(ours.manifest.preprocess, eye.pixels)
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    for count, rounds in ROUNDS.items():
        batch = np.stack([one] * count)
        contenders: dict[str, Callable[[], object]] = {"ours": lambda count=count: ours.classify([eye] * count)}
        contenders |= {name: lambda run=run, batch=batch: run(batch) for name, run in runtimes.items()}
        contenders["matrix product"] = lambda: left @ right
        times = measure(contenders, rounds)
        product = 2 * _SIDE**3 / 1e9
        medians = {name: statistics.median(values) for name, values in times.items()}
        ceiling = product / medians["matrix product"]
        best = min((name for name in runtimes), key=medians.__getitem__)
        say(f"  batch {count}: ceiling {ceiling:.0f} GFLOP/s = {ceiling / GFLOP:.1f} images/s")
        for name in ("ours", *runtimes):
            speed = count / medians[name]
            say(f"    {name:32}{speed:8.1f} images/s{100 * speed * GFLOP / ceiling:7.0f} % of the ceiling")
        say(f"    ours by the best other ({best}): {ratio(times, best, 'ours'):.3f}")


def _runtimes(network: OcuNet, bundle: Path) -> dict[str, Callable[[np.ndarray], object]]:
    """Backbone and plain head on each runtime that is installed."""
    eager, last = deepcopy(network), network.to(memory_format=torch.channels_last)
    head = eager.head

    def on_torch(model: OcuNet, images: torch.Tensor) -> object:
        with torch.inference_mode():
            return model(images)

    def rest(features: np.ndarray) -> object:
        with torch.inference_mode():
            return head(torch.from_numpy(features).mean(dim=(2, 3)))

    runtimes: dict[str, Callable[[np.ndarray], object]] = {
        "torch": lambda batch: on_torch(eager, torch.from_numpy(batch)),
        "torch channels_last": lambda batch: on_torch(
            last, torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        ),
    }
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    session = ort.InferenceSession((bundle / FEATURES).read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    runtimes["onnxruntime, its own defaults"] = lambda batch: rest(session.run(None, {name: batch})[0])
    try:
        openvino = importlib.import_module("openvino")
    except ImportError:
        say("  OpenVINO is not installed")
        return runtimes
    hints = {"INFERENCE_NUM_THREADS": cpu_count(), "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(openvino.Core().read_model(bundle / FEATURES), "CPU", hints)
    runtimes["OpenVINO"] = lambda batch: rest(compiled(batch)[0])
    return runtimes
