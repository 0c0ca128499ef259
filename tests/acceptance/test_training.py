"""From folders of photographs to a bundle that the daemon serves, through the commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PROJECT
from tests.planted import FOLDERS, write_folders
from training.data.manifest import read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
name: planted
seed: 7
preprocess: {image_size: 96}
data: {minimum_positives: 10, validation: 0.2, test: 0.25, workers: 1}
network: {architecture: mobilenetv3_small_050, start: nothing, dropout: 0.1}
augmentation: {rand_augment: 0, rotation: 15, zoom: [0.9, 1.1], erasing: 0}
optimisation: {epochs: 9, batch_size: 16, learning_rate: 0.003, warmup_epochs: 1, ema: 0.9, sampler: shuffled}
calibration: {operating_points: [sensitivity]}
notes: {terms: drawn eyes; nothing of a patient}
"""
PATIENTS = 30


def command(program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    module = {"ocunet-train": "training", "ocunet-pacs": "ocunet_pacs"}[program]
    ran = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, f"{program} {arguments}: {ran.stdout}{ran.stderr}"
    return ran


def name_patients(path: Path) -> None:
    """Say in the manifest whose eye each photograph is, as the clinic would know: a folder of a class does not."""
    manifest = read_manifest(path)
    rows = tuple(
        replace(row, group=f"patient {row.image.rpartition('/p')[2].partition('_')[0]}") for row in manifest.rows
    )
    write_manifest(replace(manifest, rows=rows), path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_folders_become_a_bundle_that_knows_what_was_planted(tmp_path):
    photographs = write_folders(tmp_path / "photographs", PATIENTS)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    command("ocunet-train", "manifest", "--folders", "photographs", "--out", "all.csv", cwd=tmp_path)
    name_patients(tmp_path / "all.csv")
    command("ocunet-train", "run", "recipe.yaml", "--manifest", "all.csv", "--out", "run", "--draws", 50, cwd=tmp_path)

    rows = read_manifest(tmp_path / "run" / "manifest.csv").rows
    assert (len(rows), len({row.group for row in rows})) == (photographs, PATIENTS)
    assert len({(row.group, row.split) for row in rows}) == PATIENTS, "no eye is on two sides"
    report = json.loads((tmp_path / "run" / "evaluation" / "report.json").read_text())
    assert report["means"]["average_precision"]["value"] >= 0.9, report["means"]
    assert (tmp_path / "run" / "evaluation" / "report.html").stat().st_size > 10_000
    assert "planted" in (tmp_path / "run" / "card.md").read_text()

    # The daemon's own command, on photographs of eyes that the network has never seen.
    unseen = tmp_path / "unseen"
    write_folders(unseen, 2, times=1, first=500)
    said = command("ocunet-pacs", "predict", unseen, "--bundle", "run/bundle", "--json", cwd=tmp_path)
    # A label is told from normal eyes alone: of another disease's eyes nobody said that it is absent there.
    scored = {entry["path"]: entry["labels"] for entry in json.loads(said.stdout)}

    def scores(folder: str, label: str) -> list[float]:
        return [labels[label]["logit"] for path, labels in scored.items() if f"/{folder}/" in path]

    for folder, label in zip(FOLDERS[1:], ("DR", "CATARACT", "GLAUCOMA"), strict=True):
        assert min(scores(folder, label)) > max(scores("normal", label)), (label, scored)
        assert min(scores(folder, "Disease_Risk")) > max(scores("normal", "Disease_Risk")), (label, scored)
        assert max(scores(folder, "NORMAL")) < min(scores("normal", "NORMAL")), (label, scored)
    shown = command("ocunet-pacs", "model", "show", "run/bundle", cwd=tmp_path).stdout
    assert "sensitivity" in shown
