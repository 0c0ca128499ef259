"""What is measured in `forward` and `heatmap`: makers of contenders, each for a process of its own.

Each maker takes the folder of a bundle that `bundle_in` made, and a batch size.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.onnx_network import INPUT, ONNX, OnnxNetwork
from ocunet_pacs.model.parity import parity_picture
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import cpu_count
from ocunet_pacs.model.untrained import write_untrained_bundle

if TYPE_CHECKING:
    from tests.bench.rounds import Contender

FORWARD: Final = "forward.onnx"
_SIDE = 2048
GFLOP_PRODUCT: Final = 2 * _SIDE**3 / 1e9


def bundle_in(folder: Path) -> Path:
    """A bundle, and beside it `FORWARD`: the same graph cut off behind the logits, which explains nothing."""
    bundle = folder / "bundle"
    write_untrained_bundle(bundle, datetime(2026, 1, 1, tzinfo=UTC))
    onnx = importlib.import_module("onnx.utils")
    onnx.extract_model(str(bundle / ONNX), str(folder / FORWARD), [INPUT], ["logits"])
    return bundle


def ours(bundle: Path, count: int) -> Contender:
    """The product: prepared photographs to scores and maps, default settings."""
    predictor = Predictor.load(bundle, "cpu", allow_untrained=True)
    eye = prepare(predictor.manifest.preprocess, draw_fundus(seed=1, laterality=Laterality.RIGHT, size=(512, 512)))
    return lambda: predictor.classify([eye] * count)


def explained(bundle: Path, count: int) -> Contender:
    """The product's runtime: pixels to logits and all maps."""
    network, batch = OnnxNetwork((bundle / ONNX).read_bytes()), _batch(bundle, count)
    return lambda: network(batch)


def forward_alone(bundle: Path, count: int) -> Contender:
    """The product's runtime with the same options on the graph that ends at the logits."""
    session, batch = OnnxNetwork((bundle.parent / FORWARD).read_bytes())._session, _batch(bundle, count)
    return lambda: session.run(["logits"], {INPUT: batch})


def onnxruntime(bundle: Path, count: int) -> Contender:
    """ONNX Runtime with its own defaults (its threads spin for a second), pixels to logits."""
    ort, batch = importlib.import_module("onnxruntime"), _batch(bundle, count)
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    session = ort.InferenceSession(str(bundle.parent / FORWARD), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {INPUT: batch})


def openvino(bundle: Path, count: int) -> Contender:
    """OpenVINO in float32, pixels to logits."""
    module, batch = importlib.import_module("openvino"), _batch(bundle, count)
    hints = {"INFERENCE_NUM_THREADS": cpu_count(), "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = module.Core()
    compiled = core.compile_model(core.read_model(bundle.parent / FORWARD), "CPU", hints)
    return lambda: compiled(batch)


def eager(bundle: Path, count: int, *, channels_last: bool) -> Contender:
    """Torch, pixels to logits."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = load_network(bundle, read_manifest(bundle)).to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.from_numpy(_batch(bundle, count)).contiguous(memory_format=layout)

    def run() -> object:
        with torch.inference_mode():
            return network(images)

    return run


def usual_grad_cam(bundle: Path) -> Contender:
    """A whole backward pass for one label, eager torch."""
    network = load_network(bundle, read_manifest(bundle)).requires_grad_(requires_grad=True)
    images = torch.from_numpy(_batch(bundle, 1))

    def run() -> object:
        seen = network.forward_features(images)
        seen.retain_grad()
        network.zero_grad()
        network.head(seen.mean(dim=(2, 3)))[0, 1].backward()
        assert seen.grad is not None
        return torch.relu((seen.grad.mean(dim=(2, 3), keepdim=True) * seen).sum(dim=1)).detach()

    return run


def matrix_product() -> Contender:
    """The ceiling: a large float32 matrix product."""
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    return lambda: left @ right


def _batch(bundle: Path, count: int) -> np.ndarray:
    return np.repeat(parity_picture(read_manifest(bundle).preprocess), count, axis=0)
