"""Measuring side by side: each round runs every contender once, so that a machine whose speed drifts slows them all."""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def measure(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one run of each that does not count."""
    names = list(contenders)
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # Every other round backwards: none always runs in the wake of the same neighbour.
        for name in names if number % 2 == 0 else reversed(names):
            started = time.perf_counter()
            contenders[name]()
            times[name].append(time.perf_counter() - started)
    return times


def ratio(times: Mapping[str, list[float]], one: str, other: str) -> float:
    """The median over the rounds of `one`'s time by `other`'s."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
