"""Memory, open files and threads of every process of the daemon, for as long as each lives, and what "flat" means."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak.services import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.soak.services import Service

EVERY_SECONDS = 3.0
WARM_UP_SECONDS = 300.0
"""Models, caches, pools and heaps are filled in the first minutes; what is measured comes after."""
LONG_ENOUGH_SECONDS = 600.0
MOST = {"memory": 1.0, "files": 0.5, "threads": 0.5}
"""MiB, descriptors and threads a minute: more is a leak."""


@dataclass(frozen=True, slots=True)
class Sample:
    """At `at` seconds of a process's life: resident MiB, open descriptors, threads."""

    at: float
    memory: float
    files: float
    threads: float


@dataclass
class Life:
    """One process, from its first sample to its last."""

    role: str
    pid: int
    samples: list[Sample] = field(default_factory=list)
    born: float = 0.0
    """Seconds after the start of the run."""

    @property
    def seconds(self) -> float:
        return self.samples[-1].at if self.samples else 0.0

    def warm(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= WARM_UP_SECONDS]

    def growth(self, what: str) -> float:
        """Growth a minute after the warm-up; 0.0 where there are too few samples.

        The least of three: the median of the slopes between all pairs of samples (Theil 1950, Sen 1968), and how the
        lowest and the highest value rise from the first third to the last. A leak raises all of them. What comes and
        goes with the work, as connections do, does not raise both ends.
        """
        warm = [(sample.at / 60, getattr(sample, what)) for sample in self.warm()]
        if len(warm) < 3:
            return 0.0
        slopes = [(later - earlier) / (end - start) for (start, earlier), (end, later) in combinations(warm, 2)]
        first, last = self._ends(what)
        minutes = warm[-len(last)][0] - warm[0][0]
        ends = ((end(last) - end(first)) / minutes for end in (min, max))
        return min(statistics.median(slopes), *ends)

    def stretches(self, moments: Sequence[float]) -> list[Life]:
        """It, cut at those moments of the run: a reload gives memory back, which then fills again as at the start."""
        cuts = [0.0, *sorted(at - self.born for at in moments if 0 < at - self.born < self.seconds), self.seconds + 1]
        return [
            Life(
                self.role,
                self.pid,
                [replace(sample, at=sample.at - begin) for sample in self.samples if begin <= sample.at < end],
                self.born + begin,
            )
            for begin, end in pairwise(cuts)
        ]

    def rows(self) -> Iterator[str]:
        """Its samples as lines: role, pid, seconds of its life, MiB, open files, threads."""
        for s in self.samples:
            yield f"{self.role},{self.pid},{s.at:.1f},{s.memory:.1f},{s.files:g},{s.threads:g}"

    def thirds(self, what: str) -> tuple[float, float]:
        """Medians of the first and the last third after the warm-up (of all of it where it was short)."""
        first, last = self._ends(what)
        return statistics.median(first), statistics.median(last)

    def _ends(self, what: str) -> tuple[list[float], list[float]]:
        """The values of the first and of the last third."""
        values = [getattr(sample, what) for sample in self.warm() or self.samples]
        third = max(1, len(values) // 3)
        return values[:third], values[-third:]

    def leaks(self) -> list[str]:
        """What grows; nothing is said of a life that was too short."""
        if self.seconds < LONG_ENOUGH_SECONDS:
            return []
        return [
            f"{self.role} {self.pid}: {what} grows by {self.growth(what):.2f} a minute"
            for what, most in MOST.items()
            if self.growth(what) >= most
        ]


def longest_lives(lives: Sequence[Life]) -> dict[str, Life]:
    """Of each role the process that lived longest."""
    found: dict[str, Life] = {}
    for life in lives:
        if life.role not in found or life.seconds > found[life.role].seconds:
            found[life.role] = life
    return dict(sorted(found.items()))


class Sampler:
    """Takes samples on a thread until `close`; `lives` are all processes that it saw."""

    def __init__(self, services: list[Service], clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._clock = services, clock
        self._lives: dict[tuple[str, int, str], tuple[float, Life]] = {}
        self._over = threading.Event()
        self._began = clock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def lives(self) -> list[Life]:
        return [life for _, life in self._lives.values()]

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            for pid, role in processes(self._services):
                try:
                    self._take(pid, role)
                except (OSError, ValueError, IndexError, KeyError):
                    continue  # it ended meanwhile

    def _take(self, pid: int, role: str) -> None:
        folder = Path(f"/proc/{pid}")
        started = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        lines = (folder / "status").read_text(errors="replace").splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        now = self._clock()
        born, life = self._lives.setdefault((role, pid, started), (now, Life(role, pid, born=now - self._began)))
        life.samples.append(
            Sample(
                now - born,
                int(status["VmRSS"].split()[0]) / 1024,
                len(list((folder / "fd").iterdir())),
                int(status["Threads"]),
            )
        )
