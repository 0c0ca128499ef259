"""Bundles, with what goes wrong with bundles."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs.app import doctor_model
from ocunet_pacs.app.doctor_checks import Level
from ocunet_pacs.app.doctor_model import at_most_a_warning, judge_loading, look_at_bundle, look_at_loading
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.manifest import WEIGHTS
from ocunet_pacs.model.onnx_network import RUNTIME
from ocunet_pacs.settings import Settings, from_tree
from tests.unit.model.conftest import LABELS, lively_network, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = {"runtime": "onnxruntime float32", "on_gpu": False, "peak_bytes": 2**30}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    write_bundle(folder, lively_network(len(LABELS)).state_dict(), manifest())
    return folder


@pytest.fixture
def bundle(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "bundle")


def settings(bundle: Path, **more: Any) -> Settings:
    return from_tree({"model": {"bundle": str(bundle), "device": "cpu"} | more})


def test_a_bundle_that_is_well_loads_as_a_worker_loads_it(bundle: Path) -> None:
    assert look_at_bundle(bundle, "default", allow_untrained=False).level is Level.OK
    said = look_at_loading(settings(bundle))
    assert said.level is Level.OK
    assert said.found.startswith("onnxruntime float32, ")
    assert "GiB that are free" in said.found


def test_one_that_was_not_prepared_runs_slowly(bundle: Path) -> None:
    (bundle / RUNTIME).unlink()
    said = look_at_loading(settings(bundle))
    assert said.level is Level.WARNING
    assert "ocunet-pacs model prepare" in said.remedy


def test_one_that_does_not_fit_into_the_memory(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_model, "available_bytes", lambda _: 64 << 20)
    said = look_at_loading(settings(bundle))
    assert said.level is Level.FAULT
    assert "for want of memory" in said.found
    assert "model.batch_size" in said.remedy


def test_weights_that_are_damaged(bundle: Path) -> None:
    with (bundle / WEIGHTS).open("r+b") as file:
        file.seek(-9, 2)
        file.write(b"damaged")
    said = look_at_loading(settings(bundle))
    assert said.level is Level.FAULT
    assert "sha256" in said.found
    assert "model verify" in said.remedy


def test_a_manifest_that_does_not_do(bundle: Path, tmp_path: Path) -> None:
    def no_manifest() -> None:
        (bundle / "manifest.json").unlink()

    def untrained() -> None:
        sealed = manifest(trained=False, weights_sha256="0" * 64)
        (bundle / "manifest.json").write_bytes(sealed.sealed("0" * 64).to_bytes())

    steps: list[tuple[Callable[[], None], str, str]] = [
        (lambda: None, "screening", "has no operating point 'screening'"),
        (untrained, "default", "are untrained and their results mean nothing"),
        (no_manifest, "default", "manifest.json: cannot be read"),
    ]
    for change, point, words in steps:
        change()
        said = look_at_bundle(bundle, point, allow_untrained=False)
        assert said.level is Level.FAULT
        assert words in said.found
        assert said.remedy
    tried = look_at_loading(settings(bundle))
    assert (tried.level, tried.remedy) == (Level.WARNING, "see `model`")


def test_an_untrained_bundle_that_is_allowed_is_said_all_the_same(bundle: Path) -> None:
    sealed = manifest(trained=False).sealed("0" * 64)
    (bundle / "manifest.json").write_bytes(sealed.to_bytes())
    said = look_at_bundle(bundle, "default", allow_untrained=True)
    assert said.level is Level.WARNING
    assert "UNTRAINED" in said.found


def test_a_bundle_for_research_only_is_said_with_what_takes_its_place(bundle: Path) -> None:
    (bundle / "manifest.json").write_bytes(manifest(research=True).sealed("0" * 64).to_bytes())
    said = look_at_bundle(bundle, "default", allow_untrained=False)
    assert said.level is Level.WARNING
    assert "for research only; no opinion on 27 of OcuNet's labels" in said.found
    assert "model import --overwrite" in said.remedy


def test_what_is_wrong_with_a_candidate_is_no_fault_of_the_daemons(tmp_path: Path) -> None:
    said = at_most_a_warning(look_at_bundle(tmp_path, "default", allow_untrained=False))
    assert said.level is Level.WARNING
    assert "manifest.json" in said.found


@pytest.mark.parametrize(
    ("status", "said", "cards", "level", "words"),
    [
        (0, GOOD, False, Level.OK, "1.0 GiB of the 4.0 GiB that are free"),
        (0, GOOD, True, Level.FAULT, "torch cannot use it"),
        (0, GOOD | {"runtime": "torch bfloat16", "on_gpu": True}, True, Level.OK, "torch bfloat16"),
        (-9, {}, False, Level.FAULT, "status -9"),
        (0, {"failure": "RuntimeError", "memory": True}, False, Level.FAULT, "for want of memory"),
        (0, {"failure": "KeyError", "memory": False}, False, Level.FAULT, "fails with KeyError"),
        (None, {}, False, Level.FAULT, "not loaded after 120 s"),
    ],
)
def test_how_loading_went(status: int | None, said: dict[str, Any], cards: bool, level: Level, words: str) -> None:
    verdict = judge_loading(status, said, 4 * 2**30, cards=cards)
    assert verdict.level is level
    assert words in verdict.found
