"""The whole road from a JPEG to logits and probabilities, against numbers that OcuNet's own code path gave."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import apply
from ocunet_pacs.model.bundle import import_checkpoint, verify_bundle
from ocunet_pacs.model.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.shared

TEMPERATURE = 1.1926


@pytest.fixture(scope="session")
def imported(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference checkpoint, imported with the golden file's temperature."""
    room = tmp_path_factory.mktemp("golden")
    checkpoint, calibration = room / "ocunet.pth", room / "calibration.yaml"
    # -B: the reference folder is read-only.
    command = [sys.executable, "-B", str(shared / "reference" / "make_checkpoint.py"), str(checkpoint)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    calibration.write_text(f"temperature: {TEMPERATURE}\n")
    import_checkpoint(checkpoint, room / "bundle", calibration=calibration, now=datetime(2026, 1, 1, tzinfo=UTC))
    checkpoint.unlink()
    yield room / "bundle"
    shutil.rmtree(room)


def test_logits_and_probabilities_of_every_golden_image(imported: Path, shared: Path) -> None:
    golden = json.loads((shared / "reference" / "golden.json").read_text())
    predictor = Predictor.load(imported, "cpu")
    assert predictor.bundle.trained
    assert predictor.runtime == "onnxruntime float32"
    assert predictor.bundle.temperature == golden["temperature"] == TEMPERATURE
    assert len(golden["images"]) == 19
    for expected in golden["images"]:
        photograph = cv2.imread(str(shared / "data" / expected["image"]))[:, :, ::-1]
        ready = prepare(predictor.manifest.preprocess, np.ascontiguousarray(photograph))
        (seen,) = predictor.classify([ready])
        assert (ready.width, ready.height) == (expected["width"], expected["height"])
        crop = apply(predictor.manifest.preprocess, np.ascontiguousarray(photograph)).crop
        assert [crop.right - crop.left, crop.bottom - crop.top] == expected["crop"], expected["image"]
        np.testing.assert_allclose(
            [score.logit for score in seen.scores], expected["logits"], rtol=0, atol=1e-3, err_msg=expected["image"]
        )
        np.testing.assert_allclose(
            [score.probability for score in seen.scores],
            expected["probabilities_T1_1926"],
            rtol=0,
            atol=1e-3,
            err_msg=expected["image"],
        )
        assert seen.maps.shape == (30, 12, 12)
        assert np.isfinite(seen.maps).all()


def test_the_imported_bundle_verifies(imported: Path) -> None:
    manifest = verify_bundle(imported)
    assert manifest.provenance.epoch == 74
    assert manifest.provenance.metrics["mAP"] == pytest.approx(0.4914)
    assert manifest.labels[0] == "Disease_Risk"
    assert manifest.labels[-1] == "RP"
