"""A queue that is as good as empty, one that is full, and what is asked of either all day.

As good as empty is a database that holds what the pages of its lists show, and no more: a list of nothing and a list of
fifty jobs are not the same work, whatever the database.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import event, text

from ocunet_pacs.domain.console import Among
from ocunet_pacs.domain.job import JobKind, JobState, Later
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.jobs.sql_console import SqlConsole
from tests.conformance.jobs.builders import LEASE, everybody_lives
from tests.conformance.jobs.whole_study import FORCE, START, double, one_study
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from ocunet_pacs.domain.job import Job

FEW = (600, 400)
"""Jobs that are finished and jobs that wait where the queue is as good as empty: what every list shows is there."""
PAGE = 50
LATER = START + timedelta(days=400)
_PATTERN = 100
"""Studies that go their whole way through queue and ledger; the others are copies of them."""
_JOBS_A_STUDY = 3
_ENDED_OTHERWISE = 60
"""Jobs that are dead, and as many that are discarded."""
_RUNNING = 4


@contextmanager
def sqlite_database(folder: str | None = None) -> Iterator[Engine]:
    """A new one in a file below `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        engine = open_engine(f"sqlite:///{Path(place) / 'queue.sqlite'}")
        try:
            upgrade(engine)
            yield engine
        finally:
            engine.dispose()


@contextmanager
def postgres_database() -> Iterator[Engine]:
    """A new one. Nothing vacuums it by itself: what is counted there is nobody else's work."""
    url = new_database()
    engine = open_engine(url)
    try:
        upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE jobs SET (autovacuum_enabled = false)"))
        yield engine
    finally:
        engine.dispose()
        drop_database(url)


def fill(engine: Engine, finished: int, waiting: int) -> None:
    """Give an empty database about that many jobs, with all that belongs to them.

    What waits came last, is due, and is of four priorities. Before it came a few that are dead, discarded or running.
    """
    store = SqlJobs(engine)
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        event.listen(engine, "connect", _without_waiting)
        engine.dispose()
    studies = (finished + waiting) // _JOBS_A_STUDY + 1
    times = max((studies // _PATTERN).bit_length(), 0)
    for number in range(studies // 2**times + 1):
        one_study(store, number)
    double(engine, times)
    with engine.begin() as connection:
        newest = text("SELECT id FROM jobs ORDER BY id DESC LIMIT 1 OFFSET :number")

        def of_next(number: int, before: int | None, change: str) -> int:
            """The `number` jobs with the highest ids below `before`, changed; the lowest id of them."""
            skipped = text("SELECT count(*) FROM jobs WHERE id >= :before")
            offset = 0 if before is None else connection.execute(skipped, {"before": before}).scalar_one()
            least: int = connection.execute(newest, {"number": offset + number - 1}).scalar_one()
            below = "" if before is None else f" AND id < {before}"
            connection.execute(text(f"UPDATE jobs SET {change} WHERE id >= {least}{below}"))
            return least

        wait = "state = 'waiting', finished_at = NULL, attempt = 0, priority = id % 4 - 1"
        least = of_next(waiting, None, wait)
        for state in ("dead", "discarded"):
            least = of_next(_ENDED_OTHERWISE, least, f"state = '{state}'")
        run = "state = 'running', finished_at = NULL, lease_owner = 'another', lease_expires_at"
        of_next(_RUNNING, least, f"{run} = '{(LATER + LEASE).strftime('%Y-%m-%d %H:%M:%S.%f')}'")
        if not sqlite:
            for table in ("studies", "instances", "analyses", "outputs", "deliveries", "jobs"):
                top = f"(SELECT max(id) FROM {table})"
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {top})"))
    if sqlite:
        event.remove(engine, "connect", _without_waiting)
        engine.dispose()
    else:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _without_waiting(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -500000")


@dataclass
class Claiming:
    """Claim, renewal and finish of one job, one call each, in this order. Afterwards it waits as before."""

    store: SqlJobs
    job: Job | None = None

    def calls(self) -> dict[str, Callable[[], object]]:
        """By the name of the step. A loop claims one kind of job."""
        return {"claim": self._claim, "renew": self._renew, "finish": self._finish}

    def _claim(self) -> None:
        self.job = self.store.claim([JobKind.DELIVER], "a worker", LATER, LEASE)
        assert self.job is not None

    def _renew(self) -> None:
        assert self.job is not None
        assert self.store.renew(self.job, LATER, LEASE)

    def _finish(self) -> None:
        assert self.job is not None
        assert self.store.finish(self.job, Later("", LEASE * 0), LATER, 0.0)


def asked(engine: Engine) -> dict[str, Callable[[], object]]:
    """What is asked by the clock, by Prometheus, and by people on a command line or at the console."""
    store, console = SqlJobs(engine), SqlConsole(engine)
    (study,) = store.studies_like(newest_first=True, limit=1)
    questions: dict[str, Callable[[], object]] = {
        "reap, everybody lives": lambda: store.reap(LATER - LEASE, everybody_lives),
        "nothing to claim": lambda: store.claim([JobKind.SHADOW], "a worker", LATER, LEASE),
        "studies that are due": lambda: store.studies_due(LATER, FORCE),
        "/metrics": lambda: store.backlog(LATER),
        "status: counts": store.counts,
        "status: newest studies": lambda: store.studies_like(newest_first=True, limit=5),
        "jobs list": lambda: store.find(limit=PAGE),
    }
    for state in JobState:
        questions[f"jobs list, {state}"] = lambda state=state: store.find(state=state, limit=PAGE)  # type: ignore[misc]
    for kind in JobKind:
        questions[f"jobs list, {kind}"] = lambda kind=kind: store.find(kind=kind, limit=PAGE)  # type: ignore[misc]
    for state in (JobState.DEAD, JobState.WAITING, JobState.RUNNING):
        questions[f"console: jobs, {state}"] = lambda state=state: console.jobs(state)  # type: ignore[misc]
    for among in Among:
        questions[f"console: studies, {among}"] = lambda among=among: console.studies(among)  # type: ignore[misc]
        further = console.studies(among, limit=3).end
        if further:
            questions[f"console: studies, {among}, page 2"] = (
                lambda among=among, further=further: console.studies(among, after=further)  # type: ignore[misc]
            )
    return questions | {
        "console: a study": lambda: console.study(study.id),
        "console: today": lambda: console.finished_since(LATER),
        "console: answers": console.last_answers,
    }
