"""What explanations cost: probabilities and all 30 maps (at 12 x 12) as a multiple of the forward pass alone.

The forward pass alone is the same graph on the same runtime with the same options, cut off behind the logits. Bar:
1.05. Usual Grad-CAM (a whole backward pass, one label, eager torch) stands beside it.
"""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path

from tests.bench import contenders
from tests.bench.rounds import compared, measure_apart, say

ROUNDS = {1: 41, 8: 9}
USUAL_ROUNDS = 3
FORWARD = "forward alone"


def main() -> None:
    """Print a block a batch size."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = contenders.bundle_in(Path(folder))
        say("heatmap: bar 1.05; median ratio (middle half of the rounds; of the least times)")
        for count, rounds in ROUNDS.items():
            makers = {
                FORWARD: partial(contenders.forward_alone, bundle, count),
                "forward and 30 maps": partial(contenders.explained, bundle, count),
            }
            _report(count, measure_apart(makers, rounds))
        makers = {
            FORWARD: partial(contenders.forward_alone, bundle, 1),
            "usual Grad-CAM, 1 label": partial(contenders.usual_grad_cam, bundle),
        }
        _report(1, measure_apart(makers, USUAL_ROUNDS, runs=1))


def _report(count: int, times: dict[str, list[float]]) -> None:
    for name, values in times.items():
        milliseconds, said = 1000 * statistics.median(values), compared(times, name, FORWARD)
        say(f"  batch {count}  {name:26}{milliseconds:9.1f} ms   {said} x forward")
