"""Measuring side by side: each round runs every contender, so that a machine whose speed drifts slows them all.

A round's value is the least of a few runs; a ratio is given twice, as the median over the rounds and between the least
values of all. On a busy machine the second is the steadier one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

    Times: TypeAlias = Mapping[str, list[float]]
    Contender: TypeAlias = Callable[[], object]
    Factory: TypeAlias = Callable[[], Contender]
    """Makes a contender in a process of its own: a `functools.partial` of a module's function."""


def measure(
    contenders: Mapping[str, Contender], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one run of each that does not count."""
    for run in contenders.values():
        run()
    return _in_turn({name: lambda run=run: _least(run, 1, clock) for name, run in contenders.items()}, rounds)


def measure_apart(contenders: Mapping[str, Factory], rounds: int, runs: int = 3) -> dict[str, list[float]]:
    """As `measure`, each contender in a process of its own that is stopped while another one runs.

    For contenders with threads: those of one library spin, or hold memory, while the next one is measured.
    """
    context = multiprocessing.get_context("spawn")
    held: dict[str, _Held] = {}
    try:
        for name, factory in contenders.items():
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, factory), name=name, daemon=True)
            process.start()
            there.close()
            here.recv()  # it is warm
            held[name] = _Held(process.pid or 0, here)
            os.kill(held[name].pid, signal.SIGSTOP)
        return _in_turn({name: lambda one=one: one.least(runs) for name, one in held.items()}, rounds)
    finally:
        for one in held.values():
            os.kill(one.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Held:
    """A stopped process with a contender."""

    pid: int
    pipe: Connection

    def least(self, runs: int) -> float:
        os.kill(self.pid, signal.SIGCONT)
        self.pipe.send(runs)
        seconds: float = self.pipe.recv()
        os.kill(self.pid, signal.SIGSTOP)
        return seconds


def _serve(pipe: Connection, factory: Factory) -> None:
    run = factory()
    for _ in range(2):
        run()
    pipe.send(None)
    while True:
        runs = pipe.recv()
        run()  # caches are another's after the stop
        pipe.send(_least(run, runs))


def _least(run: Contender, runs: int, clock: Callable[[], float] = time.perf_counter) -> float:
    least = float("inf")
    for _ in range(runs):
        started = clock()
        run()
        least = min(least, clock() - started)
    return least


def _in_turn(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    names = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # Every other round backwards: none always runs in the wake of the same neighbour.
        for name in names if number % 2 == 0 else reversed(names):
            times[name].append(contenders[name]())
    return times


def ratio(times: Times, one: str, other: str) -> float:
    """The median over the rounds of `one`'s time by `other`'s."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def ratio_of_least(times: Times, one: str, other: str) -> float:
    """`one`'s least time by `other`'s."""
    return min(times[one]) / min(times[other])


def quartiles(times: Times, one: str, other: str) -> tuple[float, float]:
    """Between which the middle half of the rounds' ratios lies."""
    low, _, high = statistics.quantiles((a / b for a, b in zip(times[one], times[other], strict=True)), n=4)
    return low, high


def compared(times: Times, one: str, other: str) -> str:
    """The ratio in words: median, middle half, and of the least times."""
    low, high = quartiles(times, one, other)
    least = ratio_of_least(times, one, other)
    return f"{ratio(times, one, other):.3f} ({low:.3f} to {high:.3f}; of the least {least:.3f})"


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
