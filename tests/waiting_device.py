"""A worker whose network only waits, as a processor waits for a graphics card: for tests and benchmarks of many hosts.

`python -m tests.waiting_device SECONDS AHEAD ARGUMENTS...` is `ocunet-pacs ARGUMENTS...` with a network that takes
SECONDS a photograph and says the same of each, on a host whose clock is AHEAD seconds ahead of the others'.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ocunet_pacs.app import process, work
from ocunet_pacs.cli.main import run
from ocunet_pacs.jobs import clock
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ocunet_pacs.model.runtime import Numbers
    from ocunet_pacs.settings import Settings


class Waits:
    """A `Runtime` that computes nothing: (n, labels) logits of which one is positive, (n, labels, 12, 12) maps."""

    name = "a device that waits"

    def __init__(self, seconds: float, labels: int) -> None:
        self._seconds = seconds
        self._labels = labels

    def __call__(self, batch: NDArray[Any]) -> Callable[[], Numbers]:
        time.sleep(self._seconds * len(batch))
        logits = np.full((len(batch), self._labels), -4.0, np.float32)
        logits[:, 0] = 4.0
        maps = np.random.default_rng(0).random((len(batch), self._labels, 12, 12), np.float32)
        return lambda: (logits, maps)

    def give_back(self) -> None:
        pass


def wait_instead(seconds: float) -> None:
    """Have every worker of this process wait for `seconds` a photograph."""

    def load(settings: Settings) -> Predictor:
        manifest = read_manifest(settings.model.bundle)
        return Predictor(manifest, cast("Any", Waits(seconds, len(manifest.labels))))

    vars(work)["load_predictor"] = load


def go_ahead(seconds: float) -> None:
    """Set the clock of this process ahead, as if the machine's were wrong."""
    difference = timedelta(seconds=seconds)

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz or UTC) + difference

    for module in (process, clock):
        vars(module)["datetime"] = Wrong


if __name__ == "__main__":
    wait_instead(float(sys.argv[1]))
    go_ahead(float(sys.argv[2]))
    del sys.argv[1:3]
    run()
