"""Many threads, one network: order, company, failures, hangs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocunet_pacs.domain.errors import DeviceHung
from ocunet_pacs.domain.result import Box, BundleRef, Classification, LabelScore, Photograph
from ocunet_pacs.model.batching import BatchingClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = timedelta(seconds=30)
NONE = timedelta(0)


class Counting:
    """Answers with the photograph's own number; keeps each batch and the thread that asked for it."""

    def __init__(self) -> None:
        self.bundle = BundleRef("counting", "0" * 64, trained=True, temperature=1.0)
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        numbers = [photograph.width for photograph in photographs]
        self.batches.append(numbers)
        self.threads.add(threading.get_ident())
        self.gate.wait(20)
        if 13 in numbers:
            raise ValueError("13")
        return [
            Classification((LabelScore("DR", float(n), 0.5, 0.5, positive=True),), np.zeros((1, 1, 1), np.float32))
            for n in numbers
        ]


def photograph(number: int) -> Photograph:
    empty = np.zeros((1, 1, 3), np.uint8)
    return Photograph(empty, empty, Box(0, 0, 1, 1), number, 1)


def ask(classifier: BatchingClassifier, *numbers: int) -> list[int]:
    return [int(seen.scores[0].logit) for seen in classifier.classify([photograph(n) for n in numbers])]


def busy(inner: Counting, calls: int) -> None:
    until = time.monotonic() + 10
    while len(inner.batches) < calls and time.monotonic() < until:
        time.sleep(0.002)


def test_everybody_gets_their_own_answers_in_order() -> None:
    inner = Counting()
    requests = [tuple(range(100 * k, 100 * k + k % 7)) for k in range(1, 60)]
    with BatchingClassifier(inner, max_batch=8, max_wait=timedelta(milliseconds=5), hung_after=LONG) as classifier:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda numbers: ask(classifier, *numbers), requests))
        assert classifier.bundle is inner.bundle
    assert answers == [list(numbers) for numbers in requests]
    assert max(map(len, inner.batches)) <= 8
    assert sum(map(len, inner.batches)) == sum(map(len, requests)), "nothing is computed twice"
    assert len(inner.threads) == 1


def test_studies_that_come_together_share_a_batch_without_waiting_out_the_time() -> None:
    inner = Counting()
    with (
        BatchingClassifier(inner, max_batch=6, max_wait=LONG, hung_after=LONG) as classifier,
        ThreadPoolExecutor(3) as threads,
    ):
        answers = list(threads.map(lambda k: ask(classifier, k, k + 1), (10, 20, 30)))
    assert answers == [[10, 11], [20, 21], [30, 31]]
    assert [sorted(batch) for batch in inner.batches] == [[10, 11, 20, 21, 30, 31]]


def test_a_lonely_photograph_goes_when_its_time_is_up() -> None:
    inner = Counting()
    with BatchingClassifier(inner, max_batch=64, max_wait=timedelta(milliseconds=20), hung_after=LONG) as classifier:
        assert ask(classifier, 5) == [5]
        assert ask(classifier) == []


def test_a_failure_reaches_the_callers_of_that_batch_and_nobody_else() -> None:
    inner = Counting()
    with (
        BatchingClassifier(inner, max_batch=2, max_wait=NONE, hung_after=LONG) as classifier,
        ThreadPoolExecutor(4) as threads,
    ):
        inner.gate.clear()
        first = threads.submit(ask, classifier, 1)
        busy(inner, 1)
        # Its own second batch must not be computed any more: 15 to 18 are not needed.
        bad = threads.submit(ask, classifier, 13, 14, 15, 16, 17, 18)
        while len(classifier._state.waiting) < 6:
            time.sleep(0.002)
        good = threads.submit(ask, classifier, 2, 3)
        while len(classifier._state.waiting) < 8:
            time.sleep(0.002)
        inner.gate.set()
        assert first.result(10) == [1]
        with pytest.raises(ValueError, match="13"):
            bad.result(10)
        assert good.result(10) == [2, 3]
        assert ask(classifier, 4) == [4]
    assert inner.batches == [[1], [13, 14], [2, 3], [4]]


def test_a_hung_device_fails_all_who_wait_and_all_who_come() -> None:
    inner = Counting()
    classifier = BatchingClassifier(inner, max_batch=1, max_wait=NONE, hung_after=timedelta(seconds=0.2))
    assert not classifier.is_hung
    inner.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(ask, classifier, n) for n in (1, 2)]
        for caller in waiting:
            with pytest.raises(DeviceHung):
                caller.result(10)
    assert classifier.is_hung
    inner.gate.set()
    time.sleep(0.05)
    assert classifier.is_hung, "a device that came back late is not trusted again"
    with pytest.raises(DeviceHung):
        ask(classifier, 3)
    classifier.close()


def test_a_closed_one_finishes_what_it_has_and_takes_no_more() -> None:
    inner = Counting()
    classifier = BatchingClassifier(inner, max_batch=64, max_wait=LONG, hung_after=LONG)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, classifier, 7, 8)
        while len(classifier._state.waiting) < 2:
            time.sleep(0.002)
        classifier.close()
        assert asked.result(10) == [7, 8]
    with pytest.raises(RuntimeError, match="closed"):
        ask(classifier, 9)
