"""The model card's snippet on OcuNet's checkpoint layout, against numbers that OcuNet's own code path gave."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ocunet_pacs
from ocunet_pacs.model.bundle import import_checkpoint
from ocunet_pacs.predict import ImprovedMultiLabelClassifier

pytestmark = pytest.mark.shared

TEMPERATURE = 1.1926


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference" / "golden.json").read_text())


@pytest.fixture(scope="module")
def room(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder as OcuNet's repository lays it out."""
    room = tmp_path_factory.mktemp("ocunet")
    (room / "models").mkdir()
    (room / "evaluation_results").mkdir()
    # -B: the reference folder is read-only.
    make = [sys.executable, "-B", str(shared / "reference" / "make_checkpoint.py")]
    subprocess.run([*make, str(room / "models" / "ocunetv4.pth")], check=True, capture_output=True)
    thresholds = dict.fromkeys(_labels(room), 0.5) | {"Disease_Risk": 0.3, "DR": 0.575, "GLAUCOMA": 0.725}
    (room / "evaluation_results" / "calibration.yaml").write_text(f"temperature: {TEMPERATURE}\n")
    (room / "evaluation_results" / "optimal_thresholds.yaml").write_text(
        "".join(f"{label}: {{threshold: {value}, f1: 0.5}}\n" for label, value in thresholds.items())
    )
    return room


def _labels(room: Path) -> tuple[str, ...]:
    from ocunet_pacs.model.checkpoint import read_checkpoint

    return read_checkpoint(room / "models" / "ocunetv4.pth").labels


def test_the_model_cards_snippet_gives_ocunets_probabilities(
    room: Path, shared: Path, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    classifier = ImprovedMultiLabelClassifier(
        checkpoint_path="models/ocunetv4.pth", config_path="config/config.yaml", device="cpu"
    )
    assert classifier.temperature == TEMPERATURE
    assert classifier.thresholds["DR"] == 0.575
    images = golden["images"]
    results = classifier.predict_batch([shared / "data" / entry["image"] for entry in images])
    assert len(results) == 19
    for entry, result in zip(images, results, strict=True):
        expected = dict(zip(classifier.class_names, entry["probabilities_T1_1926"], strict=True))
        assert result["probabilities"] == pytest.approx(expected, abs=1e-3), entry["image"]
        reached = [
            label
            for label, probability in result["probabilities"].items()
            if probability >= max(classifier.thresholds[label], 0.3)
        ]
        assert result["detected_diseases"] == reached[:5]
        assert result["num_diseases"] == len(reached[:5])
    classifier.generate_report(results[0], "report.txt")
    assert str(shared / "data" / images[0]["image"]) in Path("report.txt").read_text()


def test_a_bundle_gives_the_same_to_the_classifier(
    room: Path, shared: Path, golden: dict[str, Any], tmp_path: Path
) -> None:
    import_checkpoint(
        room / "models" / "ocunetv4.pth",
        tmp_path / "bundle",
        calibration=room / "evaluation_results" / "calibration.yaml",
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    images = golden["images"][:4]
    with ocunet_pacs.Classifier(tmp_path / "bundle", device="cpu") as classifier:
        readings = classifier.classify([shared / "data" / entry["image"] for entry in images])
    for entry, reading in zip(images, readings, strict=True):
        assert [score.probability for score in reading.scores] == pytest.approx(
            entry["probabilities_T1_1926"], abs=1e-3
        )
        assert (reading.width, reading.height) == (entry["width"], entry["height"])
