"""`ocunet-train compare` on the folders of two evaluations: what it prints, what it writes, what it refuses."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from tests.unit.training.evaluation.test_compare import another
from tests.unit.training.metrics.drawn import judged
from training.cli.main import app
from training.errors import ComparisonError, TrainingError
from training.evaluation.compare import compare


@pytest.fixture
def evaluations(tmp_path):
    """Two folders as `evaluate` writes them, with a remark of each weight on the second."""
    first = dataclasses.replace(judged(rows=60), name="old", bundle="a" * 64)
    second = dataclasses.replace(another(first), name="new")
    for name, said in (("a", first), ("b", second)):
        said.save(tmp_path / name / "judged.npz")
    remarks = [{"weight": weight, "text": f"a {weight}"} for weight in ("void", "doubt", "note")]
    (tmp_path / "a" / "report.json").write_text(json.dumps({"remarks": []}))
    (tmp_path / "b" / "report.json").write_text(json.dumps({"remarks": remarks}))
    return first, second


def run(tmp_path, *arguments):
    given = [one if one.startswith("-") else str(tmp_path / one) for one in arguments]
    return CliRunner().invoke(app, ["compare", *given], env={"COLUMNS": "160"})


def test_it_prints_both_sides_and_writes_every_figure(tmp_path, evaluations):
    done = run(tmp_path, "a", "b", "--draws=50", f"--out={tmp_path / 'deep' / 'found.json'}")
    assert done.exit_code == 0, done.output
    expected = compare(*evaluations, draws=50)
    assert json.loads((tmp_path / "deep" / "found.json").read_bytes()) == json.loads(expected.to_json())
    assert "old to new: 60 photographs of 14 patients" in done.stdout
    mean = expected.means["auroc"]
    line = next(line for line in done.stdout.splitlines() if line.strip().startswith("AUROC"))
    assert f"{mean.first:.3f}" in line
    assert f"{mean.difference.value:+.3f}" in line
    assert f"{mean.difference.low:+.3f} to {mean.difference.high:+.3f}" in line
    line = next(line for line in done.stdout.splitlines() if line.strip().startswith("MH"))
    assert f"+{expected.labels['MH'].decisions.newly_right}" in line.split()


def test_what_speaks_against_the_judges_is_said_and_notes_are_not(tmp_path, evaluations):
    done = run(tmp_path, "a", "b", "--draws=5")
    assert "b: a void" in done.stderr
    assert "b: a doubt" in done.stderr
    assert "a note" not in done.output
    (tmp_path / "a" / "report.json").unlink()
    assert "a: nothing says whether" in run(tmp_path, "a", "b", "--draws=5").stderr


def test_scores_alone_are_enough(tmp_path, evaluations):
    assert run(tmp_path, "a/judged.npz", "b/judged.npz", "--draws=5").exit_code == 0


def test_what_is_not_compared_is_counted(tmp_path, evaluations):
    evaluations[1].select(range(50)).select_labels(["DR", "MH"]).save(tmp_path / "b" / "judged.npz")
    done = run(tmp_path, "a", "b", "--draws=5")
    assert "only in old, so not compared: 10 photographs, ARMD, DN" in done.stdout
    assert "only in new" not in done.stdout


def test_what_is_no_evaluation_is_refused(tmp_path, evaluations):
    (tmp_path / "c").mkdir()
    assert isinstance(run(tmp_path, "a", "c").exception, ComparisonError)
    assert "cannot be read" in str(run(tmp_path, "a", "none").exception)
    (tmp_path / "a" / "report.json").write_text("[]")
    assert "is no report" in str(run(tmp_path, "a", "b").exception)
    (tmp_path / "c" / "manifest.json").write_text("{}")
    done = run(tmp_path, "c", "b")
    assert isinstance(done.exception, TrainingError)
    assert "--manifest" in str(done.exception)
