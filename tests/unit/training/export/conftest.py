"""A small network that is well conditioned, a recipe for it, and a manifest that it might have been trained on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.preprocess import apply, to_tensor_array
from ocunet_pacs.model.network import build_network
from training.data.manifest import Manifest, Row, Split
from training.export.bundle import Fitted, Learned, export
from training.recipe import recipe_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LABELS = ("DR", "GLAUCOMA", "PT")
ARCHITECTURE = "mobilenetv3_small_050"
RECIPE = recipe_of(
    {
        "name": "site-small",
        "seed": 7,
        "preprocess": {"image_size": 64},
        "network": {"architecture": ARCHITECTURE, "dropout": 0.2, "weights": "/home/somebody/model.safetensors"},
        "notes": {"terms": "research use only", "known failures": "cataracts | haze"},
    },
    "recipe",
)


def settled_network(label_count: int = len(LABELS)) -> torch.nn.Module:
    """Random weights behind batch norms that have seen drawn eyes: outputs differ, none is far from 0."""
    eyes = [
        draw_fundus(seed=n, laterality=list(Laterality)[n % 2], size=(256, 192), lesions=tuple(Lesion)[: n % 5])
        for n in range(6)
    ]
    spec = RECIPE.preprocess
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_network(ARCHITECTURE, label_count, dropout=0.0).train()
        batch = torch.from_numpy(np.stack([to_tensor_array(spec, apply(spec, eye).pixels) for eye in eyes]))
        with torch.no_grad():
            network.head.classifier[-1].weight.mul_(5)
            for _ in range(15):
                network(batch)
    return network.eval()


def row(number: int, split: Split, positive=(), negative=(), source="drawn") -> Row:
    digest = f"{number:064x}"
    return Row(f"{number}.png", digest, f"p{number}", frozenset(positive), frozenset(negative), source, split=split)


def training_manifest() -> Manifest:
    return Manifest(
        (
            row(1, Split.TRAIN, ["DR"], ["GLAUCOMA"]),
            row(2, Split.TRAIN, ["GLAUCOMA"], source="other"),
            row(3, Split.TRAIN, [], ["DR", "GLAUCOMA", "PT"]),
            row(4, Split.VALIDATION, ["DR"]),
            row(5, Split.TEST, ["PT"], ["DR"]),
        ),
        Path("/nowhere"),
    )


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def learned() -> Learned:
    return Learned(
        weights=settled_network().state_dict(),
        epoch=12,
        metrics={"mAP": 0.75, "AUROC PT": float("nan")},
        start="Random weights (seed 7).",
        data=training_manifest(),
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory, learned, fitted):
    """A bundle, not to be changed, and its manifest."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    return out, export(out, recipe=RECIPE, labels=LABELS, learned=learned, fitted=fitted, now=NOW, prepare=False)


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    return Fitted(
        temperature=1.25,
        label_temperatures={"DR": 0.8},
        thresholds={"DR": 0.4, "GLAUCOMA": 0.5, "PT": 0.6},
        operating_points={"sensitivity": {"DR": 0.2, "GLAUCOMA": 0.3, "PT": 0.4}},
        temperature_from="validation split (L-BFGS)",
        thresholds_from="validation split: best F1",
        notes=["threshold of PT: too few positives"],
    )
