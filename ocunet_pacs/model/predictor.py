"""Photographs to calibrated probabilities: the `Classifier` port over a bundle."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import structlog
import torch

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.result import BundleRef, Classification
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.bundle import load_network, parity_picture
from ocunet_pacs.model.calibration import probabilities, score
from ocunet_pacs.model.manifest import DEFAULT_POINT, read_manifest
from ocunet_pacs.model.onnx_network import read_network
from ocunet_pacs.model.runtime import TorchRuntime, choose_precision, in_halves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.model.network import OcuNet
    from ocunet_pacs.model.runtime import Runtime

PARITY: Final = 1e-4
"""How far a probability from the prepared runtime may be from torch's."""
LOGIT_PARITY: Final = 1e-2
"""How far its logits may be, as a share of torch's norm: a probability near 0 or 1 would hide another network."""
MAP_PARITY: Final = 1e-2
"""How far its maps may be on average: at a single point rounding may fill or empty the map of a label without one."""
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
        self._runtime = runtime
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
        where = _find_device(device)
        network = load_network(bundle_dir, manifest)
        on_gpu = where.type == "cuda"
        if on_gpu:
            runtime, exact = _on_gpu(manifest, network, where)
        else:
            runtime, exact = _on_cpu(manifest, network, bundle_dir), None
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
        under_way: deque[tuple[Sequence[Photograph], tuple[Tensor, Tensor]]] = deque()
        for start in range(0, len(photographs), self.batch_size):
            chunk = photographs[start : start + self.batch_size]
            said = self._started(chunk)
            if said is not None:
                under_way.append((chunk, said))
            else:
                while under_way:  # give their memory back first
                    seen += self._finish(*under_way.popleft())
                seen += in_halves(self._at_once, chunk)
            if len(under_way) > int(self.on_gpu):
                seen += self._finish(*under_way.popleft())
        while under_way:
            seen += self._finish(*under_way.popleft())
        return seen

    def warm_up(self) -> None:
        """Classify a black picture of every batch size in use, so that the first real one does not pay for set-up.

        The largest goes first: the memory that it takes serves all the others.
        """
        side = self.manifest.preprocess.image_size
        for count in sorted({1, self.batch_size}, reverse=True):
            in_halves(self._warm, [np.zeros((3, side, side), np.float32)] * count)

    def _warm(self, pictures: Sequence[NDArray[np.float32]]) -> list[None]:
        self._runtime(np.stack(pictures))[0].cpu()
        return []

    def _started(self, photographs: Sequence[Photograph]) -> tuple[Tensor, Tensor] | None:
        """None where the memory does not hold them. Nothing of that run is alive any more when this returns."""
        try:
            return self._runtime(self._batch(photographs))
        except torch.OutOfMemoryError:
            return None

    def _at_once(self, photographs: Sequence[Photograph]) -> list[Classification]:
        return self._finish(photographs, self._runtime(self._batch(photographs)))

    def _batch(self, photographs: Sequence[Photograph]) -> NDArray[np.float32]:
        return np.stack([to_tensor_array(self.manifest.preprocess, photograph.pixels) for photograph in photographs])

    def _finish(self, photographs: Sequence[Photograph], said: tuple[Tensor, Tensor]) -> list[Classification]:
        logits = said[0].cpu().numpy()
        if self._exact is not None and not np.isfinite(logits).all():
            said = self._exact(self._batch(photographs))
            logits = said[0].cpu().numpy()
        made = self.manifest
        return [
            Classification(score(row, made.labels, made.temperatures, self._thresholds), maps)
            for row, maps in zip(logits, said[1].cpu().numpy(), strict=True)
        ]


def _on_cpu(manifest: Manifest, network: OcuNet, folder: Path) -> Runtime:
    plain = TorchRuntime(network, torch.device("cpu"))
    try:
        fast = read_network(folder, manifest.weights_sha256)
        _check_parity(manifest, plain, fast)
    except BundleError as error:
        structlog.get_logger().warning(
            "runtime_slow", reason=str(error), remedy="run `ocunet-pacs model prepare` on the bundle's folder"
        )
        return plain
    return fast


def _check_parity(manifest: Manifest, plain: Runtime, fast: Runtime) -> None:
    picture = parity_picture(manifest.preprocess)
    (exact, maps), (logits, other_maps) = plain(picture), fast(picture)
    # Written so that a NaN refuses.
    if not (logits.shape == exact.shape and (logits - exact).norm() <= LOGIT_PARITY * exact.norm()):
        raise BundleError(f"{fast.name} gives other logits than torch")
    expected, said = (probabilities(seen.numpy(), manifest.temperatures) for seen in (exact, logits))
    if not np.abs(expected - said).max() <= PARITY:
        raise BundleError(f"{fast.name} gives other probabilities than torch")
    if not (maps.shape == other_maps.shape and (maps - other_maps).abs().mean() <= MAP_PARITY):
        raise BundleError(f"{fast.name} gives other maps than torch")


def _on_gpu(manifest: Manifest, network: OcuNet, device: torch.device) -> tuple[Runtime, Runtime | None]:
    """What to run, and what to fall back on where that is no float32."""
    halves: dict[torch.dtype, Runtime] = {}
    picture = parity_picture(manifest.preprocess)
    pictures = np.concatenate([picture, picture[:, :, ::-1], 0.5 * picture])
    spare = deepcopy(network)
    exact = TorchRuntime(network, device)

    def logits_in(dtype: torch.dtype) -> NDArray[np.float32]:
        if dtype == torch.float32:
            return exact(pictures)[0].cpu().numpy()
        halves[dtype] = TorchRuntime(deepcopy(spare), device, dtype)
        return halves[dtype](pictures)[0].cpu().numpy()

    chosen = choose_precision(logits_in, manifest.temperatures)
    return (exact, None) if chosen == torch.float32 else (halves[chosen], exact)


def _find_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BundleError(f"device {name!r} cannot be used here") from error
    return device
