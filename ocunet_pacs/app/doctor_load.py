"""A process of its own that loads a bundle as a worker does, runs the network once, and says how that went.

By itself, so that a bundle that crashes, or needs more memory than there is, ends this and not `doctor`. Questions come
as JSON on standard input, the answer goes as one line of JSON to standard output.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from ocunet_pacs.app.process import stand_back
from ocunet_pacs.domain.errors import BundleError

_WORDS_FOR_IT = (
    "allocate memory",
    "not enough memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "failed to map segment",
)


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """`problem` in a sentence, or `runtime`, `on_gpu` and `peak_bytes`. Anything else that goes wrong is raised."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch's, where it is needed
    from ocunet_pacs.model.predictor import Predictor  # noqa: PLC0415 - after the limit is set, which counts its memory

    try:
        predictor = Predictor.load(
            Path(asked["bundle"]),
            asked["device"],
            allow_untrained=asked["allow_untrained"],
            batch_size=asked["batch_size"],
            operating_point=asked["operating_point"],
        )
        predictor.warm_up()
    except BundleError as error:
        return {"problem": str(error)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"runtime": predictor.runtime, "on_gpu": predictor.on_gpu, "peak_bytes": peak}


def _is_memory(error: Exception) -> bool:
    """torch, ONNX Runtime and the loader of shared objects have no type of their own for it."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _WORDS_FOR_IT)


def main() -> None:
    """One question, one answer."""
    asked = json.load(sys.stdin)
    stand_back(asked["memory_bytes"])
    try:
        said = answer(asked)
    except Exception as error:  # noqa: BLE001 - by its type it is part of the answer
        said = {"failure": type(error).__name__, "memory": _is_memory(error)}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
