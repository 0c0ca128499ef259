"""That a bundle, read and run as the daemon does it, says what the trained network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import apply, to_tensor_array
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.network import empty_network
from ocunet_pacs.model.parity import LOGIT_PARITY, PARITY
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import HALF_TOLERANCE
from training.data.pixels import read_pixels
from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.model.manifest import Manifest

_DRAWN: Final = ((Laterality.RIGHT, ()), (Laterality.LEFT, tuple(Lesion)), (Laterality.RIGHT, (Lesion.HAEMORRHAGES,)))
_SIZE: Final = (256, 192)


@dataclass(frozen=True, slots=True)
class Proof:
    """The largest difference of a probability over so many photographs, and the runtime that served."""

    photographs: int
    largest: float
    runtime: str


def prove(
    folder: Path, manifest: Manifest, weights: Mapping[str, Tensor], photographs: Sequence[Path], *, half: bool
) -> Proof:
    """Compare the bundle in `folder` with the network of `weights` on photographs, or drawn ones where there are none.

    The network's side is torch on pixels in memory; the bundle's side reads the file from a disk as the daemon does,
    prepares it and classifies it on the CPU. RunError where a probability differs by more than 1e-4 (0.005 where the
    weights are stored in `half`), the logits by more than 1 % of their norm, or either is no number.
    """
    predictor = Predictor.load(folder, "cpu", allow_untrained=True)
    network = empty_network(manifest.architecture, len(manifest.labels))
    network.load_state_dict({name: value.detach().cpu() for name, value in weights.items()}, assign=True)
    network.eval()
    largest, count = 0.0, 0
    with torch.inference_mode():
        for rgb, path in _given(photographs) if photographs else _drawn(folder.parent):
            pixels = apply(manifest.preprocess, rgb).pixels
            expected = network(torch.from_numpy(to_tensor_array(manifest.preprocess, pixels))[None])[0].double().numpy()
            (seen,) = predictor.classify([prepare(manifest.preprocess, read_pixels(path), manifest.quality_limits)])
            logits = np.array([score.logit for score in seen.scores])
            said = np.array([score.probability for score in seen.scores])
            moved = float(np.abs(said - probabilities(expected, manifest.temperatures)).max())
            # Written so that a NaN refuses.
            if not (
                [score.label for score in seen.scores] == list(manifest.labels)
                and moved <= (HALF_TOLERANCE if half else PARITY)
                and np.linalg.norm(logits - expected) <= LOGIT_PARITY * np.linalg.norm(expected)
            ):
                raise RunError(
                    f"bundle {manifest.name!r} is not written: on {path.name} it does not say what the network says "
                    f"(a probability differs by {moved:.2g}){'; store it in float32' if half else ''}"
                )
            largest, count = max(largest, moved), count + 1
    return Proof(count, largest, predictor.runtime)


def _given(photographs: Sequence[Path]) -> Iterator[tuple[RgbImage, Path]]:
    for path in photographs:
        try:
            yield read_pixels(path), path
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def _drawn(room: Path) -> Iterator[tuple[RgbImage, Path]]:
    for seed, (laterality, lesions) in enumerate(_DRAWN):
        rgb = draw_fundus(seed=seed, laterality=laterality, size=_SIZE, lesions=lesions)
        path = room / f"drawn-{seed}.png"
        Image.fromarray(rgb).save(path, compress_level=1)
        yield rgb, path
