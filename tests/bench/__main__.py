"""`python -m tests.bench [NAME...]`: run benchmarks, all without a name. Ratios count, milliseconds inform."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = (
    "stages",
    "preprocess",
    "data_path",
    "forward",
    "heatmap",
    "gpu",
    "end_to_end",
    "memory",
    "quality",
    "drift",
    "studies",
    "receive",
    "deliver",
    "latency",
    "queue",
    "claims",
    "hosts",
)

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        importlib.import_module(f"tests.bench.{name}").main()
