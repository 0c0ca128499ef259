"""Copies of a database that is in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.jobs import backup, migrate
from ocunet_pacs.jobs.backup import back_up
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.integrity import integrity_problems
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import image, queued
from tests.conftest import PROJECT

WRITER = """
import sys
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import queued
store = SqlJobs(open_engine(sys.argv[1]))
number = 0
while True:
    number += 1
    queued(store, f"1.3.{number}")
    print(number, flush=True)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    for number in range(3):
        queued(SqlJobs(engine), f"1.2.{number}")
    engine.dispose()
    return url


def problems(path: Path) -> list[str]:
    engine = open_to_read(f"sqlite:///{path}")
    try:
        return integrity_problems(engine)
    finally:
        engine.dispose()


def studies(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT study_instance_uid FROM studies")}


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "part" in path.name)


def test_a_copy_made_while_another_process_writes_is_whole_and_has_every_row_that_was_there(
    url: str, tmp_path: Path
) -> None:
    out = tmp_path / "copy.sqlite"
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            for _ in range(20):
                committed = int(writer.stdout.readline())
            made = back_up(url, out)
            later = int(writer.stdout.readline())
        finally:
            writer.kill()
    assert later > committed, "the writer went on"
    assert made.revision == migrate.newest_revision()
    assert made.size_bytes == out.stat().st_size
    assert problems(out) == []
    found = studies(out)
    assert {f"1.3.{number}" for number in range(1, committed + 1)} | {"1.2.0", "1.2.1", "1.2.2"} <= found
    ours = sorted(int(study.rpartition(".")[2]) for study in found if study.startswith("1.3."))
    assert ours == list(range(1, len(ours) + 1)), "one moment of the database, without gaps"
    assert left_over(tmp_path) == []


def test_a_restored_copy_is_a_database_to_go_on_with(url: str, tmp_path: Path) -> None:
    out = tmp_path / "copy.sqlite"
    back_up(url, out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.sqlite"], "one file"
    engine = open_engine(f"sqlite:///{out}")
    assert migrate.check(engine) == migrate.newest_revision()
    assert SqlJobs(engine).record_instance(image("1.9"))
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    engine.dispose()


def test_a_restore_as_the_page_says_brings_back_that_moment_and_nothing_else(url: str, tmp_path: Path) -> None:
    path, out = tmp_path / "queue.sqlite", tmp_path / "copy.sqlite"
    back_up(url, out)
    with subprocess.Popen([sys.executable, "-c", WRITER, url], cwd=PROJECT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(3):
            writer.stdout.readline()
        writer.kill()
    log = path.with_name("queue.sqlite-wal")
    assert log.stat().st_size > 0, "a daemon that was killed leaves it"
    for left in (log, path.with_name("queue.sqlite-shm")):
        left.unlink()
    shutil.copy(out, path)
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    assert studies(path) == {"1.2.0", "1.2.1", "1.2.2"}
    assert problems(path) == []


def test_a_name_that_an_address_would_read_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1"
    url = f"sqlite:///{folder / 'rows&more.sqlite'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    back_up(url, folder / "copy#1.sqlite")
    assert problems(folder / "copy#1.sqlite") == []


def test_a_database_of_an_older_schema_is_copied_before_its_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = open_engine(url)
    migrate.upgrade_to(engine, "0004")
    engine.dispose()
    assert back_up(url, tmp_path / "copy.sqlite").revision == "0004"


def test_a_file_that_is_there_is_replaced_only_where_that_is_asked_for(url: str, tmp_path: Path) -> None:
    out = tmp_path / "copy.sqlite"
    out.write_text("yesterday's")
    with pytest.raises(DatabaseError, match="is there already"):
        back_up(url, out)
    assert out.read_text() == "yesterday's"
    back_up(url, out, overwrite=True)
    assert problems(out) == []


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_the_database_is_never_overwritten_by_its_copy(url: str, tmp_path: Path, ending: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / f"queue.sqlite{ending}")
    for out in (tmp_path / f"queue.sqlite{ending}", link):
        with pytest.raises(DatabaseError, match="belongs to the database itself"):
            back_up(url, out, overwrite=True)
    assert problems(tmp_path / "queue.sqlite") == []


def test_a_damaged_database_gives_no_copy_and_leaves_the_earlier_one(url: str, tmp_path: Path) -> None:
    out = tmp_path / "copy.sqlite"
    back_up(url, out)
    before = out.read_bytes()
    damage(tmp_path / "queue.sqlite")
    with pytest.raises(DatabaseError, match=r"keep the earlier backups|cannot be copied"):
        back_up(url, out, overwrite=True)
    assert out.read_bytes() == before
    assert left_over(tmp_path) == []


def damage(path: Path) -> None:
    """Write over the pages of one index, as a disk that lost them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_instances_file_key'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x5a" * size)


def test_a_disk_that_fills_up_leaves_no_half_of_a_copy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(backup, "_synchronise", full)
    with pytest.raises(DatabaseError, match="No space left"):
        back_up(url, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()
    assert left_over(tmp_path) == []


def test_what_is_no_database_of_ours_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no database at"):
        back_up(f"sqlite:///{tmp_path / 'none.sqlite'}", tmp_path / "copy.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    with pytest.raises(DatabaseError, match="names no schema"):
        back_up(f"sqlite:///{tmp_path / 'other.sqlite'}", tmp_path / "copy.sqlite")
    with pytest.raises(DatabaseError, match="is not a folder"):
        back_up(f"sqlite:///{tmp_path / 'other.sqlite'}", tmp_path / "absent" / "copy.sqlite")


def test_postgresql_has_a_tool_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="pg_dump --format=custom") as caught:
        back_up("postgresql://me:secret@host/name", tmp_path / "copy")
    assert "secret" not in str(caught.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from ocunet_pacs.jobs import backup
backup._copied = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
backup.back_up(sys.argv[1], Path(sys.argv[2]))
"""


def test_what_a_killed_backup_left_goes_with_the_next_one(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, url, str(folder / "monday.db")], check=False, cwd=PROJECT)
    (left,) = folder.iterdir()
    left.with_name(f"{left.name}-journal").touch()
    ours = backup.owner_name("x").replace("/", backup._OWNED)
    kept = {
        f".sunday.db{backup._OWNED}{ours}{backup._UNFINISHED}",
        left.name.replace("monday", "elsewhere").replace(backup._OWNED, f"{backup._OWNED}another-", 1),
        ".somebody-elses.part",
    }
    for name in kept:
        (folder / name).touch()
    back_up(url, folder / "tuesday.db")
    assert {path.name for path in folder.iterdir()} == kept | {"tuesday.db"}
