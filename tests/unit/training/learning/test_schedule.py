"""The learning rate goes up in a line and down in half a cosine, as torch's own schedulers have it."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from training.learning.schedule import learning_rate


@pytest.mark.parametrize(("steps", "warmup"), [(40, 8), (40, 1), (7, 2)])
def test_every_step_is_torchs(steps, warmup):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    rising = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1 or 1)
    falling = CosineAnnealingLR(optimizer, steps - warmup, eta_min=1e-7)
    # torch's warm-up passes through its end factor once more at the milestone: the cosine starts one step later.
    chained = SequentialLR(optimizer, [rising, falling], [warmup])
    for step in range(steps):
        expected = optimizer.param_groups[0]["lr"]
        said = learning_rate(step, steps=steps, warmup_steps=warmup, peak=3e-4, final=1e-7)
        assert said == pytest.approx(expected, rel=1e-6), step
        optimizer.step()
        chained.step()


def test_the_ends():
    assert learning_rate(0, steps=100, warmup_steps=10, peak=1.0, final=0.1) == pytest.approx(0.1)
    assert learning_rate(9, steps=100, warmup_steps=10, peak=1.0, final=0.1) == 1.0
    assert learning_rate(10, steps=100, warmup_steps=10, peak=1.0, final=0.1) == 1.0
    assert learning_rate(55, steps=100, warmup_steps=10, peak=1.0, final=0.1) == pytest.approx(0.55)
    assert learning_rate(100, steps=100, warmup_steps=10, peak=1.0, final=0.1) == pytest.approx(0.1)
    assert learning_rate(101, steps=100, warmup_steps=10, peak=1.0, final=0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0), (10, 10), (3, 10), (1, 0)])
def test_short_runs_have_a_rate_too(steps, warmup):
    rates = [learning_rate(n, steps=steps, warmup_steps=warmup, peak=3e-4, final=1e-7) for n in range(steps)]
    assert all(0 < rate <= 3e-4 for rate in rates)
