"""Slow peers are waited for, peers that only pretend to send are not."""

from __future__ import annotations

import pytest

from ocunet_pacs.intake.patience import SLOWEST_BYTES_A_SECOND, Patience


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def bytes_taken(patience: Patience, clock: Clock, count: int, every: float, most: int) -> int:
    """How many pieces of `count` bytes, one `every` so many seconds, are taken before patience ends."""
    for piece in range(most):
        clock.now += every
        try:
            patience.received(count)
        except TimeoutError:
            return piece
    return most


def test_a_byte_now_and_then_is_not_enough() -> None:
    clock = Clock()
    assert bytes_taken(Patience(60, clock), clock, 1, every=50, most=100) == 1


def test_a_slow_line_is() -> None:
    clock = Clock()
    rate = SLOWEST_BYTES_A_SECOND + 1
    assert bytes_taken(Patience(60, clock), clock, rate * 10, every=10, most=1000) == 1000


def test_a_pause_within_the_grace_is_forgiven_once() -> None:
    clock = Clock()
    patience = Patience(60, clock)
    assert bytes_taken(patience, clock, SLOWEST_BYTES_A_SECOND * 10, every=69, most=9) == 1


def test_what_we_took_ourselves_is_excused() -> None:
    clock = Clock()
    patience = Patience(60, clock)
    clock.now += 3600
    patience.excuse(3600)
    patience.received(1)
    clock.now += 61
    with pytest.raises(TimeoutError, match="2 bytes in 61 seconds"):
        patience.received(1)


def test_without_a_grace_there_is_no_end() -> None:
    clock = Clock()
    assert bytes_taken(Patience(None, clock), clock, 1, every=1e6, most=10) == 10
