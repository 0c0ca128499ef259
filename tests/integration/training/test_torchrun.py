"""Two processes under torchrun, and one process with the same passes, learn the same."""

from __future__ import annotations

import pytest
import torch

from tests.integration.training.small_run import STEPS, SmallRun, make
from training.learning.checkpoints import BEST, LAST

TOLERANCE = 1e-6
"""Relative, of losses and weights, where a step has two passes."""
REORDERED = 1e-4
"""Relative, of an epoch's losses, where it has four: their gradients are added in another order. Measured: 4.4e-6."""
WAIT_S = 200


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Two runs, of two passes a step and of four: each in two processes, and in one; all at the same time."""
    small = make(tmp_path_factory.mktemp("small"))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    started = []
    for name, launcher, processes in (("two", torchrun, 2), ("one", (), 1)):
        program = (*launcher, "-m", "training")
        few = small.command(f"{name}-2", workers=0, epochs=2, accumulation=2 // processes)
        many = small.command(f"{name}-4", workers=0, epochs=1, batch_size=16, accumulation=4 // processes)
        started += [small.start(*program, *few), small.start(*program, *many)]
    try:
        for process in started:
            said, _ = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, said
            assert "Warning" not in said
            assert said.count("photographs to learn from") == 1, "the first process speaks for all"
    finally:
        for process in started:
            process.kill()
            process.wait()
    return small


@pytest.mark.timeout(240)  # its processes import torch, on a machine that may do other things
@pytest.mark.parametrize(
    ("passes", "steps", "tolerance", "but"),
    [(2, [STEPS, 2 * STEPS], TOLERANCE, set()), (4, [3], REORDERED, {"gradient_norm"})],
)
def test_the_loss_curves_are_the_same(
    runs: SmallRun, passes: int, steps: list[int], tolerance: float, but: set[str]
) -> None:
    """`but`: Adam moves a weight whose gradient is only rounding by a whole step, after which norms part."""
    one, two = runs.history(f"one-{passes}"), runs.history(f"two-{passes}")
    assert [int(line["step"]) for line in two] == steps
    for ours, theirs in zip(two, one, strict=True):
        assert ours.keys() == theirs.keys()
        assert but < theirs.keys()
        for name in theirs.keys() - but:
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=tolerance, nan_ok=True), name


@pytest.mark.parametrize("measured", ["loss", "gradient_norm"])
def test_the_order_of_adding_gradients_shows_only_after_steps_were_made(runs: SmallRun, measured: str) -> None:
    two, one = (runs.steps(name, measured) for name in ("two-4", "one-4"))
    assert [step for step, _ in two] == [step for step, _ in one] == [1, 2, 3]
    assert two[0][1] == pytest.approx(one[0][1], rel=TOLERANCE)


def test_weights_their_average_and_the_running_statistics_are_the_same(runs: SmallRun) -> None:
    for file in (LAST, BEST):
        ours, theirs = runs.numbers("two-2", file), runs.numbers("one-2", file)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=TOLERANCE, atol=1e-7, msg=f"{file}: {name}")


def test_who_does_the_passes_makes_no_other_run(runs: SmallRun) -> None:
    ours, theirs = (runs.checkpoint(name)["identity"] for name in ("two-4", "one-4"))
    assert ours["passes"] == theirs["passes"] == 4
    assert ours["data"] == theirs["data"]
