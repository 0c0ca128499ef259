"""Photographs to calibrated probabilities: the `Classifier` port over a bundle."""

from __future__ import annotations

import importlib
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import structlog

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.result import BundleRef, Classification
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.calibration import score
from ocunet_pacs.model.device import CPU, find_device
from ocunet_pacs.model.manifest import DEFAULT_POINT, read_manifest, read_weights
from ocunet_pacs.model.onnx_network import read_network
from ocunet_pacs.model.runtime import DeviceMemoryFull, in_halves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.model.runtime import Numbers, Runtime

_CPU_BATCH: Final = 1  # ONNX Runtime does as many pictures a second one by one as in batches, in less memory
_GPU_BATCH: Final = 64


class Predictor:
    """A bundle ready to classify on one device. Not to be shared between threads: see `batching`.

    `exact` is what runs again, in float32, a batch whose numbers left the range of a half precision.
    """

    def __init__(
        self,
        manifest: Manifest,
        runtime: Runtime,
        *,
        on_gpu: bool = False,
        batch_size: int = _CPU_BATCH,
        operating_point: str = DEFAULT_POINT,
        exact: Runtime | None = None,
    ) -> None:
        self.manifest = manifest
        self.batch_size = batch_size
        self.on_gpu = on_gpu
        self._thresholds = manifest.thresholds_at(operating_point)
        self._operating_point = operating_point
        self._runtime: Runtime = runtime
        self._exact = exact

    @classmethod
    def load(
        cls,
        bundle_dir: Path,
        device: str = "auto",
        *,
        allow_untrained: bool = False,
        batch_size: int | None = None,
        operating_point: str = DEFAULT_POINT,
    ) -> Self:
        """The bundle in `bundle_dir`, digests checked. `device`: "auto" (a GPU where there is one), "cpu" or "cuda:N".

        `batch_size` None is what suits the device. On a CPU the bundle's prepared runtime is used, on a GPU a half
        precision, each only where it gives float32's probabilities on drawn pictures (within `PARITY` and
        `HALF_TOLERANCE`). UntrainedBundle unless the bundle is trained or `allow_untrained`; BundleError when the
        bundle, the operating point or the device cannot be used.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        manifest = read_manifest(bundle_dir)
        manifest.require_trained(allow_untrained=allow_untrained)
        manifest.thresholds_at(operating_point)
        where = find_device(device)
        on_gpu = where != CPU
        if on_gpu:
            runtime, exact = _torch_runtime().on_gpu(manifest, bundle_dir, where)
        else:
            read_weights(bundle_dir, manifest)  # what cannot be trusted whole is not used in part
            runtime, exact = _on_cpu(manifest, bundle_dir), None
        return cls(
            manifest,
            runtime,
            on_gpu=on_gpu,
            batch_size=batch_size or (_GPU_BATCH if on_gpu else _CPU_BATCH),
            operating_point=operating_point,
            exact=exact,
        )

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are, and at which operating point."""
        made = self.manifest
        return BundleRef(
            made.name,
            made.digest,
            made.trained,
            made.temperature,
            self._operating_point,
            made.missing_labels,
            tuple((label, made.label_temperatures[label]) for label in made.labels if label in made.label_temperatures),
            made.research,
        )

    @property
    def runtime(self) -> str:
        """What computes, in words: "onnxruntime float32", "torch bfloat16"."""
        return self._runtime.name

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """One classification for each photograph, prepared with the manifest's spec, in order.

        While a GPU computes one batch the next one is made ready and sent.
        """
        seen: list[Classification] = []
        under_way: deque[tuple[Sequence[Photograph], Callable[[], Numbers]]] = deque()
        for start in range(0, len(photographs), self.batch_size):
            chunk = photographs[start : start + self.batch_size]
            said = self._started(chunk)
            if said is not None:
                under_way.append((chunk, said))
            else:
                while under_way:  # give their memory back first
                    seen += self._finish(*under_way.popleft())
                self._runtime.give_back()
                seen += in_halves(self._at_once, chunk, self._runtime.give_back)
            if len(under_way) > int(self.on_gpu):
                seen += self._finish(*under_way.popleft())
        while under_way:
            seen += self._finish(*under_way.popleft())
        return seen

    def close(self) -> None:
        """Let the network go, and its memory with it: nothing is classified any more, and RuntimeError says so."""
        self._runtime, self._exact = _Gone(self._runtime.name), None

    def warm_up(self) -> None:
        """Classify a black picture of every batch size in use, so that the first real one does not pay for set-up.

        The largest goes first: the memory that it takes serves all the others.
        """
        side = self.manifest.preprocess.image_size
        for count in sorted({1, self.batch_size}, reverse=True):
            in_halves(self._warm, [np.zeros((3, side, side), np.float32)] * count, self._runtime.give_back)

    def _warm(self, pictures: Sequence[NDArray[np.float32]]) -> list[None]:
        self._runtime(np.stack(pictures))()
        return []

    def _started(self, photographs: Sequence[Photograph]) -> Callable[[], Numbers] | None:
        """None where the memory does not hold them. Nothing of that run is alive any more when this returns."""
        try:
            return self._runtime(self._batch(photographs))
        except DeviceMemoryFull:
            return None

    def _at_once(self, photographs: Sequence[Photograph]) -> list[Classification]:
        return self._finish(photographs, self._runtime(self._batch(photographs)))

    def _batch(self, photographs: Sequence[Photograph]) -> NDArray[np.float32]:
        return np.stack([to_tensor_array(self.manifest.preprocess, photograph.pixels) for photograph in photographs])

    def _finish(self, photographs: Sequence[Photograph], numbers: Callable[[], Numbers]) -> list[Classification]:
        logits, maps = numbers()
        if self._exact is not None and not np.isfinite(logits).all():
            logits, maps = self._exact(self._batch(photographs))()
        made = self.manifest
        return [
            Classification(score(row, made.labels, made.temperatures, self._thresholds), each)
            for row, each in zip(logits, maps, strict=True)
        ]


class _Gone:
    """In the place of a runtime that was let go."""

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def __call__(self, batch: NDArray[np.float32]) -> Callable[[], Numbers]:  # noqa: ARG002 - a `Runtime`
        raise RuntimeError("this network was let go")

    def give_back(self) -> None:
        pass


def _on_cpu(manifest: Manifest, folder: Path) -> Runtime:
    try:
        return read_network(folder, manifest)
    except BundleError as error:
        structlog.get_logger().warning(
            "runtime_slow", reason=str(error), remedy="run `ocunet-pacs model prepare` on the bundle's folder"
        )
        slow: Runtime = _torch_runtime().on_cpu(manifest, folder)
        return slow


def _torch_runtime() -> ModuleType:
    return importlib.import_module("ocunet_pacs.model.torch_runtime")  # only where it is needed: torch is large
