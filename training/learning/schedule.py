"""The learning rate of each optimiser step."""

from __future__ import annotations

import math


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, final: float) -> float:
    """The rate for optimiser step `step`, from 0, of `steps`: linear warm-up to `peak`, then half a cosine to `final`.

    Step 0 takes peak / warmup_steps, step warmup_steps - 1 takes `peak`; `final` would be step `steps`, the one after
    the last (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    passed = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return final + 0.5 * (peak - final) * (1.0 + math.cos(math.pi * passed))
