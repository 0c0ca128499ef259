"""What holds between rows: after all that queue and ledger do, and not after a hand that changes them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ocunet_pacs.domain.job import Never
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.integrity import integrity_problems
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import DAY, NOW, QUIET, claimed, closed, image, queued
from tests.conformance.jobs.whole_study import a_look, an_outage, one_study
from tests.unit.jobs.test_backup import damage

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def fill(engine: Engine) -> None:
    """Studies in every state; the first is reported, the last closed and waiting."""
    store = SqlJobs(engine)
    one_study(store, 1)
    an_outage(store, 1)
    a_look(store, 1)
    store.record_instance(image("1.5.1", "1.5", NOW, quiet=QUIET, patient="a" * 64))
    store.record_instance(image("1.5.2", "1.5", NOW, quiet=QUIET, patient="b" * 64))
    queued(store, "1.6")
    assert store.finish(claimed(store, at=NOW), Never("it cannot be read"), NOW, 0.0)
    queued(store, "1.7", NOW - DAY)
    store.record_instance(image("1.7.9", "1.7", NOW - DAY))
    closed(store, "1.7", NOW - DAY)


def looked(engine: Engine) -> list[str]:
    reading = open_to_read(engine.url.render_as_string(hide_password=False))
    try:
        return integrity_problems(reading)
    finally:
        reading.dispose()


def test_nothing_that_queue_and_ledger_do_breaks_one(engine: Engine) -> None:
    fill(engine)
    assert looked(engine) == []


@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        (
            "UPDATE job_tallies SET number = number + 1 WHERE kind = 'analyse' AND state = 'done'",
            "1 of job_tallies: tallies that are not the number of jobs (id 4)",
        ),
        ("UPDATE jobs SET subject_id = 999 WHERE id = 2", "1 of jobs: deliver jobs whose subject is not there (id 2)"),
        ("DELETE FROM jobs WHERE id = 1", "1 of analyses: rows without a job, so that nobody will do them (id 1)"),
        ("DELETE FROM jobs WHERE id = 2", "1 of deliveries: rows without a job, so that nobody will do them (id 1)"),
        (
            "DELETE FROM jobs WHERE kind = 'shadow'",
            "1 of shadows: rows without a job, so that nobody will do them (id 1)",
        ),
        (
            "UPDATE jobs SET state = 'waiting', finished_at = NULL WHERE id = 1",
            "1 of jobs: analyse jobs that would do again what is finished (id 1)",
        ),
        (
            "UPDATE analyses SET finished_at = NULL WHERE id = 1",
            "2 of outputs: results of an analysis that is not finished (id 1, 2)",
        ),
        (
            "UPDATE instances SET revision = NULL WHERE id = 1",
            "1 of instances: images that no revision holds, in a study that is closed (id 1)",
        ),
        (
            "UPDATE analyses SET revision = 7 WHERE id = 1",
            "1 of studies: studies without an analysis of their newest revision (id 1)",
        ),
        (
            "UPDATE instances SET revision = 2 WHERE id = 1",
            "1 of instances: rows of a revision that their study does not have (id 1)",
        ),
    ],
)
def test_what_a_hand_breaks_is_named(engine: Engine, by_hand: str, said: str) -> None:
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text(by_hand))
    assert f"rows: {said}" in looked(engine)


def test_many_rows_are_counted_and_the_first_are_named(engine: Engine) -> None:
    store = SqlJobs(engine)
    for number in range(9):
        queued(store, f"1.2.{number}")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM jobs"))
    assert looked(engine) == [
        "rows: 9 of analyses: rows without a job, so that nobody will do them (id 1, 2, 3, 4, 5, …)"
    ]


def test_whoever_looks_cannot_write(engine: Engine) -> None:
    reading = open_to_read(engine.url.render_as_string(hide_password=False))
    with pytest.raises(DBAPIError, match=r"read-?only"), reading.begin() as connection:
        connection.execute(text("DELETE FROM jobs"))
    reading.dispose()


def test_another_schema_is_a_problem_and_its_rows_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        [said] = looked(engine)
    finally:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    assert said.startswith("schema: the database has schema 9999, which this release does not know")


def test_a_page_that_the_disk_lost_and_a_row_that_points_nowhere(sqlite_engine: Engine, tmp_path: Path) -> None:
    fill(sqlite_engine)
    sqlite_engine.dispose()
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM outputs WHERE id = 1")
    damage(path)
    said = looked(open_engine(f"sqlite:///{path}"))
    assert any(line.startswith("pages: ") for line in said)
    assert "references: 1 of deliveries name outputs that are not there" in said


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"not a database at all, " * 100)
    reading = open_to_read(f"sqlite:///{path}")
    said = integrity_problems(reading)
    reading.dispose()
    assert said[0] == "pages: cannot be looked at: the database does not work: file is not a database"
    assert path.read_bytes().startswith(b"not a database")
