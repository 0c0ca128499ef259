"""The commands of `ocunet-train` that docs/training.md gives for each step by itself, one after the other."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.integration.training.small_run import LABELS, SmallRun, make
from tests.unit.training.harvest.clinic import photograph_of, put
from training.cli.main import app
from training.errors import RecipeError
from training.recipe import read_recipe

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return make(tmp_path_factory.mktemp("small"))


def train(*arguments: object) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def test_from_a_run_to_a_bundle_with_its_page_its_card_and_a_comparison(small: SmallRun) -> None:
    folder, manifest = small.folder, ("--manifest", small.folder / "manifest.csv")
    train(*small.command("run", workers=0, epochs=1))
    said = train("export", folder / "run", *manifest, "--cache", folder / "cache", "--out", folder / "bundle")
    assert f"{len(LABELS)} labels" in said.output
    asked = ("--split", "validation", "--draws", 20, "--workers", 0, "--device", "cpu")
    train("evaluate", folder / "bundle", folder / "manifest.csv", "--out", folder / "evaluation", *asked)
    report = folder / "evaluation" / "report.json"
    train("card", folder / "bundle", "--report", report, "--out", folder / "card.md")
    card = (folder / "card.md").read_text()
    assert card.startswith("# ")
    assert all(label in card for label in LABELS)
    train("compare", folder / "bundle", folder / "bundle", *manifest, *asked, "--out", folder / "difference.json")
    means = json.loads((folder / "difference.json").read_text())["means"]
    assert {mean["difference"]["value"] for mean in means.values() if mean["difference"]["value"] is not None} <= {0.0}


def test_what_was_tried_becomes_a_table_that_outlives_the_runs(small: SmallRun) -> None:
    folder = small.folder
    data = ("--manifest", folder / "manifest.csv", "--cache", folder / "cache", "--device", "cpu")
    table = folder / "tried.csv"
    for name, change in (("plain", "loss.kind=bce"), ("drawn-out", "optimisation.ema=0.5")):
        train(*small.command(name, "--set", change, workers=0, epochs=1))
        said = train("tried", folder / name, *data, "--out", table).output
        assert name in said
    with table.open(newline="") as file:
        plain, other = csv.DictReader(file)
    assert (plain["run"], other["run"], plain["epochs"], plain["best_epoch"]) == ("plain", "drawn-out", "1", "1")
    assert "loss.kind=bce" in plain["differs"]
    assert "optimisation.ema=0.5" in other["differs"]
    means = [float(one["mean_auroc"]) for one in (plain, other)]
    # All that is known of DR in this validation split is that it is absent.
    each = [[one[f"AUROC {label}"] for label in LABELS] for one in (plain, other)]
    assert [values.count("") for values in each] == [1, 1]
    assert means == pytest.approx([sum(map(float, filter(None, values))) / 2 for values in each], abs=1e-3)
    refused = CliRunner().invoke(app, ["tried", str(folder), *map(str, data)])
    assert isinstance(refused.exception, RecipeError), "no run lies there"


def test_the_recipe_that_is_printed_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(train("recipe").stdout)
    assert read_recipe(tmp_path / "recipe.yaml").preprocess.image_size == 384


def test_a_store_and_a_doctors_verdicts_make_a_corpus(tmp_path: Path) -> None:
    uid = put(tmp_path / "store", photograph_of(1))
    (tmp_path / "patient.key").write_bytes(bytes(32))
    with (tmp_path / "grading.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("sop_instance_uid", "positive", "negative"), (uid, "DR", "MH")])
    (tmp_path / "signed-reports").mkdir()
    options = ("--verdicts", tmp_path / "grading.csv", "--verified", tmp_path / "signed-reports")
    said = train(
        "harvest", tmp_path / "store", *options, "--key", tmp_path / "patient.key", "--out", tmp_path / "corpus"
    )
    assert "1 photographs of 1 patients, out of 1 in the store" in said.output
    assert "Mustermann" not in (tmp_path / "corpus" / "manifest.csv").read_text()
