"""Is the database whole? Its pages, its references, and what holds between our rows. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from ocunet_pacs.domain.errors import DatabaseError, SchemaMismatch
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import transaction
from ocunet_pacs.jobs.invariants import broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

_MOST = 20
"""Lines that SQLite gives of damage: a person does the same after one as after a thousand."""


def integrity_problems(engine: Engine) -> list[str]:
    """A sentence for each thing that is wrong; none for a database that is whole. `engine`: of `open_to_read`.

    Pages, indexes and CHECK constraints (SQLite's integrity_check; PostgreSQL has pg_amcheck), foreign keys, the
    schema, and our own invariants. A part that cannot be looked at is a problem, not an error; DatabaseError where the
    database is not there at all.
    """
    with transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    problems: list[str] = []
    of_sqlite = (_pages, _references) if engine.dialect.name == "sqlite" else ()
    for part in (*of_sqlite, _schema, _invariants):
        problems += _looked_at(engine, part)
    return problems


def _looked_at(engine: Engine, part: Callable[[Connection], Iterator[str]]) -> list[str]:
    found: list[str] = []
    try:
        with transaction(engine) as connection:
            # What was found before a page that cannot be read stays found.
            found.extend(part(connection))
    except (DatabaseError, DBAPIError) as error:
        why = str(error) if isinstance(error, DatabaseError) else type(error.orig).__name__
        found.append(f"{part.__name__.strip('_')}: cannot be looked at: {why}")
    return found


def _pages(connection: Connection) -> Iterator[str]:
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})"):
        if said != "ok":
            yield f"pages: {' '.join(said.split())}"


def _references(connection: Connection) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = {}
    for table, _row, parent, _key in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        counts[table, parent] = counts.get((table, parent), 0) + 1
    for (table, parent), count in counts.items():
        yield f"references: {count} of {table} name {parent} that are not there"


def _schema(connection: Connection) -> Iterator[str]:
    try:
        migrate.check(connection.engine)
    except SchemaMismatch as error:
        yield f"schema: {error}"


def _invariants(connection: Connection) -> Iterator[str]:
    if migrate.current_revision(connection) == migrate.newest_revision():
        for one in broken(connection):
            yield f"rows: {one}"
