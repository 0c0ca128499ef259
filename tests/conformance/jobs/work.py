"""How much work a call gives the database: counted, never timed, so that the same work is the same number everywhere.

SQLite counts the instructions of its virtual machine. PostgreSQL (15 or newer) counts the pages of tables, indexes and
catalogues that are looked at, and the rows and index entries that are read, for whatever reason: a statement, its
planning, a trigger, or a vacuum that runs meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import event, text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlalchemy import Engine

    Call: TypeAlias = Callable[[], object]
    Work: TypeAlias = Callable[[Call], int]
    """What a call cost. Whoever wants no cold cache in it makes the call once before."""

GRAIN = 5
"""Instructions of SQLite's after which it is asked to count; what is counted is a multiple of it."""
_READ = text(
    "SELECT blks_hit + blks_read + tup_returned + tup_fetched FROM pg_stat_database WHERE datname = current_database()"
)


def counting(engine: Engine) -> Work:
    """Counts what calls cost that are made one at a time, on an engine that nobody else uses meanwhile."""
    return _instructions(engine) if engine.dialect.name == "sqlite" else _pages(engine)


def _instructions(engine: Engine) -> Work:
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += GRAIN

    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(count, GRAIN)

    event.listen(engine, "connect", watch)
    engine.dispose()

    def cost(call: Call) -> int:
        before = seen
        call()
        return seen - before

    return cost


def _pages(engine: Engine) -> Work:
    """Of the one session that the engine's pool hands out while only one call is made at a time."""

    def read() -> int:
        with engine.connect() as connection:
            connection.execute(text("SET stats_fetch_consistency = none"))
            # A session hands its counts in once a second, unless it is told to do so at the end of its transaction.
            connection.execute(text("SELECT pg_stat_force_next_flush()"))
            connection.commit()
            return int(connection.execute(_READ).scalar_one())

    def cost(call: Call) -> int:
        read()
        before = read()
        call()
        return read() - before

    return cost
