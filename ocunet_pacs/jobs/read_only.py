"""The database for those who only look: nothing is made, upgraded, locked or set up, whatever is there."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.pool import NullPool

from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.jobs.engine import BUSY_TIMEOUT_S, open_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def open_to_read(url: str) -> Engine:
    """An engine like `open_engine`'s on which every statement that writes fails; a transaction sees one moment.

    DatabaseError where SQLite's file is not there, ConfigError as `open_engine`.
    """
    path = sqlite_file(url)
    if path is None:
        # On PostgreSQL, REPEATABLE READ is what makes one moment of a transaction.
        return open_engine(url).execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    require_file(path)
    engine = create_engine("sqlite+pysqlite://", creator=lambda: connect_to_read(path), poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def connect_to_read(path: Path) -> sqlite3.Connection:
    """SQLite's own connection that can only read, for any thread. sqlite3.Error."""
    address = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(
        address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=0
    )


def sqlite_file(url: str) -> Path | None:
    """The file that the URL names; None where it names PostgreSQL."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def require_file(path: Path) -> None:
    """DatabaseError unless the file is there."""
    if not path.is_file():
        msg = f"there is no database at {path}; check database.url, or run: ocunet-pacs db upgrade"
        raise DatabaseError(msg)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")
