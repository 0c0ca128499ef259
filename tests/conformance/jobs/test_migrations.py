"""The schema's versions, on both databases."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from ocunet_pacs.domain.errors import SchemaMismatch
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.schema import metadata
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import image
from tests.conftest import PROJECT
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
def new_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Makes engines on empty databases of one kind."""
    engines: list[Engine] = []

    def make() -> Engine:
        on_file = f"sqlite:///{tmp_path / f'{len(engines)}.sqlite'}"
        engines.append(open_engine(on_file if request.param == "sqlite" else new_database()))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()
        if request.param != "sqlite":
            drop_database(engine.url.render_as_string(hide_password=False))


def shape(engine: Engine) -> dict[str, object]:
    """Everything that the database itself says about its tables, Alembic's own aside."""
    inspector = inspect(engine)

    def by_name(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        return sorted(rows, key=lambda row: str(row["name"]))

    return {
        table: {
            "columns": [
                {**column, "type": str(column["type"].compile(engine.dialect))}
                for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": by_name(inspector.get_foreign_keys(table)),  # type: ignore[arg-type]
            "unique": by_name(inspector.get_unique_constraints(table)),  # type: ignore[arg-type]
            "checks": by_name(inspector.get_check_constraints(table)),  # type: ignore[arg-type]
            # As text: the condition of a partial index is an expression, which compares by identity.
            "indexes": [
                {**index, "dialect_options": {name: str(value) for name, value in index["dialect_options"].items()}}
                for index in by_name(inspector.get_indexes(table))  # type: ignore[arg-type]
            ],
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_the_migrations_make_what_the_code_expects(new_engine: Callable[[], Engine]) -> None:
    migrated, created = new_engine(), new_engine()
    migrate.upgrade(migrated)
    metadata.create_all(created)
    assert set(shape(migrated)) == set(metadata.tables)
    assert shape(migrated) == shape(created)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_up_and_down_and_up_again(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    migrate.upgrade(engine)
    assert SqlJobs(engine).record_instance(image("1.1"))
    migrate.downgrade(engine)
    assert shape(engine) == {}
    with pytest.raises(SchemaMismatch, match="is empty; run: ocunet-pacs db upgrade"):
        migrate.check(engine)
    migrate.upgrade(engine)
    assert SqlJobs(engine).find_instance("1.1") is None


def test_an_upgrade_of_what_is_up_to_date_keeps_its_rows(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    revision = migrate.upgrade(engine)
    SqlJobs(engine).record_instance(image("1.1"))
    assert migrate.upgrade(engine) == revision == migrate.check(engine) == SqlJobs(engine).schema_version
    assert SqlJobs(engine).find_instance("1.1") is not None


def test_an_empty_database_is_refused_with_the_command_that_helps(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    assert SqlJobs(engine).schema_version is None
    with pytest.raises(SchemaMismatch, match="ocunet-pacs db upgrade"):
        migrate.check(engine)


@pytest.mark.parametrize("act", [migrate.check, migrate.upgrade, migrate.downgrade])
def test_a_newer_schema_is_refused_and_left_alone(new_engine: Callable[[], Engine], act: Callable[..., object]) -> None:
    engine = new_engine()
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="9999, which this release does not know") as caught:
        act(engine)
    assert migrate.UPGRADE not in str(caught.value), "an upgrade cannot help"
    assert SqlJobs(engine).schema_version == "9999"


def test_an_older_schema_is_refused_with_the_command_that_helps(
    new_engine: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = new_engine()
    found = migrate.upgrade(engine)
    monkeypatch.setattr(migrate, "newest_revision", lambda: "9999")
    with pytest.raises(SchemaMismatch, match=f"has schema {found} and .* needs 9999; run: ocunet-pacs db upgrade"):
        migrate.check(engine)


def test_a_migration_that_fails_leaves_nothing_behind(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE outputs (id INTEGER)"))
    with pytest.raises(Exception, match="outputs"):
        migrate.upgrade(engine)
    assert inspect(engine).get_table_names() == ["outputs"]


def test_processes_that_upgrade_at_once_wait_for_each_other(new_engine: Callable[[], Engine]) -> None:
    url = new_engine().url.render_as_string(hide_password=False)
    program = (
        "import sys; from ocunet_pacs.jobs import migrate, engine;"
        "database = engine.open_engine(sys.argv[1]);"
        "print('ready', flush=True); sys.stdin.readline(); print(migrate.upgrade(database))"
    )
    command = [sys.executable, "-W", "error", "-c", program, url]
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert said == [migrate.newest_revision()] * 3


def test_the_schema_has_no_column_for_a_patient() -> None:
    names = {column.name for table in metadata.tables.values() for column in table.columns}
    assert not {name for name in names if any(word in name for word in ("patient", "birth", "name", "accession"))}
