"""The database, with what goes wrong with databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.app import doctor_database
from ocunet_pacs.app.doctor_checks import Level
from ocunet_pacs.app.doctor_database import (
    database_checks,
    judge_server_clock,
    look_at_database,
    look_at_pages,
    look_at_server_clock,
)
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.backup import back_up
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import queued
from tests.pg import postgres_url  # noqa: F401  # a fixture
from tests.unit.app.test_doctor_folders import open_folder, without_rights  # noqa: F401  # a fixture
from tests.unit.jobs.test_backup import damage

if TYPE_CHECKING:
    from pathlib import Path


def filled(folder: Path) -> Path:
    path = folder / "queue.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    queued(SqlJobs(engine))
    engine.dispose()
    return path


def change(path: Path, statement: str) -> None:
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_database_that_is_well_keeps_its_rows(tmp_path: Path) -> None:
    path = filled(tmp_path)
    found = look_at_database(f"sqlite:///{path}")
    assert found.level is Level.OK
    assert f"schema {migrate.newest_revision()}, can be written to" in found.found
    assert look_at_pages(path).level is Level.OK
    engine = open_engine(f"sqlite:///{path}")
    assert len(SqlJobs(engine).find()) == 1
    engine.dispose()


@pytest.mark.parametrize(("ahead", "words"), [(600.2, "600 s ahead of"), (-3.0, "3 s behind")])
def test_clocks_apart(ahead: float, words: str) -> None:
    found = judge_server_clock(ahead)
    assert found.level is Level.WARNING
    assert words in found.found


@pytest.mark.peers
def test_postgresql(postgres_url: str) -> None:  # noqa: F811
    empty = look_at_database(postgres_url)
    assert (empty.level, empty.remedy) == (Level.FAULT, "run: ocunet-pacs db upgrade")
    engine = open_engine(postgres_url)
    migrate.upgrade(engine)
    engine.dispose()
    found = look_at_database(postgres_url)
    assert found.level is Level.OK
    assert found.found.startswith("PostgreSQL ")
    assert [check.name for check in database_checks(postgres_url)] == ["database", "database clock"]
    assert look_at_server_clock(postgres_url).level is Level.OK
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{engine.url.database}" SET default_transaction_read_only = on')
    engine.dispose()
    standby = look_at_database(postgres_url)
    assert standby.level is Level.FAULT
    assert "see that it is no standby" in standby.remedy


def test_a_program_that_does_not_let_go_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path)
    monkeypatch.setattr(doctor_database, "_LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        found = look_at_database(f"sqlite:///{path}")
    assert (found.level, f"fuser -v {path}" in found.remedy) == (Level.WARNING, True)


def test_looking_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A restored copy has no write-ahead log until the daemon starts."""
    back_up(f"sqlite:///{filled(tmp_path)}", tmp_path / "copy.sqlite")
    before = (tmp_path / "copy.sqlite").read_bytes()
    assert look_at_database(f"sqlite:///{tmp_path / 'copy.sqlite'}").level is Level.OK
    assert (tmp_path / "copy.sqlite").read_bytes() == before


def test_a_newer_schema(tmp_path: Path) -> None:
    path = filled(tmp_path)
    change(path, "UPDATE alembic_version SET version_num = '9999'")
    found = look_at_database(f"sqlite:///{path}")
    assert found.level is Level.FAULT
    assert "9999" in found.found


def test_a_page_that_the_disk_lost(tmp_path: Path) -> None:
    path = filled(tmp_path)
    damage(path)
    found = look_at_pages(path)
    assert found.level is Level.FAULT
    assert f"{path} is damaged" in found.found
    assert "docs/database-care.md" in found.remedy


def test_a_database_for_which_there_is_no_right_to_write(open_folder: Path) -> None:  # noqa: F811
    path = filled(open_folder)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with without_rights():
        found = look_at_database(f"sqlite:///{path}")
    assert found.level is Level.FAULT
    assert "doctor as" in found.remedy


def test_no_database_is_made_by_looking(tmp_path: Path) -> None:
    found = look_at_database(f"sqlite:///{tmp_path / 'a' / 'queue.sqlite'}")
    assert (found.level, "not there yet" in found.found) == (Level.OK, True)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_and_a_password_that_stays_ours() -> None:
    pytest.importorskip("psycopg")
    found = look_at_database("postgresql://me:hushhush@127.0.0.1:9/name?connect_timeout=2")
    assert found.level is Level.FAULT
    assert "check that PostgreSQL runs" in found.remedy
    assert "hushhush" not in found.found + found.remedy
