"""The database, ready for a role: connected, and with this release's schema."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from ocunet_pacs.settings import Settings


def prepare_database(settings: Settings, *, upgrade: bool = False) -> None:
    """Bring the schema up to date where `upgrade`, otherwise only check it. SchemaMismatch, DatabaseError."""
    engine = open_engine(settings.database.url)
    try:
        if upgrade:
            migrate.upgrade(engine)
        migrate.check(engine)
    finally:
        engine.dispose()


def open_database(settings: Settings) -> Engine:
    """An engine on a database whose schema is this release's. SchemaMismatch, DatabaseError."""
    engine = open_engine(settings.database.url)
    migrate.check(engine)
    return engine


@contextmanager
def opened_jobs(settings: Settings) -> Iterator[SqlJobs]:
    """Queue and ledger for the length of a command. SchemaMismatch, DatabaseError."""
    engine = open_database(settings)
    try:
        yield SqlJobs(engine)
    finally:
        engine.dispose()
