"""What waits, on SQLite and PostgreSQL: numbers that are kept, and the first of each list; and the database itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import false, func, select, text, update

from ocunet_pacs.domain.backlog import Backlog, BacklogReader, DestinationBacklog, KindBacklog
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.migrate import check
from ocunet_pacs.jobs.schema import deliveries, destinations, job_tallies, jobs, studies
from ocunet_pacs.jobs.sql_queue import in_state, run_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine


class SqlBacklog(BacklogReader):
    """`BacklogReader` over an engine of `open_engine`, whose schema is up to date. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def backlog(self, now: datetime) -> Backlog:
        """See `BacklogReader.backlog`."""
        with transaction(self._reading) as connection:
            of_open = select(func.count(), func.min(studies.c.open_since)).where(studies.c.open_since.is_not(None))
            open_studies, open_since = connection.execute(of_open).one()
            numbers = _numbers(connection)
            kinds, bound_for = _kinds(connection, numbers, now), _destinations(connection, numbers)
            return Backlog(kinds, bound_for, open_studies, open_since)

    def database_bytes(self) -> int:
        """How large the database is."""
        sqlite = self._reading.dialect.name == "sqlite"
        pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        query = pages if sqlite else "SELECT pg_database_size(current_database())"
        with transaction(self._reading) as connection:
            return int(connection.execute(text(query)).scalar_one())

    def try_writing(self) -> str:
        """Change nothing, as whoever writes would; the schema's revision. DatabaseError, SchemaMismatch.

        A database that can only be read (a standby, a full disk's file system) refuses it.
        """
        revision = check(self._writing)
        with transaction(self._writing) as connection:
            connection.execute(update(destinations).where(false()).values(failures=destinations.c.failures))
        return revision


def _kinds(connection: Connection, numbers: _Numbers, now: datetime) -> tuple[KindBacklog, ...]:
    found = []
    for kind in JobKind:
        waiting, running, dead = (
            sum(numbers[kind, state].values()) for state in (JobState.WAITING, JobState.RUNNING, JobState.DEAD)
        )
        one = KindBacklog(kind, waiting, running, dead)
        if waiting:
            oldest = select(jobs.c.created_at).where(run_of(JobState.WAITING, kind)).order_by(jobs.c.id).limit(1)
            since = _due_since(connection, kind, now)
            one = replace(one, oldest_at=connection.scalar(oldest), due_since=since)
        found.append(one)
    return tuple(found)


def _due_since(connection: Connection, kind: JobKind, now: datetime) -> datetime | None:
    """When the first of a kind of those became due that somebody waits for.

    The claim's index holds them by priority and then by that time: the first of each priority is looked up, and a
    site has a handful of priorities.
    """
    waiting = select(jobs.c.priority, jobs.c.run_at).where(in_state(JobState.WAITING), jobs.c.kind == kind)
    first = waiting.order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id).limit(1)
    since, row = None, connection.execute(first.where(jobs.c.priority >= 0)).first()
    while row is not None:
        if row.run_at <= now and (since is None or row.run_at < since):
            since = row.run_at
        lower = first.where(jobs.c.priority >= 0, jobs.c.priority < row.priority)
        row = connection.execute(lower).first()
    return since


def _destinations(connection: Connection, numbers: _Numbers) -> tuple[DestinationBacklog, ...]:
    under_way = numbers[JobKind.DELIVER, JobState.WAITING] + numbers[JobKind.DELIVER, JobState.RUNNING]
    # Not a join: SQLite would begin with every delivery that ever was.
    unfinished = select(jobs.c.id).where(
        jobs.c.kind == JobKind.DELIVER, jobs.c.subject_id == deliveries.c.id, jobs.c.finished_at.is_(None)
    )
    uncommitted = (
        deliveries.c.stored_at.is_not(None),
        deliveries.c.committed_at.is_(None),
        deliveries.c.failure.is_(None),
    )
    query = (
        select(deliveries.c.destination, func.count(), func.min(deliveries.c.stored_at))
        .where(*uncommitted, unfinished.exists())
        .group_by(deliveries.c.destination)
    )
    stored = {name: (number, since) for name, number, since in connection.execute(query)}
    # In Python's order: databases have each their own.
    return tuple(
        DestinationBacklog(name, number, *stored.get(name, (0, None)))
        for name, number in sorted(under_way.items())
        if number
    )


_Numbers = dict[tuple[JobKind, JobState], Counter[str]]
"""How many jobs there are, by destination; "" for those that have none."""


def _numbers(connection: Connection) -> _Numbers:
    found: _Numbers = defaultdict(Counter)
    of_key = (job_tallies.c.kind, job_tallies.c.state, job_tallies.c.destination)
    for kind, state, destination, number in connection.execute(
        select(*of_key, func.sum(job_tallies.c.number)).group_by(*of_key)
    ):
        found[kind, state][destination] += int(number)
    return found
