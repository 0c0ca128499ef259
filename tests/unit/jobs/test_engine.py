"""What an engine promises before the first row."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from ocunet_pacs.domain.errors import ConfigError, DatabaseError, DatabaseFull
from ocunet_pacs.jobs.engine import for_reading, open_engine, transaction
from ocunet_pacs.jobs.schema import metadata, studies
from tests.pg import postgres_url  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

SECRET = "pa55-w0rd"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 30_000),
        ("journal_size_limit", 64 << 20),
    ],
)
def test_sqlite_is_durable_and_strict(engine: Engine, pragma: str, value: object) -> None:
    with engine.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value


@pytest.mark.peers
def test_a_session_that_stands_still_in_a_transaction_is_not_kept_for_long(postgres_url: str) -> None:  # noqa: F811
    engine = open_engine(postgres_url)
    with transaction(engine) as connection:
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "1min"
    engine.dispose()


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    open_engine(f"sqlite:///{tmp_path / 'state' / 'queue.sqlite'}").dispose()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be made"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'state' / 'queue.sqlite'}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        f"mysql://user:{SECRET}@host/db",
        f"postgresql://user:{SECRET}@host:{SECRET}/db",
        f"postgresql//user:{SECRET}@host/db",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^database\.url: ") as caught:
        open_engine(url)
    assert SECRET not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg"])
def test_postgres_goes_through_psycopg_3(scheme: str) -> None:
    engine = open_engine(f"{scheme}://user:{SECRET}@127.0.0.1:1/db")
    assert engine.dialect.driver == "psycopg"
    assert SECRET not in repr(engine)


def test_a_database_that_is_not_there_is_one_of_our_errors_without_the_password() -> None:
    engine = open_engine(f"postgresql://user:{SECRET}@127.0.0.1:1/db")
    with pytest.raises(DatabaseError, match="the database does not work") as caught, transaction(engine):
        pass
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.__cause__)


def test_a_file_that_is_no_database_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 100)
    engine = open_engine(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    with pytest.raises(DatabaseError, match="not a database"), transaction(engine):
        pass


def test_a_failed_statement_does_not_show_what_it_was_given(engine: Engine) -> None:
    with pytest.raises(StatementError) as caught, transaction(engine) as connection:
        connection.execute(studies.insert().values(study_instance_uid="1.2.3.99", revision=0))
    assert "1.2.3.99" not in str(caught.value)


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    with transaction(engine), transaction(for_reading(engine)) as reading:
        assert reading.execute(select(studies.c.id)).all() == []


def test_a_writer_takes_its_lock_at_the_beginning(engine: Engine, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "queue.sqlite", timeout=0, isolation_level=None)
    with transaction(engine), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_times_are_stored_and_read_as_utc(engine: Engine) -> None:
    in_brisbane = datetime(2024, 5, 1, 18, 0, 0, 123456, tzinfo=timezone(timedelta(hours=10)))
    with transaction(engine) as connection:
        connection.execute(studies.insert().values(study_instance_uid="1.2", revision=0, last_received_at=in_brisbane))
        read = connection.execute(select(studies.c.last_received_at)).scalar_one()
        stored = connection.execute(text("SELECT last_received_at FROM studies")).scalar_one()
    assert read == in_brisbane
    assert read.utcoffset() == timedelta(0)
    assert stored == "2024-05-01 08:00:00.123456"


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    naive = datetime(2024, 5, 1)  # noqa: DTZ001  # the very thing
    with pytest.raises(StatementError, match="without a zone"), transaction(engine) as connection:
        connection.execute(studies.insert().values(study_instance_uid="1.2", revision=0, last_received_at=naive))


def test_a_full_sqlite_database_is_told_from_a_broken_one(engine: Engine) -> None:
    def fill() -> None:
        with transaction(engine) as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))
            for _ in range(100):
                connection.execute(text("INSERT INTO filling VALUES (zeroblob(4096))"))

    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE filling (content BLOB)"))
    with pytest.raises(DatabaseFull, match="full"):
        fill()
    with transaction(engine) as connection:
        connection.execute(text("PRAGMA max_page_count = 100000"))
        connection.execute(text("INSERT INTO filling VALUES (zeroblob(4096))"))


def test_a_broken_sqlite_database_is_not_full(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    with pytest.raises(DatabaseError) as caught, transaction(engine):
        pass
    assert not isinstance(caught.value, DatabaseFull)


@pytest.mark.peers
def test_a_full_postgresql_is_told_from_a_broken_one(postgres_url: str) -> None:  # noqa: F811
    """The server's own error for a disk that is full (SQLSTATE 53100, disk_full), without filling its disk."""
    engine = open_engine(postgres_url)
    with pytest.raises(DatabaseFull), transaction(engine) as connection:
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"))
    with pytest.raises(DatabaseError) as caught, transaction(engine) as connection:
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57P01'; END $$"))
    assert not isinstance(caught.value, DatabaseFull)
    engine.dispose()
