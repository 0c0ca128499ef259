"""The network for ONNX Runtime: exported once from a bundle's weights, kept beside them, checked before it is used.

A bundle's folder then holds two files more: `network.onnx` (see `onnx_export`) and `runtime.json`, which names the
weights that it was made of and both files' sha256, and keeps torch's answer to a drawn picture. They are derived from
the weights and stand outside the manifest: preparing a bundle again, with another exporter, does not make it another
bundle, and reports do not change.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.parity import Answer, parity_picture
from ocunet_pacs.model.runtime import cpu_count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.model.runtime import Numbers

ONNX: Final = "network.onnx"
RUNTIME: Final = "runtime.json"
INPUT: Final = "pixels"
_SPIN_MICROSECONDS: Final = 10


class RuntimeRecord(BaseModel):
    """`runtime.json`: `answer` is torch's to `parity_picture`, `software` maps the packages that wrote to versions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Literal[3] = 3
    weights_sha256: str
    network_sha256: str
    answer: Answer
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

    def __call__(self, batch: NDArray[np.float32]) -> Callable[[], Numbers]:
        """See `runtime.Runtime`."""
        logits, maps = self._session.run(["logits", "maps"], {INPUT: np.ascontiguousarray(batch)})
        return lambda: (logits, maps)

    def give_back(self) -> None:
        """See `runtime.Runtime`. The arena stays: nothing is ever too large for it."""


def read_network(folder: Path, manifest: Manifest) -> OnnxNetwork:
    """The prepared runtime of the bundle in `folder`, which says of a drawn picture what torch said of it.

    BundleError says in a sentence why there is none to use.
    """
    try:
        record = RuntimeRecord.model_validate_json((folder / RUNTIME).read_bytes())
        content = (folder / ONNX).read_bytes()
    except FileNotFoundError:
        raise BundleError("the bundle was never prepared for ONNX Runtime") from None
    except OSError as error:
        raise BundleError(f"the prepared runtime cannot be read: {error.strerror}") from None
    except ValidationError:
        raise BundleError(f"{RUNTIME} is damaged, or another release's") from None
    if record.weights_sha256 != manifest.weights_sha256:
        raise BundleError(f"{ONNX} was made of other weights")
    if hashlib.sha256(content).hexdigest() != record.network_sha256:
        raise BundleError(f"{ONNX} is damaged: its sha256 is not the one in {RUNTIME}")
    try:
        network = OnnxNetwork(content)
    except ImportError as error:
        raise BundleError("onnxruntime cannot be imported") from error
    except Exception as error:  # its errors have no root of their own but Exception
        raise BundleError(f"onnxruntime refuses {ONNX}") from error
    record.answer.compare(network(parity_picture(manifest.preprocess))(), manifest.temperatures, network.name)
    return network


def _onnxruntime() -> ModuleType:
    return importlib.import_module("onnxruntime")  # only where a CPU does the work
