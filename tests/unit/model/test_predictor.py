from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ocunet_pacs.domain.errors import BundleError, UntrainedBundle
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import to_tensor_array
from ocunet_pacs.model.bundle import load_network, write_bundle
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.manifest import WEIGHTS, read_manifest
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import HALF_TOLERANCE
from tests.unit.model.conftest import LABELS, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.ports import Classifier
    from ocunet_pacs.model.network import OcuNet


def test_a_photograph_gets_the_bundles_scores_and_maps(bundle: Path, network: OcuNet, photograph: np.ndarray) -> None:
    classifier: Classifier = Predictor.load(bundle, "cpu")
    made = read_manifest(bundle)
    prepared = prepare(made.preprocess, photograph)
    (seen,) = classifier.classify([prepared])
    with torch.no_grad():
        logits = network(torch.from_numpy(to_tensor_array(made.preprocess, prepared.pixels))[None])[0].numpy()
    assert tuple(score.label for score in seen.scores) == LABELS
    np.testing.assert_allclose([score.logit for score in seen.scores], logits, atol=1e-3)
    expected = probabilities([score.logit for score in seen.scores], made.temperature)
    assert [score.probability for score in seen.scores] == expected.tolist()
    assert [score.threshold for score in seen.scores] == [made.thresholds[label] for label in LABELS]
    assert (seen.maps.dtype, seen.maps.shape) == (np.float32, (3, 2, 2))
    assert set(seen.maps.max(axis=(1, 2))) <= {np.float32(0), np.float32(1)}
    assert classifier.bundle.digest == made.digest


def test_a_label_with_a_temperature_of_its_own_is_scored_with_it(
    tmp_path: Path, bundle: Path, network: OcuNet, photograph: np.ndarray
) -> None:
    write_bundle(tmp_path / "own", network.state_dict(), manifest(label_temperatures={LABELS[1]: 3.5}))
    own, usual = Predictor.load(tmp_path / "own", "cpu"), Predictor.load(bundle, "cpu")
    prepared = prepare(own.manifest.preprocess, photograph)
    ((seen,), (before,)) = own.classify([prepared]), usual.classify([prepared])
    for label, score, earlier in zip(LABELS, seen.scores, before.scores, strict=True):
        temperature = 3.5 if label == LABELS[1] else own.manifest.temperature
        assert own.bundle.temperature_of(label) == temperature
        assert score.probability == pytest.approx(float(probabilities([earlier.logit], temperature)[0]), abs=1e-9)
    with pytest.raises(ValueError, match="no such label"):
        manifest(label_temperatures={"RP": 2.0})
    with pytest.raises(ValueError, match="not a positive number"):
        manifest(label_temperatures={LABELS[0]: 0.0})


def test_weights_of_half_the_size_say_nearly_the_same(tmp_path: Path, demo: Path) -> None:
    made = read_manifest(demo)
    write_bundle(tmp_path / "half", load_network(demo, made).state_dict(), made, half=True)
    half = Predictor.load(tmp_path / "half", "cpu", allow_untrained=True)
    whole = Predictor.load(demo, "cpu", allow_untrained=True)
    assert half.runtime == whole.runtime == "onnxruntime float32", "the runtime was made of the rounded weights"
    assert half.bundle.digest != whole.bundle.digest
    prepared = prepare(made.preprocess, draw_fundus(seed=3, laterality=Laterality.RIGHT, size=(512, 384)))
    ((seen,), (exact,)) = half.classify([prepared]), whole.classify([prepared])
    moved = [abs(ours.probability - other.probability) for ours, other in zip(seen.scores, exact.scores, strict=True)]
    assert 0 < max(moved) < HALF_TOLERANCE


def test_batches_do_not_change_the_answers(bundle: Path, photograph: np.ndarray) -> None:
    """Photographs of any size, more of them than a batch holds, each with its own answer in order."""
    pictures = [photograph, photograph[::-1].copy(), photograph[:, :200].copy(), photograph // 2, photograph]
    photographs = [prepare(read_manifest(bundle).preprocess, picture) for picture in pictures]
    singles = Predictor.load(bundle, "cpu", batch_size=1).classify(photographs)
    batched = Predictor.load(bundle, "cpu", batch_size=3).classify(photographs)
    assert len(batched) == 5
    for one, many in zip(singles, batched, strict=True):
        np.testing.assert_allclose([s.logit for s in one.scores], [s.logit for s in many.scores], atol=1e-3)
    assert abs(singles[0].scores[0].logit - singles[1].scores[0].logit) > 0.01
    assert Predictor.load(bundle, "cpu").classify([]) == []


def test_untrained_weights_run_only_where_that_is_allowed(
    tmp_path: Path, network: OcuNet, photograph: np.ndarray
) -> None:
    write_bundle(tmp_path / "u", network.state_dict(), manifest(trained=False))
    with pytest.raises(UntrainedBundle, match=r"model\.allow_untrained"):
        Predictor.load(tmp_path / "u", "cpu")
    allowed = Predictor.load(tmp_path / "u", "cpu", allow_untrained=True)
    allowed.warm_up()
    assert not allowed.bundle.trained
    assert len(allowed.classify([prepare(allowed.manifest.preprocess, photograph)])[0].scores) == 3


def test_other_weights_than_the_manifests_are_refused(bundle: Path) -> None:
    with (bundle / WEIGHTS).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match="sha256"):
        Predictor.load(bundle, "cpu")
    (bundle / WEIGHTS).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Predictor.load(bundle, "cpu")


def test_a_site_chooses_among_the_bundles_operating_points(
    tmp_path: Path, network: OcuNet, photograph: np.ndarray
) -> None:
    screening = dict.fromkeys(LABELS, 0.0)
    write_bundle(
        tmp_path / "b", network.state_dict(), manifest(operating_points={"screening": screening}), prepare=False
    )
    usual = Predictor.load(tmp_path / "b", "cpu")
    chosen = Predictor.load(tmp_path / "b", "cpu", operating_point="screening")
    ready = [prepare(usual.manifest.preprocess, photograph)]
    (one,), (other,) = usual.classify(ready), chosen.classify(ready)
    assert [score.threshold for score in one.scores] == [0.3, 0.575, 0.65]
    assert [score.threshold for score in other.scores] == [0.0, 0.0, 0.0]
    assert all(score.positive for score in other.scores)
    assert [score.probability for score in one.scores] == [score.probability for score in other.scores]
    assert (usual.bundle.operating_point, chosen.bundle.operating_point) == ("default", "screening")
    assert usual.bundle != chosen.bundle
    with pytest.raises(BundleError, match=r"'specific' \(it has: default, screening\)"):
        Predictor.load(tmp_path / "b", "cpu", operating_point="specific")


def test_a_bundle_names_the_labels_that_it_does_not_know(bundle: Path) -> None:
    missing = Predictor.load(bundle, "cpu").bundle.missing_labels
    assert len(missing) == 27
    assert "GLAUCOMA" in missing
    assert not set(missing) & set(LABELS)


@pytest.mark.parametrize("device", ["cuda:99", "warp drive"])
def test_a_device_that_is_not_there_is_refused(bundle: Path, device: str) -> None:
    with pytest.raises(BundleError, match=device):
        Predictor.load(bundle, device)
