"""The demonstration's bundle: OcuNet's network with numbers that learned nothing, marked as untrained.

The weights are drawn from a seeded generator. Batch norms are settled on drawn photographs and the last layer is scaled
so that outputs differ from eye to eye and a few labels reach their thresholds: a demonstration shows filled reports,
and every one of them says that its results mean nothing.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply, to_tensor_array
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import software_versions, write_bundle
from ocunet_pacs.model.manifest import Manifest, Provenance
from ocunet_pacs.model.network import OcuNet, empty_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from torch import Tensor

ARCHITECTURE: Final = "efficientnet_b3"
TEMPERATURE: Final = 1.1926
THRESHOLDS: Final = (
    # OcuNet v4's published calibration, in the order of the labels.
    *(0.300, 0.575, 0.900, 0.850, 0.825, 0.750, 0.925, 0.925, 0.625, 0.750),
    *(0.800, 0.925, 0.900, 0.925, 0.925, 0.800, 0.875, 0.925, 0.925, 0.875),
    *(0.875, 0.900, 0.925, 0.925, 0.900, 0.925, 0.725, 0.650, 0.900, 0.925),
)
_OFTEN: Final = frozenset({"Disease_Risk", "DR"})
_RESIDUAL_END: Final = re.compile(r"backbone\.blocks\.(0\.\d+\.bn2|[1-9]\.\d+\.bn3)\.weight")
_SEED: Final = 20
_EYES: Final = 6
_SPREAD: Final = 0.7


def write_untrained_bundle(out: Path, now: datetime, *, overwrite: bool = False, prepare: bool = True) -> Manifest:
    """Write the bundle "untrained-demo" to `out`, as `bundle.write_bundle` does; its manifest.

    The weights are the same on every call (another kind of processor may round otherwise); `now` goes into the manifest
    and so into the bundle's digest.
    """
    labels = tuple(label.name for label in LABELS)
    borrowed = "OcuNet v4's published calibration, which does not belong to these weights"
    manifest = Manifest(
        name="untrained-demo",
        created_at=now,
        architecture=ARCHITECTURE,
        labels=labels,
        preprocess=PreprocessSpec(),
        temperature=TEMPERATURE,
        thresholds=dict(zip(labels, THRESHOLDS, strict=True)),
        calibrated=False,
        trained=False,
        quality=QualityLimits().to_dict(),
        provenance=Provenance(
            software=software_versions(),
            temperature_from=borrowed,
            thresholds_from=borrowed,
            notes={"seed": str(_SEED)},
        ),
    )
    return write_bundle(out, _weights(manifest), manifest, overwrite=overwrite, prepare=prepare)


def _weights(manifest: Manifest) -> dict[str, Tensor]:
    network = empty_network(manifest.architecture, len(manifest.labels)).to_empty(device="cpu")
    _fill(network, torch.Generator().manual_seed(_SEED))
    eyes = _eyes(manifest.preprocess)
    with _one_thread():
        _settle_batch_norms(network, eyes)
        _scale_outputs(network, eyes, manifest)
    return network.state_dict()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: the number of threads decides in which order sums are rounded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fill(network: OcuNet, random: torch.Generator) -> None:
    """Weights that carry a signal through every layer: unit gain, and residual branches that add only a little.

    With full residual branches a network of this depth amplifies the smallest difference until outputs are chaos.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim >= 2:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=random)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, std=0.05, generator=random)
        else:
            gain = 0.3 if _RESIDUAL_END.match(name) else 1.0
            nn.init.normal_(parameter, mean=gain, std=0.1 * gain, generator=random)


def _eyes(spec: PreprocessSpec) -> Tensor:
    """Drawn photographs as the network sees them: float32 (eyes, 3, side, side)."""
    sides = (Laterality.RIGHT, Laterality.LEFT)
    sick: tuple[tuple[Lesion, ...], ...] = ((), tuple(Lesion), (Lesion.HARD_EXUDATES, Lesion.HAEMORRHAGES))
    drawn = (
        draw_fundus(seed=n, laterality=sides[n % 2], size=(512, 384), lesions=sick[n % len(sick)]) for n in range(_EYES)
    )
    return torch.from_numpy(np.stack([to_tensor_array(spec, apply(spec, eye).pixels) for eye in drawn]))


def _settle_batch_norms(network: OcuNet, eyes: Tensor) -> None:
    """One forward in which only the batch norms learn: their statistics become those of `eyes`.

    The head's norms see one vector an eye, too few for a variance of each channel: a layer's channels share one.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches seen, and not a running one
        norm.train()
    with torch.no_grad():
        network(eyes.to(memory_format=torch.channels_last))
    network.eval()
    for module in network.head.modules():
        if isinstance(module, nn.BatchNorm1d) and module.running_var is not None:
            module.running_var.fill_(module.running_var.mean())


def _scale_outputs(network: OcuNet, eyes: Tensor, manifest: Manifest) -> None:
    """Spread each label's logits by `_SPREAD` around a mean above its threshold (for `_OFTEN`) or well below it."""
    last = network.head.classifier[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        logits = network(eyes.to(memory_format=torch.channels_last))
        spread, mean = torch.std_mean(logits, dim=0)
        spread = spread.clamp(min=float(spread.mean())) / _SPREAD
        last.weight /= spread[:, None]
        for index, label in enumerate(manifest.labels):
            threshold = manifest.thresholds[label]
            reached = manifest.temperature * math.log(threshold / (1.0 - threshold))
            goal = reached + (_SPREAD if label in _OFTEN else -4.0 * _SPREAD)
            last.bias[index] = (last.bias[index] - mean[index]) / spread[index] + goal
