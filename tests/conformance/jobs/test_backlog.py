"""What waits is counted alike by every adapter, and at a cost that does not grow with what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.backlog import Backlog, DestinationBacklog, KindBacklog
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.job import Done, JobKind, Never, Retry
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import DAY, LEASE, NOW, SECOND, claimed, image, queued, reported
from tests.conformance.jobs.test_plans import plan

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.conformance.jobs.builders import Store


def of(found: Backlog, kind: JobKind) -> KindBacklog:
    return next(one for one in found.kinds if one.kind is kind)


def test_where_nothing_is_nothing_waits(store: Store) -> None:
    found = store.backlog(NOW)
    assert [one.kind for one in found.kinds] == list(JobKind)
    assert all(one == KindBacklog(one.kind) for one in found.kinds)
    assert (found.destinations, found.open_studies, found.open_since) == ((), 0, None)


def test_studies_are_counted_while_they_are_open(store: Store) -> None:
    store.record_instance(image("1.1", "1.2.1", NOW))
    store.record_instance(image("1.2", "1.2.2", NOW + SECOND))
    found = store.backlog(NOW + DAY)
    assert (found.open_studies, found.open_since) == (2, NOW)


def test_jobs_are_counted_by_kind_in_each_state_that_is_not_final(store: Store) -> None:
    for number in range(5):
        queued(store, f"1.2.{number}", NOW + number * SECOND)
    store.finish(claimed(store), Never("hopeless"), NOW, 0.0)
    store.finish(claimed(store, at=NOW + SECOND), Done(), NOW, 0.0)
    claimed(store, at=NOW + DAY)
    found = of(store.backlog(NOW + DAY), JobKind.ANALYSE)
    assert (found.waiting, found.running, found.dead) == (2, 1, 1)
    assert found.oldest_at == NOW + 3 * SECOND
    assert found.due_since == NOW + 3 * SECOND


def test_what_is_put_off_is_old_and_not_due(store: Store) -> None:
    queued(store)
    store.finish(claimed(store), Retry("it failed"), NOW, 0.0)
    found = of(store.backlog(NOW), JobKind.ANALYSE)
    assert (found.waiting, found.oldest_at, found.due_since) == (1, NOW, None)
    assert of(store.backlog(NOW + DAY), JobKind.ANALYSE).due_since is not None


def test_nobody_is_behind_with_what_nobody_waits_for(store: Store) -> None:
    queued(store)
    store.finish(claimed(store), Done(), NOW, 0.0)
    study = store.past_study(1)
    assert study is not None
    assert store.request_revision(study.id, NOW, 3, -1) is not None
    found = of(store.backlog(NOW + DAY), JobKind.ANALYSE)
    assert (found.waiting, found.oldest_at, found.due_since) == (1, NOW, None)


def test_deliveries_and_what_is_not_committed_to_are_counted_by_destination(store: Store) -> None:
    reported(store, ["2.25.1", "2.25.2"], ["pacs", "Viewer"])
    job = claimed(store)
    first = store.delivery(job.subject_id)
    store.record_delivery(first.id, 0, "", NOW + SECOND, stored=True)
    found = {one.destination: one for one in store.backlog(NOW).destinations}
    assert list(found) == ["Viewer", "pacs"]
    assert found[first.destination] == DestinationBacklog(first.destination, 2, 1, NOW + SECOND)
    store.finish(job, Done(), NOW, 0.0)
    found = {one.destination: one for one in store.backlog(NOW).destinations}
    assert found[first.destination] == DestinationBacklog(first.destination, 1, 0, None)


def test_a_look_goes_through_nothing_that_is_done(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    steps = plan(sqlite_engine, lambda: store.backlog(NOW))
    for index in ("ix_jobs_claim", "ix_jobs_leases", "ix_jobs_undone", "ix_studies_open"):
        assert index in steps
    scans = [step for step in steps.split("; ") if step.startswith("SCAN") and "INDEX ix_" not in step]
    assert not [step for step in scans if "jobs" in step or "studies" in step or "deliveries" in step], steps


def test_a_database_says_how_large_it_is_and_that_it_takes_writes(engine: Engine) -> None:
    store = SqlJobs(engine)
    assert store.database_bytes() > 50_000
    assert store.try_writing() == store.schema_version
    store.claim(list(JobKind), "a worker", NOW, LEASE)


def test_a_database_that_can_only_be_read_does_not_take_writes(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.commit()
    # The pool hands the same connection out again.
    with pytest.raises(DatabaseError, match="readonly"):
        SqlJobs(sqlite_engine).try_writing()
