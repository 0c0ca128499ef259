"""One engine for either database, set up so that a commit is durable and a writer never deadlocks with a reader.

SQLite: write-ahead log with full synchronisation, so that a committed row survives a power cut; every transaction takes
the write lock at its beginning (BEGIN IMMEDIATE), because a reader that turns writer half-way fails at once instead of
waiting. Transactions of an engine made with `for_reading` begin deferred and wait for nobody.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import URL, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ocunet_pacs.domain.errors import ConfigError, DatabaseError, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 30
LARGEST_LOG_BYTES = 64 << 20
"""What SQLite's write-ahead log is cut back to when its content is in the database."""
OLDEST_SQLITE = (3, 35)
_POSTGRES_DISK_FULL = "53100"
_CLIENT_PATIENCE = MappingProxyType(
    {
        "connect_timeout": 10,
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 4,
        "tcp_user_timeout": 60_000,
    }
)
"""After a minute without a sign of the server a connection is broken, in libpq's words."""
_SERVER_PATIENCE = MappingProxyType(
    {
        "tcp_keepalives_idle": "20s",
        "tcp_keepalives_interval": "10s",
        "tcp_keepalives_count": "4",
        "tcp_user_timeout": "60s",
        "idle_in_transaction_session_timeout": "60s",
    }
)
"""The same as the server's side has it; none of our transactions waits for anything but the database."""
_FULL_BELOW_BYTES = 1 << 16


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///…` (a file) or `postgresql://…`; connects to nothing yet.

    Makes the folder of an SQLite file, readable by its owner alone. ConfigError when the URL cannot be used,
    DatabaseError when the folder cannot be made. No message holds the URL: it may hold the password.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        # Not chained: the cause quotes parts of the URL.
        raise ConfigError(["database.url: this cannot be read as sqlite:///path or postgresql://…"]) from None
    if backend == "sqlite":
        return _open_sqlite(parsed)
    if backend in {"postgresql", "postgres"}:
        return _open_postgres(parsed)
    raise ConfigError([f"database.url: {backend} is not supported; use sqlite:///path or postgresql://…"])


def for_reading(engine: Engine) -> Engine:
    """The same engine and pool; on SQLite its transactions do not take the write lock."""
    return engine.execution_options(sqlite_begin="DEFERRED")


@contextmanager
def rebuilding(engine: Engine) -> Iterator[Engine]:
    """The same engine for a migration; on SQLite its transactions check no foreign keys until the end.

    SQLite changes a constraint by copying the table and dropping the old one, which foreign keys that point to it do
    not survive otherwise (https://sqlite.org/lang_altertable.html#otheralter). The caller runs `check_references`.
    """
    try:
        yield engine.execution_options(sqlite_begin="IMMEDIATE", sqlite_foreign_keys="OFF")
    finally:
        # The switch belongs to the connection: no transaction after this one may find it off.
        engine.dispose()


def check_references(connection: Connection) -> None:
    """DatabaseError when a row names another that is not there. PostgreSQL has looked already."""
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise DatabaseError("the database holds rows that name others which are not there; restore it from a backup")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on an error.

    DatabaseError when the database is not there, locked for too long or damaged, or broke the connection; DatabaseFull
    when its disk is full. A statement that is wrong in itself stays SQLAlchemy's error: a fault of ours.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (DataError, IntegrityError, NotSupportedError, ProgrammingError):
        raise
    except (DBAPIError, PoolTimeout) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        first_line = str(cause).strip().partition("\n")[0]
        msg = f"the database does not work: {first_line}"
        kind = DatabaseFull if _says_full(cause, engine.url) else DatabaseError
        raise kind(msg) from error


def _says_full(cause: BaseException | None, url: URL) -> bool:
    """Whether the error means that the database's disk is full.

    SQLite has a word for it, but not in every place: its shared memory and a new write-ahead log fail as if the disk
    were broken. Whether it is only full can be looked up.
    """
    if isinstance(cause, sqlite3.Error):
        # Errors of the driver's own have no code.
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and url.database:
            return _is_full(Path(url.database).parent)
        return code == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _POSTGRES_DISK_FULL


def _is_full(folder: Path) -> bool:
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _FULL_BELOW_BYTES or (status.f_files > 0 and status.f_favail == 0)


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigError(["database.url: the queue must outlive the process; name a file, sqlite:///path"])
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        msg = f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed (or use PostgreSQL)"
        raise DatabaseError(msg)
    folder = Path(url.database).parent
    try:
        _make_folder(folder)
    except OSError as error:
        msg = f"the database's folder {folder} cannot be made: {error.strerror}"
        raise DatabaseError(msg) from error
    # No limit on connections: each costs a file handle, and they queue for the write lock, not for the pool.
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        connect_args={"timeout": BUSY_TIMEOUT_S},
        max_overflow=-1,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(folder: Path) -> None:
    """Make it and its missing parents, each durable in its own parent: SQLite sees only to the names in `folder`."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _set_up_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own BEGIN comes too late (at the first write) and not before DDL; `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # One large transaction, or a reader that stays long, makes the log grow; without this it keeps that size for ever.
    cursor.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG_BYTES}")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """A property of the file, set once. Processes that set it at the same moment get SQLITE_BUSY without waiting."""
    for tries_left in range(BUSY_TIMEOUT_S * 10, -1, -1):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or tries_left == 0:
                raise
            time.sleep(0.1)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if "sqlite_foreign_keys" in options:
        connection.exec_driver_sql(f"PRAGMA foreign_keys = {options['sqlite_foreign_keys']}")
    mode = options.get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _open_postgres(url: URL) -> Engine:
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            # The site's own word in the URL outweighs ours.
            connect_args={name: value for name, value in _CLIENT_PATIENCE.items() if name not in url.query},
            # The guarded statements are written for it: each statement sees what was committed before it began.
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            max_overflow=20,
            hide_parameters=True,
        )
    except ImportError:
        raise ConfigError(["database.url: PostgreSQL needs pip install ocunet-pacs[postgres]"]) from None
    event.listen(engine, "connect", _set_up_postgres)
    return engine


def _set_up_postgres(connection: psycopg.Connection[tuple[object, ...]], _entry: ConnectionPoolEntry) -> None:
    """Tell the server how long to keep the session of a client that it does not hear of.

    A host that is cut off in the middle of a transaction leaves rows locked, for whoever reaps or finishes as well: by
    default for two hours. On a Unix socket the first three mean nothing, and the server takes them without a word.
    """
    with connection.cursor() as cursor:
        for name, value in _SERVER_PATIENCE.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()
