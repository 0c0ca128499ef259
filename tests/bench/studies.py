"""What one study costs queue and ledger, from the first to the ten-thousandth: `python -m tests.bench studies`.

Every study goes the whole way in rows: two images, close, claim, finish with a heatmap and a report, two deliveries.
Printed are medians by thousand, in wall-clock and in this process's own CPU time (SQLite works inside this process, so
that is all it costs but the waiting for the disk), and what the last thousand cost by the first. The number of studies
may be given in OCUNET_BENCH_STUDIES.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.sql import SqlJobs
from tests.bench.rounds import say
from tests.conformance.jobs.builders import image, output
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(minutes=5)
FORCE = timedelta(hours=1)


def one_study(store: SqlJobs, number: int) -> None:
    """From the first image to the last delivery."""
    now = START + timedelta(seconds=number)
    study = f"1.2.{number}"
    for ordinal in (1, 2):
        assert store.record_instance(image(f"{study}.1.{ordinal}", study, now, patient=f"{number:064}"))
    (due,) = store.studies_due(now, FORCE)
    assert store.close_study(due, now, 3)
    job = store.claim([JobKind.ANALYSE], "work", now, LEASE)
    assert job is not None
    row = store.analysis(job.subject_id)
    assert len(store.analysis_instances(row.id)) == 2
    finish = store.finish_analysis(
        job,
        key=f"{number:064}",
        result="{}" * 500,
        outputs=[output(f"2.25.1{number}", OutputKind.HEATMAP), output(f"2.25.2{number}")],
        destinations=["pacs"],
        expected_predecessor=store.predecessor(row.id),
        delivery_attempts=12,
        now=now,
    )
    assert finish is Finish.APPLIED
    for _ in range(2):
        deliver = store.claim([JobKind.DELIVER], "deliver", now, LEASE)
        assert deliver is not None
        store.record_delivery(store.delivery(deliver.subject_id).id, 0, "", now)
        assert store.finish(deliver, Done(), now, 0.0)


def upkeep(store: SqlJobs, number: int) -> dict[str, Callable[[], object]]:
    """What runs by the clock or when somebody asks, however many studies there are."""
    now = START + timedelta(seconds=number)
    return {
        "close": lambda: store.studies_due(now, FORCE),
        "reap": lambda: store.reap(now, lambda owner: False),
        "retain": lambda: store.removable_studies(START, None, 200),
        "is ours": lambda: store.is_output("2.25.1"),
        "status": store.upkeep_counts,
    }


def run(name: str, url: str, total: int) -> None:
    """Work through `total` studies and say what each thousand cost."""
    engine = open_engine(url)
    upgrade(engine)
    store = SqlJobs(engine)
    medians: list[tuple[float, float]] = []
    thousand = max(total // 10, 1)
    for first in range(0, total, thousand):
        walls, cpus = [], []
        for number in range(first, first + thousand):
            wall, cpu = time.perf_counter(), time.process_time()
            one_study(store, number)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        medians.append((statistics.median(walls), statistics.median(cpus)))
        looks = []
        for words, look in upkeep(store, first + thousand).items():
            began = time.perf_counter()
            look()
            looks.append(f"{words} {1000 * (time.perf_counter() - began):.2f}")
        wall, cpu = medians[-1]
        say(f"{name} {first + thousand:6}: {1000 * wall:6.2f} ms a study, {1000 * cpu:6.2f} CPU; {', '.join(looks)}")
    walls, cpus = zip(*medians, strict=True)
    say(f"{name}: last by first {walls[-1] / walls[0]:.2f} wall clock, {cpus[-1] / cpus[0]:.2f} CPU")
    engine.dispose()


def main() -> None:
    """On both databases."""
    total = int(os.environ.get("OCUNET_BENCH_STUDIES", "10000"))
    with tempfile.TemporaryDirectory() as folder:
        run("sqlite", f"sqlite:///{Path(folder) / 'bench.db'}", total)
    url = new_database()
    try:
        run("postgresql", url, total)
    finally:
        drop_database(url)
