"""The queries that run all day use the indexes that are there for them, however many jobs are done already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.domain.shadow import Candidate
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


@pytest.mark.peers
def test_a_claim_on_postgres_reads_the_waiting_jobs_in_order(postgres_engine: Engine) -> None:
    """However many wait: with the few of a test it would sort them, so it is not let."""
    store = SqlJobs(postgres_engine)
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(postgres_engine, "before_cursor_execute", note)
    store.claim([JobKind.DELIVER], "a worker", NOW, LEASE)
    event.remove(postgres_engine, "before_cursor_execute", note)
    [(statement, parameters)] = statements
    with postgres_engine.begin() as connection:
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        steps = "; ".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())  # type: ignore[arg-type]
    assert "ix_jobs_claim" in steps
    assert "Sort" not in steps


def test_what_is_put_off_is_found_among_the_waiting(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    store.note_down("pacs", "refused", NOW, LEASE)
    for call in (
        lambda: store.note_down("viewer", "refused", NOW, LEASE),
        lambda: store.may_try("pacs", NOW + LEASE, LEASE),
        lambda: store.note_up("pacs", NOW + LEASE),
    ):
        steps = plan(sqlite_engine, call)
        assert "ix_jobs_claim" in steps
        assert "sqlite_autoindex_jobs" not in steps, "it looks at every job of the kind"
        assert "SCAN jobs" not in steps.replace("SCAN jobs USING INDEX ix_jobs_leases", "")
        assert "SCAN deliveries" not in steps


def test_who_is_to_be_asked_for_is_read_in_order(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    steps = plan(sqlite_engine, lambda: store.uncommitted("pacs", NOW, 10))
    assert "ix_deliveries_uncommitted" in steps
    assert "TEMP B-TREE" not in steps
    assert "SCAN" not in steps
    answer = Commitment("T", frozenset({"2.25.1"}))
    for call in (lambda: store.record_commitment(answer, NOW), lambda: store.note_not_asked("T")):
        # An empty list of values is a table of its own.
        assert not re.search("SCAN [a-z]", plan(sqlite_engine, call))


@pytest.mark.peers
def test_who_is_to_be_asked_for_on_postgres_is_looked_up_one_by_one(postgres_engine: Engine) -> None:
    """However many wait: with a backlog it would read all jobs to join them, so it must not be able to."""
    store = SqlJobs(postgres_engine)
    statements: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(postgres_engine, "before_cursor_execute", note)
    store.uncommitted("pacs", NOW, 100)
    event.remove(postgres_engine, "before_cursor_execute", note)
    [(statement, parameters)] = statements
    with postgres_engine.begin() as connection:
        for way in ("nestloop", "seqscan", "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        steps = "; ".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())  # type: ignore[arg-type]
    assert "ix_deliveries_uncommitted" in steps
    assert "(subject_id = deliveries.id)" in steps


def test_a_shadow_reads_what_waits_what_runs_and_what_is_in_its_window(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    steps = plan(sqlite_engine, lambda: store.patients_wait(NOW))
    assert "ix_jobs_claim" in steps
    assert "ix_jobs_leases" in steps
    assert "ix_jobs_claim" in plan(sqlite_engine, lambda: store.look_is_due(NOW))
    candidate = Candidate("c", "default", "retrained")
    for call in (lambda: store.enlist(candidate, NOW, NOW, 1), lambda: store.unseen(candidate, NOW)):
        steps = plan(sqlite_engine, call)
        assert "ix_analyses_finished (finished_at>?)" in steps
        assert "TEMP B-TREE" not in steps
    assert "ix_shadows_created_at (created_at<?)" in plan(sqlite_engine, lambda: store.remove_looks(NOW, 10))
    assert "ix_shadows_candidate" in plan(sqlite_engine, lambda: store.past_looks(candidate, None, 0, 10))


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
