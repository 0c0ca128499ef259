"""The demonstration's weights: the same each time, honest about themselves, and lively."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocunet_pacs.domain.errors import UntrainedBundle
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.model.bundle import verify_bundle
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.unit.model.conftest import NOW

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_the_same_each_time(demo: Path, tmp_path: Path) -> None:
    assert write_untrained_bundle(tmp_path / "again", NOW, prepare=False) == verify_bundle(demo)


def test_it_says_that_it_is_untrained(demo: Path) -> None:
    made = read_manifest(demo)
    assert (made.name, made.trained, made.calibrated) == ("untrained-demo", False, False)
    assert (made.temperature, made.thresholds["DR"], made.thresholds["RP"]) == (1.1926, 0.575, 0.925)
    with pytest.raises(UntrainedBundle):
        Predictor.load(demo, "cpu")


def test_drawn_eyes_differ_and_show_a_few_positives(demo: Path) -> None:
    predictor = Predictor.load(demo, "cpu", allow_untrained=True)
    eyes = [
        draw_fundus(seed=seed, laterality=side, size=(640, 480))
        for seed in range(100, 104)
        for side in (Laterality.RIGHT, Laterality.LEFT)
    ]
    seen = predictor.classify([prepare(predictor.manifest.preprocess, eye) for eye in eyes])
    logits = np.array([[score.logit for score in eye.scores] for eye in seen])
    assert (logits.std(axis=0) > 0.05).all(), "an output ignores its input"
    positives = [sum(score.positive for score in eye.scores) for eye in seen]
    assert sum(1 <= count <= 4 for count in positives) >= 6, positives
    assert max(positives) <= 8, positives
