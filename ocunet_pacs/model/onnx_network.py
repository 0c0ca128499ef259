"""The network for ONNX Runtime: exported once from a bundle's weights, kept beside them, checked before it is used.

The graph holds the backbone and the head with its Jacobian (`explain.ExplainedHead`), so that one run gives logits and
all labels' maps. The head alone in torch would cost a second team of threads, and on a busy machine each of its small
products waits for a thread that has no core: some 100 ms a picture were measured (docs/performance.md). ONNX Runtime's
caller takes the waiting pieces itself.

A bundle's folder then holds two files more: `network.onnx` and `runtime.json`, which names the weights that it was
made of and both files' sha256. They are derived from the weights and stand outside the manifest: preparing a bundle
again, with another exporter, does not make it another bundle, and reports do not change.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.explain import ExplainedHead
from ocunet_pacs.model.runtime import cpu_count

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from ocunet_pacs.model.network import OcuNet

ONNX: Final = "network.onnx"
RUNTIME: Final = "runtime.json"
INPUT: Final = "pixels"
OUTPUTS: Final = ("features", "logits", "maps")
"""What the graph can give; the feature maps are there to be compared."""
_OPSET: Final = 17
_SPIN_MICROSECONDS: Final = 10


class RuntimeRecord(BaseModel):
    """`runtime.json`. `software` maps the packages that wrote the file to their versions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Literal[2] = 2
    weights_sha256: str
    network_sha256: str
    opset: int
    exporter: str
    software: dict[str, str]


class OnnxNetwork:
    """A `runtime.Runtime` on ONNX Runtime's CPU provider, float32."""

    name: Final = "onnxruntime float32"

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cpu_count()
        options.inter_op_num_threads = 1
        # The arena keeps its memory from run to run. Memory patterns would keep one more plan, and more memory, for
        # every size of batch that ever occurred.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = False
        # Threads that spin for long while they wait for work take the cores from the decoders; threads that never spin
        # are late for each of the network's three hundred layers.
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """See `runtime.Runtime`."""
        logits, maps = self._session.run(["logits", "maps"], {INPUT: np.ascontiguousarray(batch)})
        return torch.from_numpy(logits), torch.from_numpy(maps)


def export_network(network: OcuNet, image_size: int, weights_sha256: str) -> dict[str, bytes]:
    """The two files, by name, for a network in eval mode on the CPU. BundleError where this machine cannot make them.

    torch's older exporter is asked: it takes 2 s where the newer one takes 13, and folds the batch norms.
    """
    room = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # It says that it is the older one.
            warnings.simplefilter("ignore", category=DeprecationWarning)
            torch.onnx.export(
                _Whole(network).eval(),
                (torch.zeros(2, 3, image_size, image_size),),
                cast("str", room),
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "batch"} for name in (INPUT, *OUTPUTS)},
            )
    except (ImportError, torch.onnx.errors.OnnxExporterError, TypeError) as error:
        raise BundleError("the network cannot be exported: this torch and onnx do not work together") from error
    content = room.getvalue()
    record = RuntimeRecord(
        weights_sha256=weights_sha256,
        network_sha256=hashlib.sha256(content).hexdigest(),
        opset=_OPSET,
        exporter="torch.onnx (TorchScript)",
        software={package: version(package) for package in ("torch", "onnx", "timm")},
    )
    return {ONNX: content, RUNTIME: record.model_dump_json(indent=2).encode() + b"\n"}


def read_network(folder: Path, weights_sha256: str) -> OnnxNetwork:
    """The prepared runtime of the bundle in `folder`. BundleError says in a sentence why there is none to use."""
    try:
        record = RuntimeRecord.model_validate_json((folder / RUNTIME).read_bytes())
        content = (folder / ONNX).read_bytes()
    except FileNotFoundError:
        raise BundleError("the bundle was never prepared for ONNX Runtime") from None
    except OSError as error:
        raise BundleError(f"the prepared runtime cannot be read: {error.strerror}") from None
    except ValidationError:
        raise BundleError(f"{RUNTIME} is damaged, or another release's") from None
    if record.weights_sha256 != weights_sha256:
        raise BundleError(f"{ONNX} was made of other weights")
    if hashlib.sha256(content).hexdigest() != record.network_sha256:
        raise BundleError(f"{ONNX} is damaged: its sha256 is not the one in {RUNTIME}")
    try:
        return OnnxNetwork(content)
    except ImportError as error:
        raise BundleError("onnxruntime cannot be imported") from error
    except Exception as error:  # its errors have no root of their own but Exception
        raise BundleError(f"onnxruntime refuses {ONNX}") from error


class _Whole(nn.Module):
    """What is exported: pictures to `OUTPUTS`."""

    def __init__(self, network: OcuNet) -> None:
        super().__init__()
        self.network = network
        self.head = ExplainedHead(network.head)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.forward_features(images)
        return features, *self.head(features)


def _onnxruntime() -> ModuleType:
    return importlib.import_module("onnxruntime")  # only where a CPU does the work
