"""Hosts whose clocks differ share one time, the database's, and take nothing away from each other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.job import Done, JobState
from ocunet_pacs.jobs.clock import LOOK_EVERY_S, QueueClock, host_time, seconds_since_boot
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import BOTH, LEASE, SECOND, everybody_lives, queued

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Engine

WRONG_BY = timedelta(minutes=10)
CLOSE = timedelta(seconds=5)


def off_by(difference: timedelta) -> Callable[[], datetime]:
    return lambda: host_time() + difference


@pytest.mark.peers
@pytest.mark.parametrize("difference", [-WRONG_BY, WRONG_BY])
def test_a_host_whose_clock_is_wrong_neither_takes_living_leases_nor_loses_its_own(
    postgres_engine: Engine, difference: timedelta
) -> None:
    assert abs(difference) > LEASE
    right, wrong = QueueClock(postgres_engine), QueueClock(postgres_engine, off_by(difference))
    store = SqlJobs(postgres_engine)
    for number, (worker, other) in enumerate([(right, wrong), (wrong, right)]):
        queued(store, f"1.2.{number}", right() - SECOND)
        job = store.claim(BOTH, "a worker", worker(), LEASE)
        assert job is not None
        assert store.reap(other(), everybody_lives) == 0
        assert store.finish(job, Done(), worker(), 0.0)
        done = store.get(job.id)
        assert done is not None
        assert done.state is JobState.DONE


@pytest.mark.peers
def test_how_wrong_the_host_is_can_be_told(postgres_engine: Engine) -> None:
    assert abs(QueueClock(postgres_engine).host_is_ahead()) < CLOSE
    assert abs(QueueClock(postgres_engine, off_by(WRONG_BY)).host_is_ahead() - WRONG_BY) < CLOSE


@pytest.mark.peers
def test_a_host_whose_clock_is_set_while_it_runs_goes_on_as_before(postgres_engine: Engine) -> None:
    host = [host_time()]
    clock = QueueClock(postgres_engine, lambda: host[0])
    before = clock()
    host[0] += WRONG_BY
    assert before <= clock() < before + CLOSE


@pytest.mark.peers
def test_time_goes_on_while_the_database_cannot_be_reached(postgres_engine: Engine) -> None:
    unreachable = open_engine("postgresql:///nowhere?host=/nonexistent")
    with pytest.raises(DatabaseError):
        QueueClock(unreachable)()
    passed = [0.0]
    clock = QueueClock(postgres_engine, elapsed=lambda: seconds_since_boot() + passed[0])
    first = clock()
    clock._engine = unreachable
    passed[0] = 2 * LOOK_EVERY_S
    assert abs(clock() - first - timedelta(seconds=passed[0])) < CLOSE
    clock._engine = postgres_engine
    passed[0] = 4 * LOOK_EVERY_S
    assert abs(clock() - first) < CLOSE, "the database's word outweighs the count"


def test_sqlite_goes_by_the_host(sqlite_engine: Engine) -> None:
    host = host_time()
    assert QueueClock(sqlite_engine, lambda: host)() == host
