"""What waits is counted alike by every adapter, and at a cost that does not grow with what is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text

from ocunet_pacs.domain.backlog import Backlog, DestinationBacklog, KindBacklog
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.job import Done, JobKind, JobState, Never, Retry
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.schema import jobs
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


def counted_one_by_one(engine: Engine) -> dict[tuple[JobKind, JobState], int]:
    query = select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
    with engine.connect() as connection:
        return {(kind, state): number for kind, state, number in connection.execute(query)}


def test_what_is_kept_is_what_there_is_whoever_changed_it(engine: Engine) -> None:
    """Not only by our own statements: somebody may mend a row by hand."""
    store = SqlJobs(engine)
    reported(store, ["2.25.1", "2.25.2"], ["pacs", "Viewer"])
    for number in range(4):
        queued(store, f"1.3.{number}", NOW)
    by_hand = "UPDATE jobs SET state = 'dead', finished_at = created_at WHERE state = 'waiting'"
    with engine.begin() as connection:
        connection.execute(text(f"{by_hand} AND kind = 'analyse'"))
        connection.execute(text("DELETE FROM jobs WHERE id IN (SELECT min(id) FROM jobs WHERE kind = 'deliver')"))
    assert store.counts() == counted_one_by_one(engine)
    assert store.counts()[JobKind.ANALYSE, JobState.DEAD] == 4
    assert sum(one.deliveries for one in store.backlog(NOW).destinations) == 3
    with engine.connect() as connection, connection.begin() as undone:
        connection.execute(text("DELETE FROM jobs"))
        undone.rollback()
    assert store.counts() == counted_one_by_one(engine)


@pytest.mark.peers
def test_nobody_waits_for_a_number(postgres_engine: Engine) -> None:
    """One session changed a job and has not committed; another claims the next."""
    store = SqlJobs(postgres_engine)
    for number in range(3):
        queued(store, f"1.2.{number}", NOW)
    with postgres_engine.connect() as holding, holding.begin():
        claim = "UPDATE jobs SET state = 'running', lease_owner = 'a', lease_expires_at = run_at WHERE id = 1"
        holding.execute(text(claim))
        in_time = {"options": "-c lock_timeout=5s"}
        other = open_engine(postgres_engine.url.update_query_dict(in_time).render_as_string(hide_password=False))
        try:
            job = SqlJobs(other).claim([JobKind.ANALYSE], "b", NOW, LEASE)
        finally:
            other.dispose()
        assert job is not None
        assert job.id == 2
    assert store.counts() == {(JobKind.ANALYSE, JobState.RUNNING): 2, (JobKind.ANALYSE, JobState.WAITING): 1}
    assert store.counts() == counted_one_by_one(postgres_engine)


@pytest.mark.peers
def test_many_at_once_lose_no_count(postgres_engine: Engine) -> None:
    store = SqlJobs(postgres_engine)
    for number in range(120):
        queued(store, f"1.2.{number}", NOW)

    def work(name: str) -> None:
        while (job := store.claim([JobKind.ANALYSE], name, NOW, LEASE)) is not None:
            assert store.finish(job, Never("hopeless") if job.id % 3 else Done(), NOW, 0.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, map(str, range(8))))
    counts = {(JobKind.ANALYSE, JobState.DONE): 40, (JobKind.ANALYSE, JobState.DEAD): 80}
    assert store.counts() == counts == counted_one_by_one(postgres_engine)


def test_a_look_goes_through_nothing_that_is_done(sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    queued(store)
    steps = plan(sqlite_engine, lambda: store.backlog(NOW))
    for index in ("ix_jobs_claim", "ix_jobs_undone", "ix_deliveries_uncommitted", "ix_studies_open"):
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
