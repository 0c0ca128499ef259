"""One suite, three adapters: `store` is both ports over memory, an SQLite file, or PostgreSQL."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.schema import metadata
from ocunet_pacs.jobs.sql import SqlJobs
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and no rows, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "queue.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_engine(migrated_file: Path, tmp_path: Path) -> Iterator[Engine]:
    shutil.copy(migrated_file, tmp_path / "queue.sqlite")
    engine = open_engine(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Engine]:
    url = new_database()
    engine = open_engine(url)
    upgrade(engine)
    yield engine
    engine.dispose()
    drop_database(url)


@pytest.fixture
def postgres_engine(shared_postgres: Engine) -> Engine:
    names = ", ".join(metadata.tables)
    with shared_postgres.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return shared_postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each database in turn, with the schema and no rows."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
def store(request: pytest.FixtureRequest) -> MemoryJobs | SqlJobs:
    """Each adapter in turn, empty."""
    if request.param == "memory":
        return MemoryJobs()
    return SqlJobs(request.getfixturevalue(f"{request.param}_engine"))
