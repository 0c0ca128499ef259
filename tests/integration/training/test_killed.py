"""A run that is killed and resumed, each in a process of its own, ends with the weights of one that was not."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from tests.integration.training.small_run import KILLED, STEPS, make
from training.learning.checkpoints import BEST, LAST

WAIT_S = 200


@pytest.mark.timeout(240)  # four processes that import torch, on a machine that may do other things
def test_killed_in_mid_epoch_and_resumed_the_weights_are_the_same(tmp_path: Path) -> None:
    small = make(tmp_path)
    undisturbed = small.start("-m", "training", *small.command("undisturbed"))

    chance = random.Random(6)
    steps = STEPS * chance.randrange(1, 3) + chance.choice((3, 5))  # the last checkpoint is one of them behind
    said, status = ended(small.start("-c", KILLED, str(steps), *small.command("killed")))
    assert status == -signal.SIGKILL, said
    position = small.checkpoint("killed")["position"]
    assert (position["epoch"], position["step"]) == (steps // STEPS + 1, steps % STEPS - 1)

    said, status = ended(small.start("-m", "training", *small.command("killed", "--resume")))
    assert status == 0, said
    assert f"goes on in epoch {position['epoch']} after step {position['step']}" in said

    said, status = ended(undisturbed)
    assert status == 0, said
    assert small.history("killed") == small.history("undisturbed")
    assert [step for step, _ in small.steps("killed", "loss")] == list(range(1, 3 * STEPS + 1))
    for file in (LAST, BEST):
        ours, theirs = small.numbers("killed", file), small.numbers("undisturbed", file)
        assert ours.keys() == theirs.keys()
        assert [key for key, value in theirs.items() if not torch.equal(ours[key], value)] == []


def ended(process: subprocess.Popen[str]) -> tuple[str, int]:
    """What it said and its status, when it has ended, and with it what it started: that could speak, too."""
    said, _ = process.communicate(timeout=WAIT_S)
    return said, process.returncode
