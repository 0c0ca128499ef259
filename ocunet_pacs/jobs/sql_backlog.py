"""What waits, counted on SQLite and PostgreSQL from the indexes of what is not finished; and the database itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, false, func, select, text, union_all, update

from ocunet_pacs.domain.backlog import Backlog, BacklogReader, DestinationBacklog, KindBacklog
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.migrate import check
from ocunet_pacs.jobs.schema import deliveries, destinations, jobs, studies
from ocunet_pacs.jobs.sql_queue import in_state, not_done

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
            return Backlog(_kinds(connection, now), _destinations(connection), open_studies, open_since)

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


def _kinds(connection: Connection, now: datetime) -> tuple[KindBacklog, ...]:
    found = {kind: KindBacklog(kind) for kind in JobKind}
    # The claim's own index holds all of this; the oldest has the lowest id.
    behind = case((and_(jobs.c.priority >= 0, jobs.c.run_at <= now), jobs.c.run_at))
    waiting = (
        select(jobs.c.kind, func.count().label("waiting"), func.min(jobs.c.id).label("oldest"))
        .add_columns(func.min(behind).label("due_since"))
        .where(in_state(JobState.WAITING))
        .group_by(jobs.c.kind)
        .subquery()
    )
    with_oldest = select(waiting, jobs.c.created_at).join_from(waiting, jobs, jobs.c.id == waiting.c.oldest)
    for row in connection.execute(with_oldest):
        found[row.kind] = KindBacklog(row.kind, row.waiting, oldest_at=row.created_at, due_since=row.due_since)
    # Not a bare column: SQLite would go through all jobs in the order of an index that begins with it. And whoever runs
    # has a lease: that is what the index is of.
    of_kind = func.lower(jobs.c.kind)
    query = select(of_kind, func.count()).group_by(of_kind)
    for word, number in connection.execute(
        query.where(in_state(JobState.RUNNING), jobs.c.lease_expires_at.is_not(None))
    ):
        found[JobKind(word)] = replace(found[JobKind(word)], running=number)
    for word, number in connection.execute(query.where(in_state(JobState.DEAD), not_done())):
        found[JobKind(word)] = replace(found[JobKind(word)], dead=number)
    return tuple(found.values())


def _destinations(connection: Connection) -> tuple[DestinationBacklog, ...]:
    unfinished = union_all(
        select(jobs.c.subject_id).where(in_state(JobState.WAITING), jobs.c.kind == JobKind.DELIVER),
        select(jobs.c.subject_id).where(
            in_state(JobState.RUNNING),
            jobs.c.lease_expires_at.is_not(None),
            # Not a bare column: see `sql_destinations`.
            func.lower(jobs.c.kind) == JobKind.DELIVER.value,
        ),
    ).subquery()
    uncommitted = and_(
        deliveries.c.stored_at.is_not(None), deliveries.c.committed_at.is_(None), deliveries.c.failure.is_(None)
    )
    stored_at = case((uncommitted, deliveries.c.stored_at))
    query = (
        select(deliveries.c.destination, func.count(), func.count(stored_at), func.min(stored_at))
        .join_from(unfinished, deliveries, deliveries.c.id == unfinished.c.subject_id)
        .group_by(deliveries.c.destination)
    )
    # In Python's order: databases have each their own.
    found = sorted(connection.execute(query), key=lambda row: row.destination)
    return tuple(DestinationBacklog(*row) for row in found)
