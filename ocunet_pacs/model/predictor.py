"""Photographs to calibrated probabilities: the `Classifier` port over a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.result import BundleRef, Classification
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.bundle import load_network
from ocunet_pacs.model.calibration import score
from ocunet_pacs.model.explain import logits_and_maps
from ocunet_pacs.model.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.model.network import OcuNet


class Predictor:
    """A bundle ready to classify, in float32 on one device. Not to be shared between threads."""

    def __init__(self, manifest: Manifest, network: OcuNet, device: torch.device, batch_size: int) -> None:
        self.manifest = manifest
        self._device = device
        self._batch_size = batch_size
        # Channels-last convolutions take 0.7 of the time and differ by some 1e-6 in the probabilities.
        self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(
        cls, bundle_dir: Path, device: str = "auto", *, allow_untrained: bool = False, batch_size: int = 4
    ) -> Self:
        """The bundle in `bundle_dir`, digests checked. `device`: "auto" (a GPU where there is one), "cpu" or "cuda:N".

        UntrainedBundle unless the bundle is trained or `allow_untrained`; BundleError when the bundle or the device
        cannot be used.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        manifest = read_manifest(bundle_dir)
        manifest.require_trained(allow_untrained=allow_untrained)
        return cls(manifest, load_network(bundle_dir, manifest), _find_device(device), batch_size)

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""
        made = self.manifest
        return BundleRef(made.name, made.digest, made.trained, made.temperature)

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """One classification for each photograph, prepared with the manifest's spec, in order."""
        size = self._batch_size
        chunks = (photographs[start : start + size] for start in range(0, len(photographs), size))
        return [classification for chunk in chunks for classification in self._classify_batch(chunk)]

    def warm_up(self) -> None:
        """Classify a black picture of every batch size in use, so that the first real one does not pay for set-up."""
        side = self.manifest.preprocess.image_size
        for count in sorted({1, self._batch_size}):
            self._forward(np.zeros((count, 3, side, side), np.float32))

    def _classify_batch(self, photographs: Sequence[Photograph]) -> list[Classification]:
        made = self.manifest
        batch = np.stack([to_tensor_array(made.preprocess, photograph.pixels) for photograph in photographs])
        logits, maps = self._forward(batch)
        return [
            Classification(score(row, made.labels, made.temperature, made.thresholds), own_maps)
            for row, own_maps in zip(logits, maps, strict=True)
        ]

    def _forward(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        images = torch.from_numpy(batch).to(device=self._device, memory_format=torch.channels_last)
        # Without this cuDNN rounds the convolutions' inputs to TF32, 1e-3 away from the CPU's logits.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            logits, maps = logits_and_maps(self._network, images)
        return logits.cpu().numpy(), maps.cpu().numpy()


def _find_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BundleError(f"device {name!r} cannot be used here") from error
    return device
