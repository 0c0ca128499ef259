"""The schema's versions, on both databases."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from ocunet_pacs.domain.errors import SchemaMismatch
from ocunet_pacs.domain.job import Done, JobKind, JobState
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.integrity import integrity_problems
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.schema import metadata
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import DAY, LEASE, image
from tests.conftest import PROJECT
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    names -= {"patient_digest"}  # keyed: says nothing without the store's key
    assert not {name for name in names if any(word in name for word in ("patient", "birth", "name", "accession"))}


FIRST_ROWS = """
INSERT INTO studies (id, study_instance_uid, open_since, last_received_at, revision) VALUES
  (1, '1.2.1', NULL, '2024-05-01 08:00:00.000000', 1),
  (2, '1.2.2', '2024-05-01 08:00:01.000000', '2024-05-01 08:00:02.000000', 0);
INSERT INTO instances (id, study_id, series_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid,
  file_key, size_bytes, sha256, source_ae_title, received_at, opens_study, ordinal, revision) VALUES
  (1, 1, '1.2.1.1', '1.1', '1.2', '1.2', 'key-1', 1, 'x', 'CAMERA', '2024-05-01 08:00:00.000000', TRUE, 1, 1),
  (2, 2, '1.2.2.1', '1.2', '1.2', '1.2', 'key-2', 1, 'x', 'CAMERA', '2024-05-01 08:00:02.000000', TRUE, 1, NULL);
INSERT INTO analyses (id, study_id, revision, key, result, created_at, finished_at) VALUES
  (1, 1, 1, 'a key', '{}', '2024-05-01 08:01:00.000000', '2024-05-01 08:02:00.000000');
INSERT INTO outputs (id, analysis_id, kind, sop_class_uid, sop_instance_uid, series_instance_uid, file_key, created_at)
  VALUES (1, 1, 'report', '1.2', '2.25.1', '2.25.2', 'key-3', '2024-05-01 08:02:00.000000');
INSERT INTO deliveries (id, output_id, destination) VALUES (1, 1, 'pacs');
INSERT INTO jobs (id, kind, state, subject_id, attempt, max_attempts, run_at, created_at, finished_at) VALUES
  (1, 'analyse', 'done', 1, 1, 3, '2024-05-01 08:01:00', '2024-05-01 08:01:00', '2024-05-01 08:02:00'),
  (2, 'deliver', 'waiting', 1, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00', NULL)
"""
"""What a daemon with schema 0001 leaves behind: a study that is reported, and one that is open."""


def rows(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Every row of every table but Alembic's."""
    with engine.connect() as connection:
        return {
            table: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))]
            for table in ("studies", "instances", "analyses", "outputs", "deliveries", "jobs")
        }


def at_first_schema(engine: Engine) -> Engine:
    assert migrate.upgrade_to(engine, "0001") == "0001"
    with engine.begin() as connection:
        for statement in FIRST_ROWS.split(";"):
            connection.execute(text(statement))
    return engine


def test_rows_of_the_first_schema_keep_what_they_said(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    before = rows(engine)
    migrate.upgrade(engine)
    after = rows(engine)
    for table, old in before.items():
        assert [{name: new[name] for name in row} for row, new in zip(old, after[table], strict=True)] == old
    closed, opened = after["studies"]
    assert (closed["patient_digest"], closed["quiet_until"], closed["removed_at"]) == ("", None, None)
    assert opened["quiet_until"] == opened["last_received_at"], "due at once: the daemon stood still meanwhile"
    assert {(row["source"], row["removed_at"], row["missing_at"]) for row in after["instances"]} == {("", None, None)}
    migrate.downgrade(engine, "0001")
    assert rows(engine) == before


NEW_ROWS = """
UPDATE jobs SET priority = 5, hastened = TRUE WHERE id = 2;
UPDATE analyses SET urgency = 'emergency', bundle_digest = 'abc' WHERE id = 1;
UPDATE outputs SET form = 'enhanced/jpeg' WHERE id = 1;
UPDATE deliveries SET stored_at = '2024-05-01 08:03:00', transaction_uid = '2.25.9', asks = 1 WHERE id = 1;
INSERT INTO commitment_requests (transaction_uid, delivery_id) VALUES ('2.25.9', 1);
INSERT INTO destinations (destination, down_since, probe_at)
  VALUES ('pacs', '2024-05-01 08:03:00', '2024-05-01 08:04:00');
INSERT INTO outputs (id, analysis_id, kind, sop_class_uid, sop_instance_uid, series_instance_uid, file_key, created_at)
  VALUES (2, 1, 'pdf', '1.2', '2.25.3', '2.25.2', 'key-4', '2024-05-01 08:02:00'),
  (3, 1, 'fhir', '', '2.25.4', '2.25.2', 'key-5', '2024-05-01 08:02:00'),
  (4, 1, 'map', '1.2', '2.25.5', '2.25.2', 'key-6', '2024-05-01 08:02:00'),
  (5, 1, 'notice', '', '2.25.6', '2.25.2', 'key-7', '2024-05-01 08:02:00'),
  (6, 1, 'heatmap', '1.2', '2.25.7', '2.25.2', 'key-8', '2024-05-01 08:02:00');
INSERT INTO deliveries (id, output_id, destination) VALUES
  (2, 2, 'pacs'), (3, 3, 'record'), (4, 4, 'pacs'), (5, 5, 'pager'), (6, 6, 'pacs');
INSERT INTO commitment_requests (transaction_uid, delivery_id) VALUES ('2.25.9', 2);
INSERT INTO jobs (id, kind, state, subject_id, attempt, max_attempts, run_at, created_at) VALUES
  (3, 'deliver', 'waiting', 2, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00'),
  (4, 'deliver', 'waiting', 3, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00'),
  (5, 'deliver', 'waiting', 4, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00'),
  (6, 'deliver', 'waiting', 5, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00'),
  (7, 'deliver', 'waiting', 6, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00'),
  (8, 'analyse', 'waiting', 2, 0, 3, '2024-05-01 08:02:00', '2024-05-01 08:02:00')
"""
"""What schema 0004 has words for, and two outputs' ids that are also an analysis's."""


def test_on_the_way_down_goes_what_schema_0003_has_no_word_for(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade_to(engine, "0003")
    looked, before = shape(engine), rows(engine)
    migrate.upgrade_to(engine, "0004")
    for row in rows(engine)["jobs"]:
        assert (row["priority"], bool(row["hastened"])) == (0, False)
    [analysis], [made], [delivery] = (rows(engine)[name] for name in ("analyses", "outputs", "deliveries"))
    assert (analysis["urgency"], analysis["bundle_digest"], made["form"]) == (None, "", "")
    assert (delivery["stored_at"], delivery["asks"], delivery["failure"]) == (None, 0, None)
    with engine.begin() as connection:
        for statement in NEW_ROWS.split(";"):
            connection.execute(text(statement))
    migrate.downgrade(engine, "0003")
    assert shape(engine) == looked
    after = rows(engine)
    assert [row["id"] for row in after["outputs"]] == [1, 6]
    assert [row["id"] for row in after["deliveries"]] == [1, 6]
    assert [row["id"] for row in after["jobs"]] == [1, 2, 7, 8]
    for table, old in before.items():
        assert after[table][: len(old)] == old
    migrate.upgrade(engine)
    assert [row["id"] for row in rows(engine)["jobs"]] == [1, 2, 7, 8]


SHADOW_ROWS = """
INSERT INTO shadows (id, analysis_id, bundle_digest, operating_point, bundle, created_at)
  VALUES (1, 1, 'abc', 'default', 'retrained', '2024-05-01 08:03:00');
INSERT INTO shadow_scores (id, shadow_id, sop_instance_uid, frame, scores, reason)
  VALUES (1, 1, '1.1', 0, '[]', NULL), (2, 1, '1.2', 0, NULL, 'ungradable');
INSERT INTO jobs (id, kind, state, subject_id, attempt, max_attempts, run_at, created_at, priority)
  VALUES (3, 'shadow', 'waiting', 1, 0, 2, '2024-05-01 08:02:00', '2024-05-01 08:02:00', -1)
"""


def test_on_the_way_down_go_shadows_and_nothing_else(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade_to(engine, "0004")
    looked, before = shape(engine), rows(engine)
    migrate.upgrade_to(engine, "0005")
    assert rows(engine) == before
    with engine.begin() as connection:
        for statement in SHADOW_ROWS.split(";"):
            connection.execute(text(statement))
    migrate.downgrade(engine, "0004")
    assert shape(engine) == looked
    assert rows(engine) == before


DRIFT_ROWS = """
INSERT INTO cameras (id, digest, words, first_seen_at, last_seen_at)
  VALUES (1, 'abc', 'Acme Retina 7', '2024-05-01 08:03:00', '2024-05-01 08:03:00');
INSERT INTO observations (id, instance_id, frame, camera_id, observed_at, bundle_digest, numbers, refused, pattern)
  VALUES (1, 1, 0, 1, '2024-05-01 08:03:00', 'abc', '[]', '', '');
INSERT INTO drift_baselines (id, camera_id, part, bundle_digest, until, content)
  VALUES (1, 1, 'image', '', '2024-05-01 08:03:00', '{}');
INSERT INTO drift_findings (id, day, ran_at, camera_id, part, measure, value, most, alert, photographs, studies, words)
  VALUES (1, '2024-05-01', '2024-05-01 08:03:00', 1, 'image', 'red', 0.1, 0.25, FALSE, 1, 1, '')
"""


def test_on_the_way_down_goes_the_drift_watch_and_nothing_else(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade_to(engine, "0005")
    looked, before = shape(engine), everything(engine)
    migrate.upgrade_to(engine, "0006")
    with engine.begin() as connection:
        for statement in DRIFT_ROWS.split(";"):
            connection.execute(text(statement.replace(":", r"\:")))
    migrate.downgrade(engine, "0005")
    assert shape(engine) == looked
    assert everything(engine) == before


def test_jobs_that_are_there_are_counted_once_and_after_that_kept(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade_to(engine, "0008")
    looked, before = shape(engine), everything(engine)
    migrate.upgrade(engine)
    there = {(JobKind.ANALYSE, JobState.DONE): 1, (JobKind.DELIVER, JobState.WAITING): 1}
    assert SqlJobs(engine).counts() == there
    assert [one.destination for one in SqlJobs(engine).backlog(datetime.now(UTC)).destinations] == ["pacs"]
    migrate.downgrade(engine, "0008")
    assert shape(engine) == looked
    assert everything(engine) == before
    with engine.begin() as connection:  # nothing is left that would keep a count
        connection.execute(text("UPDATE jobs SET state = 'dead', finished_at = created_at WHERE id = 2"))
    migrate.upgrade(engine)
    assert SqlJobs(engine).counts() == {(JobKind.ANALYSE, JobState.DONE): 1, (JobKind.DELIVER, JobState.DEAD): 1}


def written_by_release_0004(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Load what that release wrote by its own code; every row of every table."""
    assert migrate.upgrade_to(engine, "0004") == "0004"
    written = (Path(__file__).parent / "release_0004.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        for statement in written.split(";\n"):
            if statement.strip():
                connection.execute(text(statement.replace(":", r"\:")))
        if engine.dialect.name == "postgresql":
            for table in rows(engine):
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
                )
    return everything(engine)


def everything(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """As `rows`, of every table that there is, in an order that does not depend on an id."""
    names = [name for name in inspect(engine).get_table_names() if name != "alembic_version"]
    with engine.connect() as connection:
        found = {name: connection.execute(text(f"SELECT * FROM {name}")).mappings().all() for name in names}
    return {name: sorted(map(dict, all_of_it), key=str) for name, all_of_it in found.items()}


def test_data_of_the_previous_release_comes_up_whole_and_goes_back_as_it_was(
    new_engine: Callable[[], Engine],
) -> None:
    engine = new_engine()
    before, looked = written_by_release_0004(engine), shape(engine)
    assert sum(map(len, before.values())) > 30
    migrate.upgrade(engine)
    after = everything(engine)
    for table, old in before.items():
        kept = [{name: row[name] for name in old[0]} for row in after[table]] if old else after[table]
        assert sorted(kept, key=str) == old, table
    assert problems(engine) == []
    migrate.downgrade(engine, "0004")
    assert shape(engine) == looked
    assert everything(engine) == before
    migrate.upgrade(engine)
    assert everything(engine) == after


def test_this_release_goes_on_with_what_the_previous_one_left(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    written_by_release_0004(engine)
    migrate.upgrade(engine)
    store, later = SqlJobs(engine), datetime(2026, 12, 1, tzinfo=UTC)
    assert len(store.studies_due(later, DAY)) == 2, "two patients of one study, open"
    closed = [store.close_study(study, later, 3) for study in store.studies_due(later, DAY)]
    assert None not in closed
    reaped = store.reap(later, lambda owner: False)
    assert reaped, "the old daemon's lease is over"
    waiting = []
    while (job := store.claim([JobKind.ANALYSE, JobKind.DELIVER], "work", later + DAY, LEASE)) is not None:
        waiting.append((job.kind, store.describe(job)["study"]))
        assert store.finish(job, Done(), later + DAY, 0.0)
    analyses = sorted(study for kind, study in waiting if kind is JobKind.ANALYSE)
    assert analyses == ["1.2.51", "1.2.52", "1.2.52", "1.2.53"]
    assert [study for kind, study in waiting if kind is JobKind.DELIVER] == ["1.2.50"] * 3
    assert problems(engine) == []


def problems(engine: Engine) -> list[str]:
    reading = open_to_read(engine.url.render_as_string(hide_password=False))
    try:
        return integrity_problems(reading)
    finally:
        reading.dispose()


@pytest.mark.parametrize(
    "wrong",
    [
        "INSERT INTO shadow_scores (id, shadow_id, sop_instance_uid, frame, scores) VALUES (1, 9, '1.1', 0, '[]')",
        "INSERT INTO shadow_scores (id, shadow_id, sop_instance_uid, frame) VALUES (1, 1, '1.1', 0)",
        "UPDATE jobs SET kind = 'film' WHERE id = 1",
        (
            "INSERT INTO drift_baselines (camera_id, part, bundle_digest, until, content)"
            " VALUES (9, 'image', '', CURRENT_TIMESTAMP, '')"
        ),
        "UPDATE outputs SET kind = 'film' WHERE id = 1",
        "UPDATE analyses SET urgency = 'rather' WHERE id = 1",
        "INSERT INTO commitment_requests (transaction_uid, delivery_id) VALUES ('2.25.9', 99)",
        "INSERT INTO destinations (destination, down_since) VALUES ('pacs', '2024-05-01 08:03:00')",
    ],
)
def test_a_word_that_does_not_exist_is_refused(new_engine: Callable[[], Engine], wrong: str) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade(engine)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(wrong))


def test_rows_still_point_at_each_other_after_every_migration(new_engine: Callable[[], Engine]) -> None:
    """SQLite copies tables to change them, with its foreign keys switched off; they are back on afterwards."""
    engine = at_first_schema(new_engine())
    for move in (migrate.upgrade, lambda engine: migrate.downgrade(engine, "0001"), migrate.upgrade):
        move(engine)
        for orphan in (
            "INSERT INTO deliveries (id, output_id, destination) VALUES (9, 99, 'pacs')",
            "DELETE FROM studies WHERE id = 1",
        ):
            with pytest.raises(IntegrityError), engine.begin() as connection:
                connection.execute(text(orphan))


def test_two_patients_of_one_study_do_not_fit_the_first_schema(new_engine: Callable[[], Engine]) -> None:
    engine = at_first_schema(new_engine())
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO studies (id, study_instance_uid, last_received_at, revision, patient_digest) "
                "VALUES (3, '1.2.1', '2024-05-01 08:00:00.000000', 0, 'another')"
            )
        )
    before = rows(engine)
    with pytest.raises(CommandError, match="1 studies hold images of several patients"):
        migrate.downgrade(engine, "0001")
    assert rows(engine) == before
    assert migrate.check(engine) == migrate.newest_revision()
