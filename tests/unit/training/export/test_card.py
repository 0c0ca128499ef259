"""The card says what the bundle is for, what it learned from and what it is worth, in numbers that lie in its files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.model.manifest import Manifest, Provenance
from tests.unit.training.evaluation.judgements import make_random, make_summary
from tests.unit.training.export.conftest import LABELS, NOW, RECIPE
from training.cli.main import app
from training.errors import RunError
from training.export.card import model_card
from training.export.evaluated import read_evaluated


def figures(value: float | None) -> dict[str, object]:
    """As the evaluation writes them: null where undefined."""
    spread = None if value is None else 0.05
    one = {"value": value, "low": value and value - spread, "high": value and value + spread}
    return dict.fromkeys(("average_precision", "auroc", "f1", "sensitivity", "specificity", "brier"), one)


@pytest.fixture
def report(tmp_path, exported):
    content = {
        "bundle": {"digest": exported[1].digest, "operating_point": "default"},
        "data": {"splits": ["test"], "photographs": 40, "groups": 21, "scored": 38},
        "remarks": [{"weight": "doubt", "text": "Cannot be told apart from its source: PT."}],
        "means": figures(0.625),
        "labels": [
            {"label": "DR", "positives": 12, "negatives": 20, "figures": figures(0.875)},
            {"label": "PT", "positives": 0, "negatives": 20, "figures": figures(None)},
        ],
        "slices": [
            {"by": "camera", "slices": [{"value": "CAM", "scored": 3}]},
            {"by": "source", "slices": [{"value": "drawn", "scored": 30, "mean_auroc": 0.7}]},
        ],
        "what nobody asked for": [1],
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content))
    return path


def rows(card: str, section: str) -> dict[str, list[str]]:
    """The rows of a section's tables by their first cell, the other cells as they read."""
    part = card.split(f"## {section}\n")[1].split("\n## ", maxsplit=1)[0]
    lines = (re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if line.startswith("|"))
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_every_section_holds_what_the_manifest_says(exported, learned, report):
    made = exported[1]
    card = model_card(made, read_evaluated(report))
    assert card.startswith("# Model card: site-small\n")
    assert rows(card, "Labels")["PT"] == [BY_NAME["PT"].display, BY_NAME["PT"].caveat]
    for label in BY_NAME.values():
        assert (f"{label.name} ({label.display})" in card) == (label.name not in LABELS)
    data = rows(card, "Training data")
    assert data["drawn"] == ["2", "1", "1"]
    assert data["other"] == ["1", "0", "0"]
    assert data["all"] == ["3", "1", "1"]
    assert data["DR"] == ["1 / 1 / 1", "1 / 0 / 0", "0 / 1 / 0"]
    assert data["PT"] == ["0 / 1 / 2", "0 / 0 / 1", "1 / 0 / 0"]
    assert rows(card, "Calibration and thresholds")["DR"] == ["0.8", "0.400", "0.200"]
    assert rows(card, "Calibration and thresholds")["PT"] == ["1.25", "0.600", "0.400"]
    assert "- threshold of PT: too few positives" in card
    provenance = rows(card, "Provenance")
    assert provenance["bundle"] == [f"`{made.digest}`"]
    assert provenance["training data"] == [f"`{learned.data.fingerprint}`"]
    assert provenance["recipe"] == [f"`{RECIPE.digest}`"]
    details = rows(card, "Model details")
    assert details["started from"] == ["Random weights (seed 7)."]
    assert details["differs from OcuNet's recipe in"] == ["seed: 7; network.dropout: 0.2"]


def test_figures_come_with_their_intervals_and_doubts(exported, report):
    card = model_card(exported[1], read_evaluated(report))
    found = rows(card, "Metrics")
    assert found["DR"][:3] == ["12 / 20", "0.875 (0.825 to 0.925)", "0.875 (0.825 to 0.925)"]
    assert found["PT"][:2] == ["0 / 20", "undefined"], "what is undefined is not 0"
    assert found["mean"][1] == "0.625 (0.575 to 0.675)"
    assert found["drawn"] == ["30", "undefined", "0.700"]
    assert "CAM" not in found
    assert "- Cannot be told apart from its source: PT." in card
    assert "on the test split: 40 photographs of 21 groups" in card
    without = model_card(exported[1])
    assert "No evaluation on other photographs is given here." in without
    assert "mAP 0.75" in without


def test_it_reads_what_the_evaluation_writes(tmp_path):
    """The two packages know nothing of each other: the file between them is the contract."""
    judgement = make_random()
    summary = make_summary(judgement)
    path = tmp_path / "report.json"
    path.write_bytes(summary.to_json())
    read = read_evaluated(path)
    assert read.bundle_sha256 == judgement.bundle.digest
    assert (read.photographs, read.groups, read.scored) == tuple(
        summary.data[name] for name in ("photographs", "groups", "scored")
    )
    assert read.remarks == tuple(remark.text for remark in summary.remarks)
    assert [part.value for part in read.sources] == [
        part.value for cut in summary.slices if cut.by == "source" for part in cut.slices
    ]
    for label in summary.labels:
        figure = read.labels[label.label]
        assert (figure.positives, figure.negatives) == (label.positives, label.negatives)
        for name, estimate in label.figures.items():
            found = figure.figures[name]
            np.testing.assert_equal((found.value, found.low, found.high), (estimate.value, estimate.low, estimate.high))
    for name, estimate in summary.means.items():
        np.testing.assert_equal(read.means[name].value, estimate.value)
    found = rows(model_card(judgement.bundle, read), "Metrics")
    assert found["RD"][1] == "undefined", "nothing is known of it"
    assert "undefined" not in found["mean"], "every column is a figure of the evaluation's"


def test_the_authors_notes_stand_where_they_belong(exported):
    made = exported[1]
    source = made.provenance
    notes = source.notes | {
        "Intended_Use": "Triage of drawn eyes.",
        "not for": "Real eyes.",
        "who | when": "Nobody",
    }
    card = model_card(made.model_copy(update={"provenance": source.model_copy(update={"notes": notes})}))
    assert "## Intended use\n\nTriage of drawn eyes.\n" in card
    assert "## What it is not for\n\n- Real eyes.\n- A diagnosis" in card
    assert "## Known failures\n\ncataracts | haze\n" in card
    assert "## Training data\n\nresearch use only\n" in card
    assert rows(card, "Further notes")["who \\| when"] == ["Nobody"]


def test_a_bundle_that_says_nothing_has_a_card_that_says_so():
    made = Manifest(
        name="bare",
        created_at=NOW,
        architecture="resnet18",
        labels=("DR",),
        preprocess=RECIPE.preprocess,
        temperature=1.0,
        thresholds={"DR": 0.5},
        calibrated=False,
        trained=False,
        provenance=Provenance(notes={"seed": "20"}),
    ).sealed("0" * 64)
    card = model_card(made)
    assert "weights are untrained" in card
    assert "not fitted to these weights" in card
    assert "does not say what it was trained on" in card
    assert "None were recorded" in card
    assert "origin unknown" in card
    assert rows(card, "Further notes")["seed"] == ["20"]


def test_an_evaluation_of_another_bundle_is_refused(exported, report):
    content = json.loads(report.read_text())
    content["bundle"]["digest"] = "f" * 64
    report.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"another bundle .*ffffffffffff"):
        model_card(exported[1], read_evaluated(report))


@pytest.mark.parametrize("content", [None, b"\xff{", b"[1, 2]", b'{"labels": []}', b'{"labels": 3}'])
def test_what_is_no_report_is_refused(tmp_path, content):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"report\.json"):
        read_evaluated(path)


def test_the_command_writes_beside_the_bundle_and_never_into_it(tmp_path, exported, report):
    run = CliRunner()
    out = tmp_path / "docs" / "card.md"
    done = run.invoke(app, ["card", str(exported[0]), "--report", str(report), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text(encoding="utf-8") == model_card(exported[1], read_evaluated(report))
    assert [path.name for path in out.parent.iterdir()] == ["card.md"]
    assert run.invoke(app, ["card", str(exported[0])]).stdout == model_card(exported[1])
    refused = run.invoke(app, ["card", str(exported[0]), "--out", str(exported[0] / "card.md")])
    assert isinstance(refused.exception, RunError)
    assert {path.name for path in exported[0].iterdir()} == {"model.safetensors", "manifest.json"}
