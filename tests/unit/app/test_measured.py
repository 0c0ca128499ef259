"""The network's passes as Prometheus sees them."""

from __future__ import annotations

import pytest

from ocunet_pacs.app.measured import MEMORY_EVERY_SECONDS, MeasuredClassifier
from ocunet_pacs.metrics import Metrics
from tests.unit.pipeline.fakes import Classifier


class Network(Classifier):
    """Takes three seconds a pass on the clock that it moves."""

    now = 0.0

    def classify(self, photographs):
        self.now += 3.0
        if not photographs:
            raise RuntimeError("nothing to do")
        return list(photographs)


def test_each_pass_is_measured_and_memory_now_and_then() -> None:
    network, metrics, looks = Network(), Metrics(), []

    def memory():
        looks.append(network.now)
        return {"total": 80.0, "used": 20.0}

    measured = MeasuredClassifier(network, metrics, "work-1", memory, clock=lambda: network.now)
    assert measured.bundle == network.bundle
    assert measured.classify(["a", "b", "c"]) == ["a", "b", "c"]
    assert measured.classify(["a"]) == ["a"]
    with pytest.raises(RuntimeError):
        measured.classify([])
    registry = metrics.registry()
    mine = {"role": "work-1"}
    assert registry.get_sample_value("ocunet_pass_seconds_sum", mine) == 9.0
    assert registry.get_sample_value("ocunet_pass_seconds_count", mine) == 3
    assert registry.get_sample_value("ocunet_batch_photographs_sum", mine) == 4
    assert registry.get_sample_value("ocunet_batch_photographs_bucket", mine | {"le": "2.0"}) == 2
    assert metrics.gauge("gpu_memory_bytes") == {("work-1", "total"): 80.0, ("work-1", "used"): 20.0}
    assert looks == [3.0, 9.0]
    assert looks[1] - looks[0] >= MEMORY_EVERY_SECONDS
