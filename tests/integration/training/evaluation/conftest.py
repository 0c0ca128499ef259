"""Drawn eyes in a manifest, and a small bundle that learned nothing, for everything that evaluates one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply, to_tensor_array
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.manifest import Manifest as BundleManifest
from ocunet_pacs.model.manifest import Provenance
from ocunet_pacs.model.network import OcuNet, build_network
from training.data.manifest import Manifest, Row, Split
from training.data.pixels import read_pixels

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("Disease_Risk", "DR", "GLAUCOMA", "NORMAL")
EYES = 20
DARK = 2
"""Photographs, after the eyes, on which nothing can be seen."""


def write_eye(folder: Path, number: int, *, dark: bool = False) -> Row:
    """One eye as a photograph with its row: every second one has a diabetic retinopathy, every fifth a cupped disc."""
    diabetic, cupped = number % 2 == 1, number % 5 == 0
    lesions = [*([Lesion.HAEMORRHAGES, Lesion.HARD_EXUDATES] * diabetic), *([Lesion.CUPPING] * cupped)]
    side = (Laterality.RIGHT, Laterality.LEFT)[number % 2]
    rgb = draw_fundus(seed=number, laterality=side, size=(200, 150), lesions=lesions)
    path = folder / f"Lovelace Ada {number:02}.png"
    cv2.imwrite(str(path), cv2.cvtColor(rgb // 40 if dark else rgb, cv2.COLOR_RGB2BGR))
    positive = {"Disease_Risk"} if diabetic or cupped else {"NORMAL"}
    positive |= {"DR"} if diabetic else set()
    negative = {"NORMAL", "Disease_Risk"} - positive
    # Of every fourth eye nobody said whether it is diabetic, of every third whether its disc is cupped.
    negative |= {"DR"} if not diabetic and number % 4 else set()
    positive |= {"GLAUCOMA"} if cupped else set()
    negative |= {"GLAUCOMA"} if not cupped and number % 3 else set()
    return Row(
        image=path.name,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        group=f"patient {number // 2}",
        positive=frozenset(positive),
        negative=frozenset(negative),
        source="clinic" if number < 12 else "screening",
        camera="drawn 45" if number % 3 else "",
        laterality=side.value,
        split=Split.TEST,
    )


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("eyes")
    rows = [write_eye(folder, number, dark=number >= EYES) for number in range(EYES + DARK)]
    return Manifest(tuple(rows), folder)


def spread(network: OcuNet, images: torch.Tensor) -> OcuNet:
    """The same network with outputs that differ from eye to eye: of mean 0 and deviation 1 for each label."""
    last = network.head.classifier[-1]
    with torch.no_grad():
        deviation, mean = torch.std_mean(network(images), dim=0)
        last.weight /= deviation[:, None]
        last.bias.copy_((last.bias - mean) / deviation)
    return network


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, eyes: Manifest) -> Path:
    torch.manual_seed(5)
    spec = PreprocessSpec(image_size=64)
    pixels = [apply(spec, read_pixels(eyes.path(row))).pixels for row in eyes.rows[:EYES]]
    images = torch.from_numpy(np.stack([to_tensor_array(spec, one) for one in pixels]))
    network = spread(build_network("mobilenetv3_small_050", len(LABELS)).eval(), images)
    folder = tmp_path_factory.mktemp("bundle") / "small"
    manifest = BundleManifest(
        name="small-site",
        created_at=datetime(2026, 11, 27, tzinfo=UTC),
        architecture="mobilenetv3_small_050",
        labels=LABELS,
        preprocess=spec,
        temperature=1.3,
        thresholds=dict.fromkeys(LABELS, 0.5),
        quality=QualityLimits().to_dict(),
        calibrated=False,
        trained=False,
        provenance=Provenance(temperature_from="nobody", thresholds_from="nobody"),
    )
    write_bundle(folder, network.state_dict(), manifest, prepare=False)
    return folder
