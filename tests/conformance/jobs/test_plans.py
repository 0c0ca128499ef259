"""The queries that run all day use the indexes that are there for them, however many jobs are done already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import BOTH, LEASE, NOW, QUIET, everybody_lives

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine


def plan(engine: Engine, call: Callable[[], object]) -> str:
    """How SQLite goes about the statements of `call`."""
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    call()
    event.remove(engine, "before_cursor_execute", note)
    steps: list[str] = []
    with engine.connect() as connection:
        for statement, parameters in statements:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            steps += [row.detail for row in rows]
    return "; ".join(steps)


def test_a_claim_reads_the_waiting_jobs_in_order(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    assert "ix_jobs_claim" in plan(sqlite_engine, lambda: store.claim(BOTH, "a worker", NOW, LEASE))
    steps = plan(sqlite_engine, lambda: store.claim([JobKind.DELIVER], "a worker", NOW, LEASE))
    assert "ix_jobs_claim" in steps
    assert "TEMP B-TREE" not in steps, "it sorts what waits"


def test_the_reaper_reads_the_running_jobs(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    assert "ix_jobs_leases" in plan(sqlite_engine, lambda: store.reap(NOW, everybody_lives))


def test_the_closer_reads_the_open_studies(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    assert "ix_studies_open" in plan(sqlite_engine, lambda: store.studies_due(NOW, QUIET))


def test_a_duplicate_is_found_without_reading_the_instances(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    assert "SCAN" not in plan(sqlite_engine, lambda: store.find_instance("1.2"))
    assert "SCAN" not in plan(sqlite_engine, lambda: store.is_output("1.2"))
