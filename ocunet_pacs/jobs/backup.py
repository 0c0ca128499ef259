"""A copy of SQLite's file while the daemon writes: whole, checked and durable before it has its name.

SQLite's backup API (https://sqlite.org/backup.html) copies all pages in one step, in which it reads as any reader does:
with the write-ahead log nobody waits for it, and the copy is the database at the moment when it began. Every row that
was committed by then is in it.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.jobs.read_only import connect_to_read, require_file, sqlite_file
from ocunet_pacs.jobs.reaper import is_gone, owner_name

if TYPE_CHECKING:
    from pathlib import Path

_BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite calls the files of one database."""
_UNFINISHED = ".part"
_OWNED = "@"
"""Between the name of a copy and its owner, in the name under which it is made; for "/" in the owner's name, too."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was made: its schema, and its size."""

    revision: str
    size_bytes: int


def back_up(url: str, out: Path, *, overwrite: bool = False) -> Backup:
    """Copy the database to the file `out`, readable by its owner alone, and check the copy.

    It has this name only once it is complete, passed `PRAGMA integrity_check`, has the schema of the original and is on
    the disk; a file that was there before stays whole until then. DatabaseError where there is no SQLite database to
    copy, `out` is taken (unless `overwrite`) or cannot be written, or the original is damaged. What backups that were
    killed left in the folder of `out` is removed.
    """
    source = sqlite_file(url)
    if source is None:
        raise DatabaseError(
            "database.url names PostgreSQL, whose own tool makes the copy; run: "
            "pg_dump --format=custom --file=FILE NAME-OF-THE-DATABASE (docs/database-care.md)"
        )
    require_file(source)
    _check_place(source, out, overwrite=overwrite)
    _remove_what_nobody_finishes(out.parent)
    owner = owner_name(secrets.token_hex(4)).replace("/", _OWNED)
    temporary = out.with_name(f".{out.name}{_OWNED}{owner}{_UNFINISHED}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        revision = _copied(source, temporary)
        _synchronise(temporary)
        size = temporary.stat().st_size
        temporary.replace(out)
        _synchronise(out.parent)
    except OSError as error:
        raise DatabaseError(f"{out} cannot be written: {error.strerror}") from error
    except sqlite3.Error as error:
        raise DatabaseError(f"the database cannot be copied to {out}: {error}") from error
    finally:
        _remove(temporary)
    return Backup(revision, size)


def _remove(temporary: Path) -> None:
    for ending in _BESIDE:
        with suppress(OSError):
            temporary.with_name(temporary.name + ending).unlink()


def _remove_what_nobody_finishes(folder: Path) -> None:
    """Copies whose process, on this machine, is gone: nobody else looks at them, and they are as large as the database.

    Of a copy that another machine makes in a shared folder nothing is known, so it stays.
    """
    for path in folder.glob(f".*{_OWNED}*{_UNFINISHED}"):
        owner = path.name.removesuffix(_UNFINISHED).split(_OWNED, 1)[1]
        if is_gone(owner.replace(_OWNED, "/")):
            _remove(path)


def _check_place(source: Path, out: Path, *, overwrite: bool) -> None:
    if not out.parent.is_dir():
        raise DatabaseError(f"{out.parent} is not a folder; make it first")
    ours = {source.with_name(source.name + ending).resolve() for ending in _BESIDE}
    if out.resolve() in ours:
        raise DatabaseError(f"{out} belongs to the database itself; name another file")
    if out.is_dir() or (out.exists() and not overwrite):
        raise DatabaseError(f"{out} is there already; name another file, or allow --overwrite")


def _copied(source: Path, target: Path) -> str:
    """Copy and check; the schema's revision."""
    with closing(connect_to_read(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        # One plain file, that can be read from anywhere; the daemon switches the log on again.
        copy.execute("PRAGMA journal_mode = DELETE")
        wrong = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
        if wrong != ["ok"]:
            raise DatabaseError(
                f"the database is damaged, and so would the copy be ({wrong[0]}): run ocunet-pacs db integrity, and "
                "keep the earlier backups"
            )
        revision, before = _revision(copy), _revision(original)
    if revision is None:
        raise DatabaseError(f"{source} is no database of ours: it names no schema")
    if revision != before:
        raise DatabaseError(f"the schema changed from {revision} to {before} meanwhile; make the backup again")
    return revision


def _revision(connection: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.OperationalError):
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if found is None else str(found[0])
    return None


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
