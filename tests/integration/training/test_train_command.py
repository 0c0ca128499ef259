"""`ocunet-train train` from files to checkpoints, and how it says what is wrong."""

from __future__ import annotations

import csv
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.integration.training.small_run import LABELS, STEPS, SmallRun, make
from training.cli.main import app
from training.cli.train import INTERRUPTED
from training.data.manifest import Split, read_manifest, write_manifest
from training.errors import LeakageError, RunError
from training.learning.checkpoints import best_weights
from training.learning.learner import Learner


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return make(tmp_path_factory.mktemp("small"))


def invoke(small: SmallRun, name: str, *arguments: str, **optimisation: Any) -> Result:
    return CliRunner().invoke(app, small.command(name, *arguments, workers=0, **optimisation))


def test_a_signal_ends_a_run_with_a_status_of_its_own_and_it_goes_on(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, moved = Learner.move, []

    def moving(self: Learner, rate: float) -> Any:
        moved.append(rate)
        if len(moved) == 2:
            signal.raise_signal(signal.SIGTERM)
        return move(self, rate)

    monkeypatch.setattr(Learner, "move", moving)
    stopped = invoke(small, "stopped", epochs=1)
    assert stopped.exit_code == INTERRUPTED, stopped.output
    assert "interrupted; the same command with --resume goes on after 0 epochs" in stopped.output
    assert small.checkpoint("stopped")["position"]["step"] == 2  # the step under way was finished

    refused = invoke(small, "stopped", epochs=1)
    assert isinstance(refused.exception, RunError)
    assert "holds a run already" in str(refused.exception)

    done = invoke(small, "stopped", "--resume", epochs=1)
    assert done.exit_code == 0, done.output
    assert "stopped: finished after 1 epochs: best mAP 0." in done.output
    assert len(moved) == STEPS  # each step once
    assert best_weights(small.folder / "stopped")["head.classifier.13.bias"].shape == (len(LABELS),)


def test_what_cannot_be_read_is_named_by_its_line_and_left_out(tmp_path: Path) -> None:
    small = make(tmp_path)
    (tmp_path / "7.png").write_bytes(b"no picture")
    result = invoke(small, "run", epochs=1)
    assert result.exit_code == 0, result.output
    assert "left out: the manifest's line 9: " in result.output
    assert "47 photographs to learn from, 24 to judge by; 3 labels: DR, MH, NORMAL" in result.output
    with (tmp_path / "run" / "history.csv").open() as file:
        assert next(csv.DictReader(file))["step"] == "5"


@pytest.mark.parametrize("fault", ["unsplit", "leak"])
def test_splits_are_wanted_and_kept_apart(tmp_path: Path, fault: str) -> None:
    small = make(tmp_path)
    manifest = read_manifest(tmp_path / "manifest.csv")
    rows = list(manifest.rows)
    if fault == "leak":
        rows[1] = replace(rows[1], group=rows[0].group)
    else:
        rows = [replace(row, split=Split.NONE) for row in rows]
    write_manifest(replace(manifest, rows=tuple(rows)), tmp_path / "manifest.csv")
    result = invoke(small, "run")
    expected = (LeakageError, "two sides") if fault == "leak" else (RunError, "assign splits first")
    assert isinstance(result.exception, expected[0])
    assert expected[1] in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_labels_of_which_too_little_is_known_are_not_learned(tmp_path: Path) -> None:
    small = make(tmp_path)
    arguments = small.command("run")
    recipe = tmp_path / "run.yaml"
    recipe.write_text(
        recipe.read_text().replace("labels:", "minimum_positives: 1000\n  # labels:").replace("  - ", "  # ")
    )
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, RunError)
    assert "no label has 1000 positives" in str(result.exception)
