"""A network written down for ONNX Runtime, with torch's answer to a drawn picture: see `onnx_network`.

The graph holds the backbone and the head with its Jacobian (`explain.ExplainedHead`), so that one run gives logits and
all labels' maps. The head alone in torch would cost a second team of threads, and on a busy machine each of its small
products waits for a thread that has no core: some 100 ms a picture were measured (docs/performance.md). ONNX Runtime's
caller takes the waiting pieces itself.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.explain import ExplainedHead
from ocunet_pacs.model.onnx_network import INPUT, ONNX, RUNTIME, RuntimeRecord
from ocunet_pacs.model.parity import Answer, parity_picture

if TYPE_CHECKING:
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.model.network import OcuNet

OUTPUTS: Final = ("features", "logits", "maps")
"""What the graph can give; the feature maps are there to be compared."""
_OPSET: Final = 17


def export_network(network: OcuNet, spec: PreprocessSpec, weights_sha256: str) -> dict[str, bytes]:
    """The two files, by name, for a network in eval mode on the CPU. BundleError where this machine cannot make them.

    torch's older exporter is asked: it takes 2 s where the newer one takes 13, and folds the batch norms.
    """
    room, whole = io.BytesIO(), _Whole(network).eval()
    picture = torch.from_numpy(parity_picture(spec))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # It says that it is the older one.
            warnings.simplefilter("ignore", category=DeprecationWarning)
            torch.onnx.export(
                whole,
                (picture.repeat(2, 1, 1, 1),),
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
    with torch.inference_mode():
        _, logits, maps = whole(picture)
    record = RuntimeRecord(
        weights_sha256=weights_sha256,
        network_sha256=hashlib.sha256(content).hexdigest(),
        answer=Answer.of((logits.numpy(), maps.numpy())),
        opset=_OPSET,
        exporter="torch.onnx (TorchScript)",
        software={package: version(package) for package in ("torch", "onnx", "timm")},
    )
    return {ONNX: content, RUNTIME: record.model_dump_json(indent=2).encode() + b"\n"}


class _Whole(nn.Module):
    """What is exported: pictures to `OUTPUTS`."""

    def __init__(self, network: OcuNet) -> None:
        super().__init__()
        self.network = network
        self.head = ExplainedHead(network.head)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.forward_features(images)
        return features, *self.head(features)
