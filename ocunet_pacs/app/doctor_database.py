"""The database as `doctor` sees it: reachable, of this release's schema, writable, and its pages whole."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from ocunet_pacs.app.doctor_checks import Check, Level, Verdict, fault, fault_of, ok, warning
from ocunet_pacs.app.doctor_folders import nearest
from ocunet_pacs.domain.errors import DatabaseError, SchemaMismatch
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.clock import QueueClock
from ocunet_pacs.jobs.engine import open_engine, transaction
from ocunet_pacs.jobs.read_only import connect_to_read, open_to_read, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_SECONDS = 12.0
_CLOCKS_APART = 2.0
_NO_ROW = "UPDATE jobs SET priority = priority WHERE id = -1"
_LATE = Verdict(
    Level.WARNING, "too large to be looked through here", "run `ocunet-pacs db integrity`, which takes its time"
)


def database_checks(url: str) -> Iterator[Check]:
    """One of the database; on SQLite one of its pages, on PostgreSQL one of its clock."""
    yield Check("database", lambda: look_at_database(url), seconds=20.0)
    path = sqlite_file(url)
    if path is None:
        yield Check("database clock", lambda: look_at_server_clock(url), seconds=20.0)
    if path is not None and path.is_file():
        yield Check("database pages", lambda: look_at_pages(path), seconds=60.0, when_late=_LATE)


def look_at_database(url: str) -> Verdict:
    """Reachable, this release's schema, writable. Nothing is changed, and nothing made where nothing is."""
    path = sqlite_file(url)
    if path is not None and not path.is_file():
        return _not_there(path)
    engine = open_to_read(url)
    try:
        revision = migrate.check(engine)
    except SchemaMismatch as error:
        return fault_of(error)
    except DatabaseError as error:
        return fault(str(error), _how_to_reach(path))
    finally:
        engine.dispose()
    try:
        version = _written_to_server(url) if path is None else _written_to_file(path)
    except (DatabaseError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return warning(
                f"another program has kept the writer's lock for {_LOCK_SECONDS:.0f} s",
                f"look again; if that stays so, find it with `fuser -v {path}`",
            )
        return fault(f"it cannot be written to: {error}", _how_to_write(path))
    return ok(f"{version}, schema {revision}, can be written to")


def _written_to_file(path: Path) -> str:
    """Take the lock of a writer, change no row, and give it back; what the database is called. sqlite3.Error."""
    address = f"file:{quote(str(path))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_NO_ROW)
        connection.execute("ROLLBACK")
    return f"SQLite {sqlite3.sqlite_version}"


def _written_to_server(url: str) -> str:
    """As `_written_to_file`. DatabaseError."""
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            connection.execute(text(_NO_ROW))
            version = connection.execute(text("SHOW server_version")).scalar_one()
            connection.rollback()
    except ProgrammingError as error:
        raise DatabaseError(f"{type(error.orig).__name__}") from error
    finally:
        engine.dispose()
    return f"PostgreSQL {version}"


def look_at_server_clock(url: str) -> Verdict:
    """How far this host's clock is from the database's, which all hosts of the queue go by."""
    engine = open_engine(url)
    try:
        return judge_server_clock(QueueClock(engine).host_is_ahead().total_seconds())
    except DatabaseError as error:
        return fault(str(error), _how_to_reach(None))
    finally:
        engine.dispose()


def judge_server_clock(ahead: float) -> Verdict:
    """`ahead`: seconds by which the host's clock is ahead; negative where it is behind."""
    if abs(ahead) < _CLOCKS_APART:
        return ok(f"within {_CLOCKS_APART:.0f} s of this machine's")
    return warning(
        f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's",
        "have both synchronised (chrony): the queue goes by the database's, but reports carry this machine's time",
    )


def look_at_pages(path: Path) -> Verdict:
    """SQLite's quick_check: every page, but not whether indexes and tables agree."""
    try:
        with closing(connect_to_read(path)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return ok(f"{path.stat().st_size / 2**20:.1f} MiB, whole")
    return fault(
        f"{path} is damaged: {' '.join(said.split())}",
        "stop the daemon, restore the latest backup (docs/database-care.md), and have the disk looked at",
    )


def _not_there(path: Path) -> Verdict:
    folder = nearest(path.parent)
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return ok(f"{path} is not there yet; `serve` makes it at its first start")
    return fault(f"{path} is not there, and {folder} may not be written to", f"give {folder} to the daemon's user")


def _how_to_reach(path: Path | None) -> str:
    if path is None:
        return "check that PostgreSQL runs, and host, name, user and password in database.url"
    return f"check the rights of {path}; run doctor as the daemon's user"


def _how_to_write(path: Path | None) -> str:
    if path is None:
        return "let the user of database.url change the tables; see that it is no standby"
    return f"give {path} and its folder to the daemon's user, and run doctor as that user; see that the disk has room"
