"""Both faces for Python programs: what they take, what they give, and that the documentation's examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import OrderedDict
from copy import copy
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

import ocunet_pacs
from ocunet_pacs.domain.errors import BadInput, UntrainedBundle
from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.bundle import import_checkpoint
from ocunet_pacs.predict import ImprovedMultiLabelClassifier
from tests.conftest import PROJECT
from tests.unit.model.conftest import lively_network

LABELS = ["Disease_Risk", "DR", "ARMD", "MH", "DN", "MYA", "BRVO", "NORMAL"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALWAYS = {label: {"threshold": 0.0} for label in LABELS}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the documentation's examples run in: checkpoint, its files, a bundle and photographs."""
    room = tmp_path_factory.mktemp("room")
    (room / "models").mkdir()
    (room / "photographs").mkdir()
    (room / "evaluation_results").mkdir()
    torch.save(checkpoint(), room / "models" / "ocunetv4.pth")
    (room / "evaluation_results" / "calibration.yaml").write_text(f"temperature: 1.5\nthresholds: {ALWAYS}\n")
    import_checkpoint(
        room / "models" / "ocunetv4.pth",
        room / "bundle",
        calibration=room / "evaluation_results" / "calibration.yaml",
        now=NOW,
    )
    eye = Image.fromarray(draw_fundus(seed=4, laterality=Laterality.RIGHT, size=(1300, 1000)))
    for name in ("retina.jpg", "photographs/1.jpg", "photographs/2.jpg"):
        eye.save(room / name, quality=92)
    write_dicom(dicom(room / "retina.jpg"), room / "retina.dcm")
    return room


def checkpoint(**changes: Any) -> dict[str, Any]:
    """OcuNet's layout around a small network that answers in milliseconds."""
    network = lively_network(len(LABELS))
    with torch.no_grad():
        network.head.classifier[-1].weight /= 4000.0  # probabilities between 0 and 1 for a drawn eye
    state = OrderedDict()
    for index, (name, value) in enumerate(network.state_dict().items()):
        if name.startswith("backbone."):
            state[f"backbone.features.{index}.{name.rpartition('.')[2]}"] = value
        else:
            state["classifier." + name.removeprefix("head.")] = value
    return {
        "epoch": 74,
        "model_state_dict": state,
        "metrics": {"mAP": np.float64(0.4914)},
        "config": {"model": {"architecture": "efficientnet_b0"}, "dataset": {"image_size": 64}},
        "class_names": LABELS,
        "threshold": 0.5,
    } | changes


def dicom(photograph: Path) -> pydicom.Dataset:
    return wrap_photograph(
        photograph,
        laterality=Laterality.RIGHT,
        patient_id="1",
        patient_name="Doe",
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        sop_instance_uid="1.2.3.4.5",
        instance_number=1,
        now=NOW,
    )


@pytest.fixture(scope="module")
def classifier(room: Path) -> ocunet_pacs.Classifier:
    with ocunet_pacs.Classifier(room / "bundle", device="cpu") as made:
        yield made


@pytest.fixture(scope="module")
def model_card(room: Path) -> ImprovedMultiLabelClassifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(room)
        return ImprovedMultiLabelClassifier(device="cpu")


@pytest.fixture
def theirs(
    model_card: ImprovedMultiLabelClassifier, room: Path, monkeypatch: pytest.MonkeyPatch
) -> ImprovedMultiLabelClassifier:
    """OcuNet's class where every label reaches its threshold; a test may change its attributes."""
    monkeypatch.chdir(room)
    own = copy(model_card)
    own.thresholds = dict(model_card.thresholds)
    return own


def logits(reading: ocunet_pacs.Reading) -> list[float]:
    return [score.logit for score in reading.scores]


def test_importing_the_package_loads_no_torch() -> None:
    script = (
        "import sys, ocunet_pacs; assert 'torch' not in sys.modules; ocunet_pacs.Classifier; 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_documentations_examples_run(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (PROJECT / "docs" / "python-api.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/python-api.md", "exec"), {})
    assert "decision support" in (room / "report.txt").read_text().casefold()


def test_every_kind_of_input_gives_the_same_reading(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    path, wrapped = room / "retina.jpg", room / "retina.dcm"
    inputs = [
        path,
        str(path),
        path.read_bytes(),
        np.asarray(Image.open(path)),
        wrapped,
        wrapped.read_bytes(),
        pydicom.dcmread(wrapped),
        dicom(path),
    ]
    readings = classifier.classify(inputs)
    assert len(readings) == len(inputs)
    for reading in readings:
        assert reading.assessed
        assert logits(reading) == pytest.approx(logits(readings[0]), abs=1e-4)
        assert (reading.width, reading.height) == (1300, 1000)
    assert [r.laterality for r in readings] == [Laterality.UNKNOWN] * 4 + [Laterality.RIGHT] * 4
    assert [r.path for r in readings] == [path, path, None, None, wrapped, None, None, None]


def test_a_data_set_is_left_as_it_is(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    given = pydicom.dcmread(room / "retina.dcm")
    before = pydicom.dcmread(room / "retina.dcm")
    classifier.classify(given)
    assert given == before
    assert given.file_meta == before.file_meta


def test_a_bad_input_is_a_reading_with_reasons_between_good_ones(
    classifier: ocunet_pacs.Classifier, room: Path, tmp_path: Path
) -> None:
    good = room / "retina.jpg"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good.read_bytes()[:5000])
    child = pydicom.dcmread(room / "retina.dcm")
    child.PatientAge = "012Y"
    bare = pydicom.Dataset()
    bad = [broken, tmp_path / "absent.jpg", b"nothing", b"", np.zeros((200, 200), np.uint8), child, bare, tmp_path]
    inputs = [item for one in bad for item in (one, good)]
    readings = classifier.classify(inputs)
    assert len(readings) == len(inputs)
    assert all(reading.assessed for reading in readings[1::2])
    for reading in readings[::2]:
        assert not reading.assessed
        assert reading.reasons
        assert not reading.positives
        with pytest.raises(BadInput):
            reading.probability("DR")
        with pytest.raises(BadInput):
            reading.heatmap("DR")
    codes = [reading.reasons[0].code for reading in readings[::2]]
    assert codes[4] is ReasonCode.NOT_COLOUR
    assert codes[5] is ReasonCode.CHILD
    with pytest.raises(BadInput):
        classifier.classify([good, broken], strict=True)


def test_every_frame_has_a_reading(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    eye = np.asarray(Image.open(room / "retina.jpg"))
    several = pydicom.dcmread(room / "retina.dcm")
    several.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    several.PhotometricInterpretation, several.NumberOfFrames = "RGB", 2
    several.PixelData = eye.tobytes() * 2
    several["PixelData"].VR = "OB"
    several["PixelData"].is_undefined_length = False
    readings = classifier.classify(several)
    assert [reading.frame for reading in readings] == [1, 2]
    assert all(reading.assessed for reading in readings)


def test_a_heatmap_lies_on_the_photographs_own_pixels(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    whole = np.asarray(Image.open(room / "retina.jpg"))
    # Wide black margins on one side: what the network saw is the other side alone.
    margin = whole.shape[1] // 3
    shifted = np.concatenate([np.zeros_like(whole)[:, :margin], whole], axis=1)
    (reading,) = classifier.classify(shifted)
    assert reading.assessed, reading.reasons
    label = max(reading.scores, key=lambda score: float(reading.heatmap(score.label).max())).label
    heatmap = reading.heatmap(label)
    assert heatmap.dtype == np.float32
    assert heatmap.shape == shifted.shape[:2]
    assert 0.5 < heatmap.max() <= 1.0
    assert heatmap.min() >= 0.0
    assert not heatmap[:, :margin].any()
    overlay = reading.overlay(label)
    assert overlay.dtype == np.uint8
    assert overlay.shape[1] == min(1024, shifted.shape[1])
    # The margin is black in the photograph, and stays black but for what its JPEG's edge lets through.
    assert overlay[:, : margin * overlay.shape[1] // shifted.shape[1] - 8].max() == 0


def test_labels_by_name(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    (reading,) = classifier.classify(room / "retina.jpg")
    assert classifier.labels == tuple(LABELS)
    assert reading.score("DN") == reading.scores[4]
    assert reading.probability("DN") == reading.scores[4].probability
    with pytest.raises(KeyError, match="GLAUCOMA"):
        reading.probability("GLAUCOMA")


def test_an_array_of_something_else_than_bytes_is_a_mistake(classifier: ocunet_pacs.Classifier) -> None:
    with pytest.raises(TypeError, match="float32"):
        classifier.classify(np.zeros((200, 200, 3), np.float32))


def test_a_stream_takes_inputs_as_readings_are_asked_for(classifier: ocunet_pacs.Classifier, room: Path) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield room / "retina.jpg"

    stream = classifier.stream(endless())
    assert next(stream).assessed
    assert taken < 100


def test_closed_is_closed(room: Path) -> None:
    classifier = ocunet_pacs.Classifier(room / "bundle", device="cpu")
    (reading,) = classifier.classify(room / "retina.jpg")
    classifier.close()
    assert reading.heatmap("DR").any() or reading.score("DR")
    with pytest.raises(ValueError, match="closed"):
        classifier.classify(room / "retina.jpg")


def test_operating_points_choose_the_thresholds(room: Path, tmp_path: Path) -> None:
    points = {}
    for name, threshold in (("screening", 0.0), ("specific", 1.0)):
        points[name] = tmp_path / f"{name}.yaml"
        points[name].write_text("".join(f"{label}: {{threshold: {threshold}}}\n" for label in LABELS))
    import_checkpoint(room / "models" / "ocunetv4.pth", tmp_path / "bundle", now=NOW, operating_points=points)
    for name, count in (("screening", len(LABELS)), ("specific", 0)):
        with ocunet_pacs.Classifier(tmp_path / "bundle", device="cpu", operating_point=name) as classifier:
            (reading,) = classifier.classify(room / "retina.jpg")
        assert len(reading.positives) == count
        assert reading.bundle.operating_point == name
        assert "GLAUCOMA" in reading.bundle.missing_labels


def test_an_ungradable_photograph_is_no_healthy_eye(theirs: ImprovedMultiLabelClassifier, tmp_path: Path) -> None:
    Image.fromarray(np.full((600, 800, 3), 3, np.uint8)).save(tmp_path / "dark.png")
    with pytest.raises(BadInput, match="ungradable"):
        theirs.predict(tmp_path / "dark.png")


def test_untrained_weights_need_leave(room: Path, tmp_path: Path) -> None:
    import_checkpoint(room / "models" / "ocunetv4.pth", tmp_path / "bundle", now=NOW, untrained=True)
    with pytest.raises(UntrainedBundle):
        ocunet_pacs.Classifier(tmp_path / "bundle", device="cpu")
    with ocunet_pacs.Classifier(tmp_path / "bundle", device="cpu", allow_untrained=True) as classifier:
        assert not classifier.bundle.trained


def test_the_model_cards_result(
    theirs: ImprovedMultiLabelClassifier, classifier: ocunet_pacs.Classifier, room: Path
) -> None:
    result = theirs.predict("retina.jpg")
    assert list(result) == [
        "detected_diseases",
        "num_diseases",
        "probabilities",
        "all_predictions",
        "image_path",
        "temperature",
    ]
    (reading,) = classifier.classify(room / "retina.jpg")
    assert result["probabilities"] == {s.label: pytest.approx(s.probability, abs=1e-6) for s in reading.scores}
    assert list(result["probabilities"].values()) == sorted(result["probabilities"].values(), reverse=True)
    assert result["image_path"] == "retina.jpg"
    assert result["temperature"] == theirs.temperature == 1.5
    assert theirs.class_names == LABELS
    assert theirs.num_classes == len(LABELS)
    for label, said in result["all_predictions"].items():
        assert list(said) == ["detected", "probability", "threshold", "full_name", "description", "confidence"]
        assert said["probability"] == result["probabilities"][label]
        expected = "HIGH" if said["probability"] >= 0.8 else "MEDIUM" if said["probability"] >= 0.5 else "LOW"
        assert said["confidence"] == expected


def test_the_list_is_cut_at_five_and_at_the_least_confidence(theirs: ImprovedMultiLabelClassifier) -> None:
    theirs.min_confidence = 0.0
    every = theirs.predict("retina.jpg")
    assert every["detected_diseases"] == list(every["probabilities"])[:5]
    assert every["num_diseases"] == 5
    assert all(said["detected"] for said in every["all_predictions"].values())
    left_out = list(every["probabilities"])[5:]
    assert f"left out of the list by its limits (at most 5, none under 0.0 %): {', '.join(left_out)}" in (
        theirs.format_result(every)
    )
    third = every["probabilities"][every["detected_diseases"][2]]
    theirs.min_confidence = third
    assert theirs.predict("retina.jpg")["detected_diseases"] == every["detected_diseases"][:3]
    theirs.max_predictions = 2
    assert theirs.predict("retina.jpg")["detected_diseases"] == every["detected_diseases"][:2]


def test_thresholds_can_be_set_aside_and_changed(theirs: ImprovedMultiLabelClassifier) -> None:
    plain = theirs.predict("retina.jpg", use_optimized_thresholds=False)
    assert {said["threshold"] for said in plain["all_predictions"].values()} == {0.5}
    for said in plain["all_predictions"].values():
        assert said["detected"] == (said["probability"] >= 0.5)
    theirs.thresholds["DR"] = 1.0
    theirs.temperature = 1000.0
    said = theirs.predict("retina.jpg")["all_predictions"]["DR"]
    assert (said["threshold"], said["detected"]) == (1.0, False)
    assert said["probability"] == pytest.approx(0.5, abs=0.05)


def test_missing_files_are_said_once_and_change_nothing_else(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="no ") as said:
        classifier = ImprovedMultiLabelClassifier(room / "models" / "ocunetv4.pth", device="cpu")
    assert len(said) == 2
    assert "calibration.yaml" in str(said[0].message)
    assert "optimal_thresholds.yaml" in str(said[1].message)
    assert all(warning.filename == __file__ for warning in said)
    assert classifier.temperature == 1.0
    assert set(classifier.thresholds.values()) == {classifier.default_threshold} == {0.5}
    classifier.predict(room / "retina.jpg")  # a warning here would be an error


def test_labels_that_a_thresholds_file_leaves_out_get_the_default(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    thresholds = tmp_path / "some.yaml"
    thresholds.write_text("DR: {threshold: 0.25, f1: 0.8}\nMH: {threshold: 0.75}\n")
    with pytest.warns(UserWarning, match="Disease_Risk ARMD DN MYA BRVO NORMAL") as said:
        classifier = ImprovedMultiLabelClassifier(thresholds_path=thresholds, device="cpu")
    assert len(said) == 1
    assert classifier.temperature == 1.5
    assert classifier.thresholds == dict.fromkeys(LABELS, 0.5) | {"DR": 0.25, "MH": 0.75}


def test_names_follow_the_training_data_and_keep_the_model_cards_as_an_alias(
    theirs: ImprovedMultiLabelClassifier,
) -> None:
    result = theirs.predict("retina.jpg")
    names = {label: said["full_name"] for label, said in result["all_predictions"].items()}
    assert names["MH"] == "Media haze (model card: Macular Hole)"
    assert names["DN"] == "Drusen (model card: Diabetic Neuropathy)"
    assert names["DR"] == "Diabetic retinopathy"
    theirs.min_confidence, theirs.max_predictions = 0.0, len(LABELS)
    report = theirs.generate_report(theirs.predict("retina.jpg"))
    for label in LABELS:
        assert BY_NAME[label].caveat in report
        assert f"[{label}]" in report


def test_the_report_is_written_and_recommends_nothing(theirs: ImprovedMultiLabelClassifier, tmp_path: Path) -> None:
    result = theirs.predict("retina.jpg")
    text = theirs.generate_report(result, tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == text
    assert "not a diagnosis" in text
    assert "UNTRAINED" not in text
    assert not re.search(r"recommend|refer |prescri|urgent", text, re.IGNORECASE)
    short = theirs.format_result(result, verbose=False)
    assert len(short) < len(theirs.format_result(result))
    assert all(f"[{label}]" in short for label in result["detected_diseases"])


def test_a_picture_that_must_not_be_scored_is_no_healthy_eye(
    theirs: ImprovedMultiLabelClassifier, room: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((room / "retina.jpg").read_bytes()[:5000])
    with pytest.raises(BadInput):
        theirs.predict(broken)
    with pytest.raises(FileNotFoundError):
        theirs.predict(tmp_path / "absent.jpg")
    good, bad, absent, wrapped = theirs.predict_batch(
        ["retina.jpg", str(broken), tmp_path / "absent.jpg", "retina.dcm"]
    )
    assert good["probabilities"] == pytest.approx(wrapped["probabilities"], abs=1e-6)
    for entry in (bad, absent):
        assert set(entry) == {"image_path", "error"}
        assert "Not assessed" in theirs.format_result(entry)
        assert "Not assessed" in theirs.generate_report(entry)


def test_untrained_weights_say_so_wherever_they_speak(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    torch.save(checkpoint(epoch=0, metrics={}), tmp_path / "none.pth")
    with pytest.warns(UserWarning, match="UNTRAINED"):
        classifier = ImprovedMultiLabelClassifier(tmp_path / "none.pth", device="cpu")
    result = classifier.predict("retina.jpg")
    assert "UNTRAINED" in classifier.format_result(result, verbose=False)
    assert "UNTRAINED" in classifier.generate_report(result)


def test_photographs_in_bytes_need_no_suffix(classifier: ocunet_pacs.Classifier) -> None:
    buffer = BytesIO()
    Image.fromarray(draw_fundus(seed=4, laterality=Laterality.LEFT, size=(640, 480))).save(buffer, "PNG")
    (reading,) = classifier.classify(buffer.getvalue())
    assert reading.assessed
