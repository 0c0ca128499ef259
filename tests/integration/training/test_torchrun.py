"""Two processes under torchrun, and one process with the same passes, learn the same."""

from __future__ import annotations

import pytest
import torch

from tests.integration.training.small_run import STEPS, SmallRun, make
from training.learning.checkpoints import BEST, LAST

TOLERANCE = 1e-6
"""Relative, of losses and weights: room for a torch whose all-reduce adds two numbers otherwise. Measured: 0."""
WAIT_S = 100


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Batches of 8: in two processes, and in one that accumulates two passes, at the same time."""
    small = make(tmp_path_factory.mktemp("small"))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training")
    two = small.start(*torchrun, *small.command("two", workers=0, epochs=2))
    one = small.start("-m", "training", *small.command("one", workers=0, epochs=2, accumulation=2))
    for process in (one, two):
        said, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, said
        assert said.count("photographs to learn from") == 1, "the first process speaks for all"
        assert "Warning" not in said
        assert said.count("finished after 2 epochs") == 1
    return small


def test_the_loss_curves_are_the_same(runs: SmallRun) -> None:
    one, two = runs.history("one"), runs.history("two")
    assert [line["step"] for line in two] == [str(STEPS), str(2 * STEPS)]
    for ours, theirs in zip(two, one, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert float(ours[name]) == pytest.approx(float(value), rel=TOLERANCE, nan_ok=True), name


def test_weights_their_average_and_the_running_statistics_are_the_same(runs: SmallRun) -> None:
    for file in (LAST, BEST):
        ours, theirs = runs.numbers("two", file), runs.numbers("one", file)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=TOLERANCE, atol=1e-7, msg=f"{file}: {name}")


def test_who_does_the_passes_makes_no_other_run(runs: SmallRun) -> None:
    ours, theirs = (runs.checkpoint(name)["identity"] for name in ("two", "one"))
    assert ours["passes"] == theirs["passes"] == 2
    assert ours["data"] == theirs["data"]
