"""What a million finished jobs and ten thousand waiting ones cost the queue, on SQLite and PostgreSQL.

Each step runs on a database that is as good as empty (it holds what a page of each list shows, so that both do the
same work) and on a full one in turn, so that a machine whose speed drifts slows both alike: medians over all rounds and
their ratio, and that of the least, which is the steadier one where other programs take the processor away. Beside it
stands the work that was counted and not timed (`tests/conformance/jobs/work.py`), which no other program touches:
SQLite's instructions, or the pages, rows and index entries that PostgreSQL looked at. The bar is 1.5.
PostgreSQL runs without fsync, so that what is compared is the work and not the disk; SQLite as the product runs it.

`BENCH_JOBS` and `BENCH_WAITING` set the numbers, `BENCH_ROUNDS` how often it is gone round, `BENCH_FOLDER` where
SQLite's files lie, `BENCH_DATABASES` which of the two are measured ("SQLite", "PostgreSQL"; both).
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.bench.rounds import say
from tests.conformance.jobs.filling import FEW, Claiming, asked, fill, postgres_database, sqlite_database
from tests.conformance.jobs.work import counting

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

JOBS = int(os.environ.get("BENCH_JOBS", "1000000"))
WAITING = int(os.environ.get("BENCH_WAITING", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "100"))
DATABASES = os.environ.get("BENCH_DATABASES", "SQLite,PostgreSQL").split(",")
BAR = 1.5


def main() -> None:
    """Print a row a step: milliseconds and counted work on either database, empty and full, and their ratios."""
    say(f"{JOBS} jobs finished, {WAITING} waiting, beside {FEW[0]} and {FEW[1]}; {ROUNDS} rounds; bar: {BAR}")
    say(f"{'step':30}{'empty ms':>10}{'full ms':>10}{'ratio':>7}{'of least':>9}{'work':>10}{'work':>10}{'ratio':>7}")
    databases = {"SQLite": lambda: sqlite_database(os.environ.get("BENCH_FOLDER")), "PostgreSQL": postgres_database}
    for name in DATABASES:
        with databases[name]() as empty, databases[name]() as full:
            began = time.perf_counter()
            fill(empty, *FEW)
            fill(full, JOBS, WAITING)
            say(f"{name}, filled in {time.perf_counter() - began:.0f} s")
            _compare(empty, full)


def _steps(engine: Engine) -> dict[str, Callable[[], object]]:
    """Afterwards the database is what it was."""
    return Claiming(SqlJobs(engine)).calls() | asked(engine)


def _compare(empty: Engine, full: Engine) -> None:
    works = _work(empty), _work(full)
    both = _steps(empty), _steps(full)
    seen: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in both[0]}
    for number in range(ROUNDS + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            for name, call in both[which].items():
                began = time.perf_counter()
                call()
                if number:  # the first time does not count
                    seen[name][which].append(1000 * (time.perf_counter() - began))
    for name, (few, many) in seen.items():
        on_few, on_many = statistics.median(few), statistics.median(many)
        work = [works[which][name] for which in (0, 1)]
        times = f"{on_few:10.3f}{on_many:10.3f}{on_many / on_few:7.2f}{min(many) / min(few):9.2f}"
        say(f"{name:30}{times}{work[0]:10}{work[1]:10}{work[1] / max(work[0], 1):7.2f}")


def _work(engine: Engine) -> dict[str, int]:
    """The least of a few times, on an engine of its own: to be asked to count slows SQLite down."""
    counted = open_engine(engine.url.render_as_string(hide_password=False))
    work, steps = counting(counted), _steps(counted)
    found = [{name: work(call) for name, call in steps.items()} for _ in range(4)]
    counted.dispose()
    return {name: min(one[name] for one in found) for name in steps}
