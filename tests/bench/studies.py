"""What one study costs queue and ledger, from the first to the ten-thousandth: `python -m tests.bench studies`.

Every study goes the whole way in rows: two images, close, claim, finish with a heatmap and a report, two deliveries.
Printed are medians by thousand, in wall-clock and in this process's own CPU time (SQLite works inside this process, so
that is all it costs but the waiting for the disk), and what the last thousand cost by the first. For SQLite also the
instructions of its virtual machine, which no neighbour slows down. OCUNET_BENCH_STUDIES may give another number of
studies, OCUNET_BENCH_DATABASES one of sqlite and postgresql. With TMPDIR=/dev/shm no disk is waited for.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import event

from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.sql import SqlJobs
from tests.bench.rounds import say
from tests.conformance.jobs.whole_study import FORCE, START, one_study
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlalchemy import Engine


def upkeep(store: SqlJobs, number: int) -> dict[str, Callable[[], object]]:
    """What runs by the clock or when somebody asks, however many studies there are."""
    now = START + timedelta(seconds=number)
    return {
        "close": lambda: store.studies_due(now, FORCE),
        "reap": lambda: store.reap(now, lambda owner: False),
        "retain": lambda: store.removable_studies(now, None, 200),
        "is ours": lambda: store.is_output("2.25.1"),
        "status": store.upkeep_counts,
    }


class Instructions:
    """How many instructions SQLite has carried out, to the nearest hundred; stays 0 on PostgreSQL."""

    GRAIN = 100

    def __init__(self, engine: Engine) -> None:
        self.total = 0
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", self._watch)

    def _watch(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(self._add, self.GRAIN)

    def _add(self) -> None:
        self.total += self.GRAIN


def run(name: str, url: str, total: int) -> None:
    """Work through `total` studies and say what each thousand cost."""
    engine = open_engine(url)
    instructions = Instructions(engine)
    upgrade(engine)
    store = SqlJobs(engine)
    rows: list[tuple[float, float, float]] = []
    thousand = max(total // 10, 1)
    for first in range(0, total, thousand):
        walls, cpus, before = [], [], instructions.total
        for number in range(first, first + thousand):
            wall, cpu = time.perf_counter(), time.process_time()
            one_study(store, number)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        done = (instructions.total - before) / thousand
        rows.append((1000 * statistics.median(walls), 1000 * statistics.median(cpus), done))
        looks = []
        for words, look in upkeep(store, first + thousand).items():
            began = time.perf_counter()
            look()
            looks.append(f"{words} {1000 * (time.perf_counter() - began):.2f}")
        wall, cpu, done = rows[-1]
        say(
            f"{name} {first + thousand:6}: {wall:6.2f} ms a study, {cpu:6.2f} CPU, {done:.0f} steps; {', '.join(looks)}"
        )
    ratios = [last / max(early, 1e-9) for early, last in zip(rows[0], rows[-1], strict=True)]
    say(f"{name}: last by first {ratios[0]:.2f} wall clock, {ratios[1]:.2f} CPU, {ratios[2]:.2f} steps")
    engine.dispose()


def main() -> None:
    """On both databases."""
    total = int(os.environ.get("OCUNET_BENCH_STUDIES", "10000"))
    wanted = os.environ.get("OCUNET_BENCH_DATABASES", "sqlite postgresql")
    if "sqlite" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            run("sqlite", f"sqlite:///{Path(folder) / 'bench.db'}", total)
    if "postgresql" in wanted:
        url = new_database()
        try:
            run("postgresql", url, total)
        finally:
            drop_database(url)
