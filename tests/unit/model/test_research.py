"""The research bundle that a release may ship: where it lies, and how a daemon comes to serve it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ocunet_pacs.cli.model import app
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model import research
from ocunet_pacs.model.bundle import WEIGHTS, write_bundle
from ocunet_pacs.model.manifest import MANIFEST, read_manifest
from ocunet_pacs.model.onnx_network import ONNX
from ocunet_pacs.model.predictor import Predictor
from tests.unit.model.conftest import manifest
from tests.unit.model.test_checkpoint import NAMES, checkpoint, save

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.model.network import OcuNet


@pytest.fixture
def shipped(tmp_path: Path, network: OcuNet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package would have it, with a small bundle in it."""
    folder = tmp_path / "package" / "research_bundle"
    write_bundle(folder, network.state_dict(), manifest(name="research bundle", research=True), prepare=False)
    (folder / "drift.json").write_text("{}")
    monkeypatch.setattr(research, "FOLDER", folder)
    return folder


def test_what_ships_in_the_package_is_small_and_for_research_only() -> None:
    folder = research.research_bundle()
    if folder is None:
        pytest.skip("this release ships none")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 30 << 20
    made = read_manifest(folder)
    assert made.trained
    assert made.research
    assert made.calibrated


def test_a_copy_is_served_and_a_checkpoint_takes_its_place_by_one_command(shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "active"
    copied = CliRunner().invoke(app, ["research", str(out)], catch_exceptions=False)
    assert "research bundle, trained, for research only" in copied.output
    assert {path.name for path in out.iterdir()} > {WEIGHTS, MANIFEST, ONNX, "drift.json"}
    predictor = Predictor.load(out, "cpu")
    assert predictor.bundle.research
    assert predictor.bundle.digest == read_manifest(shipped).digest
    again = CliRunner().invoke(app, ["research", str(out)])
    assert isinstance(again.exception, BundleError)
    source = save(tmp_path / "c.pth", checkpoint(NAMES[:4]))
    CliRunner().invoke(app, ["import", str(source), "--out", str(out), "--overwrite"], catch_exceptions=False)
    assert not read_manifest(out).research


def test_without_one_the_command_says_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research, "FOLDER", tmp_path / "none")
    assert research.research_bundle() is None
    with pytest.raises(BundleError, match="ships no research bundle: import a checkpoint"):
        research.copy_research_bundle(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_not_for_research_says_nothing_of_it() -> None:
    """So the bundles of earlier releases keep their digests."""
    assert "research" not in json.loads(manifest().sealed("0" * 64).to_bytes())
    assert json.loads(manifest(research=True).sealed("0" * 64).to_bytes())["research"] is True
