from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.labels import LABELS as TABLE
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import import_checkpoint, load_network, verify_bundle, write_bundle
from ocunet_pacs.model.manifest import MANIFEST, WEIGHTS, Manifest, Provenance, parse_manifest, read_manifest
from tests.unit.model.conftest import NOW, manifest
from tests.unit.model.test_checkpoint import NAMES, checkpoint, save

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.model.network import OcuNet

SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    labels = draw(st.lists(st.sampled_from([label.name for label in TABLE]), min_size=1, max_size=30, unique=True))
    share = st.floats(0, 1)
    number = st.floats(allow_nan=False, allow_infinity=False)
    return Manifest(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}", fullmatch=True)),
        created_at=draw(st.datetimes(timezones=st.just(timezone(timedelta(hours=2))))),
        architecture="efficientnet_b3",
        labels=tuple(labels),
        preprocess=PreprocessSpec(roi_padding=draw(share), image_size=draw(st.integers(32, 1024))),
        temperature=draw(st.floats(1e-3, 1e3)),
        label_temperatures=draw(st.dictionaries(st.sampled_from(labels), st.floats(1e-3, 1e3))),
        thresholds={label: draw(share) for label in labels},
        calibrated=draw(st.booleans()),
        trained=draw(st.booleans()),
        provenance=Provenance(
            epoch=draw(st.none() | st.integers(0, 500)),
            metrics=draw(st.dictionaries(st.text(), number, max_size=3)),
            notes=draw(st.dictionaries(st.text(), st.text(), max_size=3)),
        ),
    )


@given(manifests(), st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_a_manifest_survives_its_file(made: Manifest, weights: str) -> None:
    sealed = made.sealed(weights)
    read = parse_manifest(sealed.to_bytes(), "manifest.json")
    assert read == sealed
    assert read.digest == sealed.digest == sealed.bundle_sha256


@given(manifests(), st.data())
def test_the_digest_covers_everything(made: Manifest, data: st.DataObject) -> None:
    sealed = made.sealed("0" * 64)
    assert made.sealed("1" * 64).digest != sealed.digest
    changes: dict[str, Any] = {
        "name": made.name[:-1] + ("a" if made.name[-1] != "a" else "b"),
        "temperature": made.temperature * 2,
        "label_temperatures": {} if made.label_temperatures else {made.labels[0]: 2.0},
        "trained": not made.trained,
        "calibrated": not made.calibrated,
        "created_at": made.created_at + timedelta(seconds=1),
        "preprocess": PreprocessSpec(**(asdict(made.preprocess) | {"clahe": not made.preprocess.clahe})),
        "thresholds": made.thresholds | {made.labels[0]: (made.thresholds[made.labels[0]] + 0.5) % 1.0 + 1e-9},
        "operating_points": {"screening": made.thresholds},
        "quality": QualityLimits().to_dict(),
        "provenance": made.provenance.model_copy(update={"epoch": 1000}),
    }
    key = data.draw(st.sampled_from(sorted(changes)))
    assert made.model_copy(update={key: changes[key]}).sealed("0" * 64).digest != sealed.digest


@SHARED_FOLDER
@given(st.data())
def test_no_byte_of_the_manifest_can_change(bundle: Path, data: st.DataObject) -> None:
    path = bundle / MANIFEST
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bad)
        with pytest.raises(BundleError, match=re.escape(str(path))):
            read_manifest(bundle)
    finally:
        path.write_bytes(good)


@SHARED_FOLDER
@given(st.data())
def test_no_byte_of_the_weights_can_change(bundle: Path, data: st.DataObject) -> None:
    path = bundle / WEIGHTS
    at = data.draw(st.integers(0, path.stat().st_size - 1) | st.integers(0, 2000))
    flip = data.draw(st.integers(1, 255))
    with path.open("r+b") as file:
        old = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([old[0] ^ flip]), at)
        try:
            with pytest.raises(BundleError, match="sha256"):
                load_network(bundle, read_manifest(bundle))
        finally:
            os.pwrite(file.fileno(), old, at)


def test_a_good_bundle_verifies_and_gives_the_same_network_back(bundle: Path, network: OcuNet) -> None:
    read = verify_bundle(bundle)
    assert read.created_at == NOW
    again = load_network(bundle, read)
    assert not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("surprise", 1, "surprise"),
        ("temperature", 0, "temperature"),
        ("temperature", "1.2", "temperature"),
        ("labels", ["DR", "XX", "NORMAL"], "XX"),
        ("labels", ["DR", "DR", "NORMAL"], "twice"),
        ("labels", [], "labels"),
        ("thresholds", {"Disease_Risk": 0.3, "DR": 2, "NORMAL": 0.65}, "thresholds.DR"),
        ("thresholds", {"DR": 0.5, "NORMAL": 0.65}, "thresholds.Disease_Risk"),
        ("operating_points", {"screening": {"DR": 0.5}}, "operating_points.screening.thresholds.NORMAL"),
        ("operating_points", {"default": {"Disease_Risk": 0.3, "DR": 0.5, "NORMAL": 0.65}}, "operating_points.default"),
        ("operating_points", {"Bad Name": {}}, "operating_points"),
        ("quality", {"surprise": 1.0}, "unknown key 'surprise'"),
        ("preprocess", {"roi_crop": True}, "preprocess"),
        ("trained", "yes", "trained"),
        ("format_version", 2, "format_version"),
        ("name", "../evil", "name"),
        ("name", "patient\\name", "name"),
        ("created_at", "2026-03-01T12:00:00", "created_at"),
        ("provenance", {"who": "knows"}, "provenance.who"),
    ],
)
def test_a_manifest_that_makes_no_sense_names_file_and_key(bundle: Path, key: str, value: Any, named: str) -> None:
    path = bundle / MANIFEST
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {key: value}, indent=2))
    with pytest.raises(BundleError, match=re.escape(named)) as refused:
        read_manifest(bundle)
    assert str(path) in str(refused.value)
    if key in content:
        del content[key]
        path.write_text(json.dumps(content))
        with pytest.raises(BundleError):
            read_manifest(bundle)


def test_verify_refuses_outputs_that_are_not_finite(tmp_path: Path, network: OcuNet) -> None:
    weights = dict(network.state_dict())
    weights["head.classifier.13.bias"] = torch.full((3,), torch.inf)
    write_bundle(tmp_path / "b", weights, manifest())
    with pytest.raises(BundleError, match="not finite"):
        verify_bundle(tmp_path / "b")


def test_weights_that_do_not_fit_leave_nothing_behind(tmp_path: Path, network: OcuNet) -> None:
    short = dict(network.state_dict())
    del short["head.classifier.13.bias"]
    for weights, made in (
        (short, manifest()),
        (network.state_dict(), manifest(labels=("DR",), thresholds={"DR": 0.5})),
        (network.state_dict(), manifest(architecture="efficientnet_b3")),
        (network.state_dict(), manifest(architecture="resnet18")),
    ):
        with pytest.raises(BundleError):
            write_bundle(tmp_path / "b", weights, made)
    assert list(tmp_path.iterdir()) == []


def test_only_a_bundle_is_replaced_and_only_when_asked(tmp_path: Path, bundle: Path, network: OcuNet) -> None:
    renamed = manifest(name="second")
    with pytest.raises(BundleError, match="not empty"):
        write_bundle(bundle, network.state_dict(), renamed)
    assert read_manifest(bundle).name == "small"
    write_bundle(bundle, network.state_dict(), renamed, overwrite=True)
    assert verify_bundle(bundle).name == "second"
    other = tmp_path / "letters"
    other.mkdir()
    write_bundle(other, network.state_dict(), renamed)
    (other / "dear.txt").write_text("do not lose this")
    with pytest.raises(BundleError, match="other things"):
        write_bundle(other, network.state_dict(), renamed, overwrite=True)
    assert (other / "dear.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "letters"}


def test_an_absent_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=re.escape(str(tmp_path / "none"))):
        read_manifest(tmp_path / "none")


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="created_at"):
        manifest(created_at=NOW.replace(tzinfo=None))


def test_import_without_files_says_that_nothing_was_calibrated(tmp_path: Path) -> None:
    source = save(tmp_path / "ocunet v4.pth", checkpoint(NAMES[:28], threshold=0.45))
    made = import_checkpoint(source, tmp_path / "b", now=NOW)
    assert verify_bundle(tmp_path / "b") == made
    assert (made.name, made.trained, made.calibrated, made.temperature) == ("ocunet v4", True, False, 1.0)
    assert made.labels == tuple(NAMES[:28])
    assert set(made.thresholds.values()) == {0.45}
    assert "no calibration" in made.provenance.temperature_from
    assert made.provenance.software["torch"] == torch.__version__
    marked = import_checkpoint(source, tmp_path / "b", now=NOW, untrained=True, name="x", overwrite=True)
    assert (marked.trained, marked.name) == (False, "x")
    with pytest.raises(BundleError, match="name"):
        import_checkpoint(source, tmp_path / "c", now=NOW, name="no/slashes")


def test_import_takes_calibration_and_lets_the_thresholds_file_go_first(tmp_path: Path) -> None:
    source = save(tmp_path / "c.pth", checkpoint(NAMES[:3]))
    calibration, thresholds = tmp_path / "calibration.yaml", tmp_path / "optimal_thresholds.yaml"
    calibration.write_text("temperature: 1.5\nthresholds: {Disease_Risk: 0.3, DR: 0.6, ARMD: 0.9}")
    thresholds.write_text("Disease_Risk: {threshold: 0.1}\nDR: {threshold: 0.2}\nARMD: {threshold: 0.3}")
    both = import_checkpoint(source, tmp_path / "1", calibration=calibration, thresholds=thresholds, now=NOW)
    assert (both.temperature, both.calibrated) == (1.5, True)
    assert both.thresholds == {"Disease_Risk": 0.1, "DR": 0.2, "ARMD": 0.3}
    one = import_checkpoint(source, tmp_path / "2", calibration=calibration, now=NOW)
    assert (one.thresholds["ARMD"], one.calibrated) == (0.9, True)
    other = import_checkpoint(source, tmp_path / "3", thresholds=thresholds, now=NOW)
    assert (other.thresholds["ARMD"], other.temperature, other.calibrated) == (0.3, 1.0, False)


def test_half_the_size_is_float32_again_when_loaded(tmp_path: Path, network: OcuNet) -> None:
    state = network.state_dict()
    write_bundle(tmp_path / "whole", state, manifest(), prepare=False)
    write_bundle(tmp_path / "half", state, manifest(), prepare=False, half=True)
    whole, half = ((tmp_path / name / WEIGHTS).stat().st_size for name in ("whole", "half"))
    assert half < 0.56 * whole
    read = load_network(tmp_path / "half", verify_bundle(tmp_path / "half")).state_dict()
    for name, value in state.items():
        assert read[name].dtype == value.dtype
        large = value.ndim >= 2 and value.numel() >= 32768
        assert torch.equal(read[name], value.half().float() if large else value), name


def test_weights_beyond_float16_are_named(tmp_path: Path, network: OcuNet) -> None:
    weights = dict(network.state_dict())
    weights["head.classifier.5.weight"] = torch.full_like(weights["head.classifier.5.weight"], 1e5)
    with pytest.raises(BundleError, match=r"head\.classifier\.5\.weight does not fit into float16"):
        write_bundle(tmp_path / "b", weights, manifest(), half=True)
    assert list(tmp_path.iterdir()) == []
