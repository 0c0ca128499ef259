"""Images a second of our runtime, and of our whole predictor, against other runtimes, in the default install.

`ours, forward alone` is the forward pass as the others do it, pixels to logits: the bar, at least 0.95 of the best, is
for this. `ours` is what the product does: prepared photographs to probabilities and thirty maps. The ceiling is what a
large float32 matrix product reaches on this machine; EfficientNet-B3 at 384 takes 5.64 GFLOP a picture. torch.compile
is left out: it takes 40 s to compile and is slower than ONNX Runtime.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import cpu_count
from tests.bench import contenders
from tests.bench.rounds import compared, measure_apart, say

if TYPE_CHECKING:
    from tests.bench.rounds import Factory

ROUNDS = {1: 41, 8: 9}
GFLOP = 5.64
PRODUCT = "matrix product"
OURS, OUR_FORWARD = "ours", "ours, forward alone"


def main() -> None:
    """Print a block a batch size."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = contenders.bundle_in(Path(folder))
        product = Predictor.load(bundle, "cpu", allow_untrained=True)
        say(f"forward: ours is {product.runtime}, batch size {product.batch_size}; {cpu_count()} threads; bar 0.95")
        del product
        for count, rounds in ROUNDS.items():
            _report(count, measure_apart(_makers(bundle, count), rounds))


def _makers(bundle: Path, count: int) -> dict[str, Factory]:
    makers: dict[str, Factory] = {
        OURS: partial(contenders.ours, bundle, count),
        OUR_FORWARD: partial(contenders.forward_alone, bundle, count),
        "torch": partial(contenders.eager, bundle, count, channels_last=False),
        "torch channels_last": partial(contenders.eager, bundle, count, channels_last=True),
        "onnxruntime, its own defaults": partial(contenders.onnxruntime, bundle, count),
    }
    if importlib.util.find_spec("openvino"):
        makers["OpenVINO"] = partial(contenders.openvino, bundle, count)
    else:
        say("  OpenVINO is not installed")
    return makers | {PRODUCT: contenders.matrix_product}


def _report(count: int, times: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    ceiling = contenders.GFLOP_PRODUCT / medians[PRODUCT]
    say(f"  batch {count}: ceiling {ceiling:.0f} GFLOP/s = {ceiling / GFLOP:.1f} images/s")
    runtimes = [name for name in times if name != PRODUCT]
    for name in runtimes:
        speed, most = count / medians[name], count / min(times[name])
        share = 100 * speed * GFLOP / ceiling
        say(f"    {name:32}{speed:8.1f} images/s, at most {most:5.1f}{share:7.0f} % of the ceiling")
    best = min((name for name in runtimes if name not in {OURS, OUR_FORWARD}), key=medians.__getitem__)
    for name in (OUR_FORWARD, OURS):
        say(f"    {name} by the best other ({best}): {compared(times, best, name)}")
