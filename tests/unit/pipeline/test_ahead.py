"""Reading ahead: order, errors, and an end when nobody listens any more."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.pipeline.ahead import read_ahead


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=5))
def test_items_come_in_order(items: list[int], depth: int) -> None:
    assert list(read_ahead(lambda: iter(items), depth)) == items


def test_an_error_rises_where_its_item_would_have_come() -> None:
    def make():
        yield 1
        raise ValueError("broken")

    reading = read_ahead(make, 3)
    assert next(reading) == 1
    with pytest.raises(ValueError, match="broken"):
        next(reading)


def test_it_reads_no_further_ahead_than_it_may() -> None:
    made = []
    going_on = threading.Event()

    def make():
        for number in range(10):
            made.append(number)
            if number == 3:
                going_on.set()
            yield number

    reading = read_ahead(make, 2)
    assert next(reading) == 0
    assert going_on.wait(5), "one is taken, two wait in the queue, one is in the producer's hand"
    assert len(made) == 4
    assert list(reading) == list(range(1, 10))


def test_a_caller_that_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    reading = read_ahead(lambda: iter(range(100)), 2)
    next(reading)
    reading.close()
    assert threading.active_count() == before
