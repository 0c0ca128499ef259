"""What was trained becomes a bundle only when the daemon's own road says the same of the same photographs."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import apply, to_tensor_array
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import verify_bundle
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.parity import PARITY
from ocunet_pacs.model.predictor import Predictor
from tests.unit.model.conftest import lively_network
from tests.unit.training.export.conftest import LABELS, NOW, RECIPE, settled_network
from training.data.pixels import read_pixels
from training.errors import RunError
from training.export.bundle import export
from training.export.proof import prove
from training.export.record import Known, Record


def test_a_bundle_says_what_the_network_says(tmp_path, learned, fitted):
    out = tmp_path / "runs" / "bundle"
    made = export(out, recipe=RECIPE, labels=LABELS, learned=learned, fitted=fitted, now=NOW)
    assert verify_bundle(out) == made
    assert [path.name for path in out.parent.iterdir()] == ["bundle"], "nothing is left beside it"
    rgb = draw_fundus(seed=21, laterality=Laterality.LEFT, size=(320, 240))
    network = settled_network()
    with torch.no_grad():
        pixels = to_tensor_array(RECIPE.preprocess, apply(RECIPE.preprocess, rgb).pixels)
        logits = network(torch.from_numpy(pixels)[None])[0].numpy()
    predictor = Predictor.load(out, "cpu")
    (seen,) = predictor.classify([prepare(RECIPE.preprocess, rgb)])
    expected = probabilities(logits, [0.8, 1.25, 1.25])
    np.testing.assert_allclose([score.probability for score in seen.scores], expected, atol=PARITY)
    assert [score.threshold for score in seen.scores] == [0.4, 0.5, 0.6]
    assert predictor.runtime == "onnxruntime float32"


def test_the_manifest_says_where_it_comes_from(exported, learned, fitted):
    _, made = exported
    source = made.provenance
    assert (made.name, made.trained, made.calibrated, made.created_at) == ("site-small", True, True, NOW)
    assert made.thresholds_at("sensitivity")["DR"] == 0.2
    assert made.quality_limits == QualityLimits()
    assert (source.epoch, source.config_sha256) == (12, RECIPE.digest)
    assert source.metrics == {"mAP": 0.75}, "what is undefined is not there"
    assert {"torch", "timm", "ocunet-pacs"} <= source.software.keys()
    assert (source.temperature_from, source.thresholds_from) == (fitted.temperature_from, fitted.thresholds_from)
    assert source.notes["terms"] == "research use only"
    assert "somebody" not in json.dumps(source.notes), "no path of this machine"
    record = Record.from_notes(source.notes)
    assert record.data_sha256 == learned.data.fingerprint
    assert record.photographs == {"train": {"drawn": 2, "other": 1}, "validation": {"drawn": 1}, "test": {"drawn": 1}}
    assert record.labels["DR"] == {"train": Known(1, 1, 1), "validation": Known(1, 0, 0), "test": Known(0, 1, 0)}
    assert record.labels["PT"]["train"] == Known(0, 1, 2)
    assert record.start == learned.start
    assert record.calibration == ("threshold of PT: too few positives",)
    assert json.loads(record.recipe)["seed"] == 7
    assert "optimisation" not in json.loads(record.recipe), "only what differs from OcuNet's"
    assert re.fullmatch("[0-9a-f]{64}", record.code_sha256)


def test_without_an_epoch_it_is_untrained(tmp_path, learned, fitted):
    nothing = replace(learned, epoch=0)
    made = export(tmp_path / "b", recipe=RECIPE, labels=LABELS, learned=nothing, fitted=fitted, now=NOW, prepare=False)
    assert not made.trained


def test_half_the_size_is_proved_too(tmp_path, exported, learned, fitted):
    out = tmp_path / "half"
    export(out, recipe=RECIPE, labels=LABELS, learned=learned, fitted=fitted, now=NOW, prepare=False, half=True)
    half, whole = ((folder / "model.safetensors").stat().st_size for folder in (out, exported[0]))
    assert half < 0.6 * whole
    verify_bundle(out)


def test_what_does_not_say_the_same_is_not_written(tmp_path, learned, fitted):
    """A network of wild weights, which float16 moves far: the old bundle stays."""
    recipe = RECIPE.model_copy(
        update={"network": RECIPE.network.model_copy(update={"architecture": "efficientnet_b0"})}
    )
    wild = replace(learned, weights=lively_network(len(LABELS)).state_dict())
    known = {"labels": LABELS, "fitted": fitted, "now": NOW, "prepare": False}
    out = tmp_path / "b"
    with pytest.raises(RunError, match="store it in float32"):
        export(out, recipe=recipe, learned=wild, half=True, **known)
    assert list(tmp_path.iterdir()) == []
    old = export(out, recipe=RECIPE, learned=learned, **known)
    with pytest.raises(RunError, match=r"drawn-0\.png it does not say what the network says"):
        export(out, recipe=recipe, learned=wild, half=True, overwrite=True, **known)
    assert verify_bundle(out) == old
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("wrong", ["labels", "weights", "temperature"])
def test_the_proof_notices(exported, learned, wrong):
    out, made = exported
    weights = dict(learned.weights)
    if wrong == "labels":
        weights["head.classifier.13.weight"] = weights["head.classifier.13.weight"].flip(0)
    elif wrong == "weights":
        weights["backbone.conv_stem.weight"] = weights["backbone.conv_stem.weight"] * 1.05
    else:
        made = made.model_copy(update={"temperature": 1.5})
    with pytest.raises(RunError, match="does not say what the network says"):
        prove(out, made, weights, (), half=False)


def test_the_proof_reads_the_file(exported, learned, monkeypatch):
    """A decoder that gives other pixels than those that were learned from is found out."""
    out, made = exported
    monkeypatch.setattr("training.export.proof.read_pixels", lambda path: np.flipud(read_pixels(path)).copy())
    with pytest.raises(RunError, match=r"drawn-0\.png"):
        prove(out, made, learned.weights, (), half=False)


def test_it_is_proved_on_the_photographs_given(tmp_path, learned, fitted):
    path = tmp_path / "eye.jpg"
    Image.fromarray(draw_fundus(seed=5, laterality=Laterality.RIGHT, size=(320, 240))).save(path, quality=90)
    known = {"recipe": RECIPE, "labels": LABELS, "learned": learned, "fitted": fitted, "now": NOW, "prepare": False}
    made = export(tmp_path / "b", photographs=[path], **known)
    proof = prove(tmp_path / "b", made, learned.weights, [path, path], half=False)
    assert proof.photographs == 2
    assert proof.largest <= PARITY
    with pytest.raises(RunError, match=r"absent\.png: cannot be read"):
        export(tmp_path / "c", photographs=[tmp_path / "absent.png"], **known)
    assert not (tmp_path / "c").exists()


def test_only_a_bundle_is_replaced_and_only_when_asked(tmp_path, learned, fitted):
    known = {"recipe": RECIPE, "labels": LABELS, "learned": learned, "fitted": fitted, "now": NOW, "prepare": False}
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("do not lose this")
    for overwrite, said in ((False, "is not empty"), (True, "holds other things")):
        with pytest.raises(RunError, match=said):
            export(letters, overwrite=overwrite, **known)
    assert (letters / "dear.txt").exists()


def test_what_does_not_belong_together_is_named(tmp_path, learned, fitted):
    with pytest.raises(BundleError, match=r"thresholds\.RP: is missing"):
        export(tmp_path / "b", recipe=RECIPE, labels=[*LABELS, "RP"], learned=learned, fitted=fitted, now=NOW)
    fitting = replace(fitted, thresholds={"DR": 0.5, "RP": 0.5}, label_temperatures={}, operating_points={})
    with pytest.raises(BundleError, match="classifier"):
        export(tmp_path / "b", recipe=RECIPE, labels=["DR", "RP"], learned=learned, fitted=fitting, now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_record_survives_its_notes_and_strangers_do_no_harm():
    record = Record("a", {"train": {"x": 3}}, {"DR": {"train": Known(1, 2, 3)}}, "s", "{}", ("odd",), "c")
    assert Record.from_notes(record.to_notes() | {"terms": "any"}) == record
    assert Record.from_notes({"seed": "20"}) == Record()
    assert Record.from_notes(record.to_notes() | {"training photographs": "[1"}).start == "s"
