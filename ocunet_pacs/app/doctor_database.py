"""The database as `doctor` sees it: reachable, of this release's schema, writable, and its pages whole."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import text, update

from ocunet_pacs.app.doctor_checks import Check, Level, Verdict, fault, fault_of, ok
from ocunet_pacs.app.doctor_folders import nearest
from ocunet_pacs.domain.errors import DatabaseError, SchemaMismatch
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine, transaction
from ocunet_pacs.jobs.read_only import connect_to_read, open_to_read, sqlite_file
from ocunet_pacs.jobs.schema import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

_LATE = Verdict(
    Level.WARNING, "too large to be looked through here", "run `ocunet-pacs db integrity`, which takes its time"
)


def database_checks(url: str) -> Iterator[Check]:
    """One of the database, and on SQLite one of its pages."""
    yield Check("database", lambda: look_at_database(url), seconds=20.0)
    path = sqlite_file(url)
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
    engine = open_engine(url)
    try:
        version = _written_to(engine)
    except DatabaseError as error:
        return fault(f"it cannot be written to: {error}", _how_to_write(path))
    finally:
        engine.dispose()
    return ok(f"{version}, schema {revision}, can be written to")


def _written_to(engine: Engine) -> str:
    """Take the lock of a writer, change no row, and give it back; what the database is called."""
    with transaction(engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == -1).values(priority=jobs.c.priority))
        if engine.dialect.name == "sqlite":
            version = f"SQLite {sqlite3.sqlite_version}"
        else:
            version = f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        connection.rollback()
    return version


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
