"""`config/training/research-bundle.yaml`, from the list of photographs to a bundle and all that is said of it.

The recipe itself with a small network, few epochs and drawn eyes: what is proved is the way, not the figures.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import safetensors.numpy
import torch
from typer.testing import CliRunner

from ocunet_pacs.drift.bundle_reference import read_bundle_reference
from ocunet_pacs.model.bundle import WEIGHTS
from ocunet_pacs.model.manifest import MANIFEST, read_manifest
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import HALF_TOLERANCE
from tests.conftest import PROJECT
from tests.integration.training.small_run import KILLED
from tests.planted import FOLDERS, write_folders
from training.cli.main import app
from training.stages import HALF_MOVES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = PROJECT / "config" / "training" / "research-bundle.yaml"
PATIENTS = 24
SMALL = {
    "network.architecture": "mobilenetv3_small_050",
    "preprocess.image_size": 64,
    "data.validation": 0.3,
    "data.test": 0.3,
    "data.workers": 0,
    "optimisation.epochs": 2,
    "optimisation.batch_size": 8,
    "optimisation.warmup_epochs": 0,
    "optimisation.checkpoint_steps": 2,
    "evaluation.without": "[tvhl]",
}
FOUND = dict(
    zip(FOLDERS, ("NORMAL", "Disease_Risk|DR", "Disease_Risk|CATARACT", "Disease_Risk|GLAUCOMA|MYA"), strict=True)
)
DISEASES = {"Disease_Risk", "DR", "CATARACT", "GLAUCOMA", "MYA"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list as the public photographs have one: two sources, a patient's photographs in one group, gaps."""
    folder = tmp_path_factory.mktemp("photographs")
    write_folders(folder / "images", PATIENTS, times=1)
    with (folder / "photographs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "dataset", "group", "positive", "negative"))
        for path in sorted((folder / "images").rglob("*.png")):
            shown = path.parent.name
            patient = path.stem.partition("_")[0]
            source = ("tvhl", "rahim")[int(patient[1:]) % 2]
            absent = DISEASES if shown == "normal" else {"NORMAL"}
            rows.writerow((f"images/{shown}/{path.name}", source, patient, FOUND[shown], "|".join(sorted(absent))))
    return folder / "photographs.csv"


def arguments(photographs: Path, out: Path, *more: str) -> list[str]:
    changes = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    return ["run", str(RECIPE), "--partial", str(photographs), "--out", str(out), "--draws", "20", *changes, *more]


@pytest.mark.timeout(600)  # a dozen stages, one of them in a process that imports torch again
def test_the_recipe_gives_a_bundle_its_page_and_its_card_though_it_was_killed(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    given = arguments(photographs, out, "--device", "cpu")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "5", *given],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    monkeypatch.setattr("training.stages.FEWEST", 20)
    refused = CliRunner().invoke(app, given)
    assert "resume it, or name another folder" in str(refused.exception)
    done = CliRunner().invoke(app, [*given, "--resume"])
    assert done.exit_code == 0, (done.output, done.exception)

    # The bundle: what the wheel may carry, and the daemon loads.
    bundle = out / "bundle"
    assert {path.name for path in bundle.iterdir()} == {WEIGHTS, MANIFEST, "drift.json"}
    stored = safetensors.numpy.load_file(bundle / WEIGHTS)
    assert sum(one.nbytes for one in stored.values() if one.dtype == "float16") > sum(
        one.nbytes for one in stored.values() if one.dtype == "float32"
    )
    made = read_manifest(bundle)
    assert 0 < made.provenance.metrics[HALF_MOVES] <= HALF_TOLERANCE
    assert set(made.label_temperatures) == set(made.labels) == {*DISEASES, "NORMAL"}
    served = Predictor.load(bundle, "cpu").bundle
    assert (served.name, served.research, served.trained) == ("research bundle", True, True)
    reference = read_bundle_reference(bundle)
    assert reference is not None
    assert set(reference.scores.measures) == {*made.labels, "every label"}

    # What is said of it.
    report = json.loads((out / "evaluation" / "report.json").read_text())
    assert {one["label"] for one in report["labels"] if one["figures"]["auroc"]["low"] is not None} >= {"DR", "NORMAL"}
    assert {one["source"] for one in report["healthy"]} == {"tvhl", "rahim"}
    [without] = json.loads((out / "without.json").read_text())
    assert (without["source"], {one["label"] for one in without["labels"]}) == ("tvhl", {*made.labels})
    for one in without["labels"]:
        lead = one["within"]["value"] - one["without"]["value"]
        assert one["lead"]["value"] == pytest.approx(lead)
    card = (out / "card.md").read_text()
    for words in ("Research use only, not for clinical use", "| tvhl | DR |", "of the source alone", HALF_MOVES):
        assert words in card

    # All of it is there, so nothing is done again.
    made_once = [bundle / WEIGHTS, bundle / "drift.json", out / "evaluation" / "report.json", out / "without.json"]
    before = [path.stat().st_mtime_ns for path in made_once]
    assert CliRunner().invoke(app, [*given, "--resume"]).exit_code == 0
    assert [path.stat().st_mtime_ns for path in made_once] == before


def test_a_source_without_test_photographs_is_named_before_anything_is_trained(
    photographs: Path, tmp_path: Path
) -> None:
    given = arguments(photographs, tmp_path / "run", "--set", "evaluation.without=[palm]")
    done = CliRunner().invoke(app, given)
    assert "evaluation.without: the test split has no photographs of a source 'palm'" in str(done.exception)
    assert not (tmp_path / "run" / "training").exists()
