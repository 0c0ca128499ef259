"""What a million finished jobs and ten thousand waiting ones cost the queue, on SQLite and PostgreSQL.

Each step runs on a database that is as good as empty (it holds what a page of a list shows) and on a full one in turn,
so that a machine whose speed drifts slows both alike: medians over all runs and their ratio, and that of the least,
which is the steadier one where other programs take the processor away. The bar is 1.5.
PostgreSQL runs without fsync, so that what is compared is the work and not the disk; SQLite as the product runs it.

`BENCH_JOBS` and `BENCH_WAITING` set the numbers, `BENCH_ROUNDS` how often it is gone round.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from ocunet_pacs.domain.job import JobKind, JobState, Later
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.sql import SqlJobs
from tests.bench.rounds import say
from tests.conformance.jobs.builders import LEASE, everybody_lives
from tests.conformance.jobs.whole_study import FORCE, START, double, one_study
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

JOBS = int(os.environ.get("BENCH_JOBS", "1000000"))
WAITING = int(os.environ.get("BENCH_WAITING", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "30"))
BAR = 1.5
LATER = START + timedelta(days=400)
_PATTERN = 100
"""Studies that go their whole way through queue and ledger; the others are copies of them."""
_JOBS_A_STUDY = 3
_AT_ONCE = 5
_PAGE = 50


def main() -> None:
    """Print a row a step: milliseconds on either database, empty and full, and the ratio."""
    say(f"{JOBS} jobs finished, {WAITING} waiting; bar: {BAR}")
    say(f"{'step':34}{'empty ms':>12}{'full ms':>12}{'ratio':>10}{'of least':>10}")
    for name, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgres)):
        with opened() as empty, opened() as full:
            began = time.perf_counter()
            fill(empty, 4 * _PAGE, 2 * _PAGE)
            fill(full, JOBS, WAITING)
            say(f"{name}, filled in {time.perf_counter() - began:.0f} s")
            _compare(SqlJobs(empty), SqlJobs(full))


@contextmanager
def _sqlite() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'queue.sqlite'}")
        upgrade(engine)
        yield engine
        engine.dispose()


@contextmanager
def _postgres() -> Iterator[Engine]:
    url = new_database()
    engine = open_engine(url)
    upgrade(engine)
    yield engine
    engine.dispose()
    drop_database(url)


def fill(engine: Engine, finished: int, waiting: int) -> None:
    """Give an empty database about that many jobs, with all that belongs to them. What waits came last, and is due."""
    store = SqlJobs(engine)
    studies = (finished + waiting) // _JOBS_A_STUDY + 1
    times = max((studies // _PATTERN).bit_length(), 0)
    for number in range(studies // 2**times + 1):
        one_study(store, number)
    double(engine, times)
    newest = text("SELECT id FROM jobs ORDER BY id DESC LIMIT :number").bindparams(number=waiting)
    with engine.begin() as connection:
        ids = connection.execute(newest).scalars().all()
        connection.execute(
            text("UPDATE jobs SET state = 'waiting', finished_at = NULL, attempt = 0 WHERE id >= :least"),
            {"least": min(ids)},
        )
        if engine.dialect.name == "postgresql":
            for table in ("studies", "instances", "analyses", "outputs", "deliveries", "jobs"):
                top = f"(SELECT max(id) FROM {table})"
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {top})"))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


@dataclass
class _Steps:
    """Each step once a call, `_AT_ONCE` at a time; the database is afterwards what it was, but for a study more."""

    store: SqlJobs
    number: int = 1_000_000_000

    def claim_and_finish(self) -> dict[str, float]:
        """Seconds of each claim, renewal and finish. A loop claims one kind of job."""
        spent = dict.fromkeys(("claim", "renew", "finish"), 0.0)
        for _ in range(_AT_ONCE):
            job, seconds = _timed(lambda: self.store.claim([JobKind.DELIVER], "a worker", LATER, LEASE))
            spent["claim"] += seconds
            assert job is not None
            spent["renew"] += _timed(lambda job=job: self.store.renew(job, LATER, LEASE))[1]
            spent["finish"] += _timed(lambda job=job: self.store.finish(job, Later("", LEASE * 0), LATER, 0.0))[1]
        return {name: seconds / _AT_ONCE for name, seconds in spent.items()}

    def asked(self) -> dict[str, float]:
        """Seconds of what is asked by the clock, and by people."""
        store = self.store
        questions: dict[str, Callable[[], object]] = {
            "reap, everybody lives": lambda: store.reap(LATER - LEASE, everybody_lives),
            "nothing to claim": lambda: store.claim([JobKind.SHADOW], "a worker", LATER, LEASE),
            "studies that are due": lambda: store.studies_due(LATER, FORCE),
            "/metrics": lambda: store.backlog(LATER),
            "list, newest 50": lambda: store.find(limit=_PAGE),
            "list, newest 50 deliveries": lambda: store.find(kind=JobKind.DELIVER, limit=_PAGE),
            **{
                f"list, {state}": lambda state=state: store.find(state=state, limit=_PAGE)  # type: ignore[misc]
                for state in JobState
            },
            "newest studies": lambda: store.studies_like(newest_first=True, limit=20),
            "counts of status": store.counts,
        }
        return {name: _timed(ask)[1] for name, ask in questions.items()}


def _timed(call: Callable[[], object]) -> tuple[object, float]:
    began = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - began


def _compare(empty: SqlJobs, full: SqlJobs) -> None:
    seen: dict[str, tuple[list[float], list[float]]] = {}
    both = _Steps(empty), _Steps(full)
    for number in range(ROUNDS + 1):
        for which, steps in list(enumerate(both))[:: 1 if number % 2 else -1]:
            for name, seconds in (steps.claim_and_finish() | steps.asked()).items():
                if number:  # the first time does not count
                    seen.setdefault(name, ([], []))[which].append(1000 * seconds)
    for name, (few, many) in seen.items():
        on_few, on_many = statistics.median(few), statistics.median(many)
        say(f"{name:34}{on_few:12.3f}{on_many:12.3f}{on_many / on_few:10.2f}{min(many) / min(few):10.2f}")
