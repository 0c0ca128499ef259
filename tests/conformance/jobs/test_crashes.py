"""Processes that are killed: nothing that was promised is gone, and nothing is done twice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import Done, JobKind, JobState
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.jobs.reaper import is_gone, owner_name
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import NOW, claimed, output, queued, to
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@contextmanager
def worker(role: str, engine: Engine, *rest: str) -> Iterator[subprocess.Popen[str]]:
    """A real process, killed at the end if it still lives."""
    command = [sys.executable, "-m", "tests.conformance.jobs.worker_process", role]
    url = engine.url.render_as_string(hide_password=False)
    with subprocess.Popen([*command, url, *rest], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


def test_the_job_of_a_killed_worker_is_taken_over_at_once(engine: Engine) -> None:
    store = SqlJobs(engine)
    job_id = queued(store, max_attempts=3)
    with worker("claim", engine) as process:
        assert next(lines(process)) == "1"
        assert store.reap(NOW, is_gone) == 0, "its process lives"
        process.kill()
        process.wait()
        assert store.reap(NOW, is_gone) == 1
    job = claimed(store, owner_name("another"))
    assert (job.id, job.attempt) == (job_id, 2)
    assert store.finish(job, Done(), NOW, 0.0)


def test_every_image_that_was_acknowledged_is_there(engine: Engine) -> None:
    store = SqlJobs(engine)
    with worker("record", engine) as process:
        said = lines(process)
        acknowledged = [next(said) for _ in range(50)]
        process.kill()
        acknowledged += list(said)
    found = [store.find_instance(uid) for uid in acknowledged]
    assert [stored.ordinal for stored in found if stored] == list(range(1, len(acknowledged) + 1))


# A finish with two outputs is six statements that read, eight that write (7 to 14), and the commit (15).
@pytest.mark.parametrize("statement", range(7, 16))
def test_a_finish_that_is_cut_anywhere_happens_once(statement: int, sqlite_engine: Engine) -> None:
    store = SqlJobs(sqlite_engine)
    job_id = queued(store, max_attempts=2)
    with worker("finish", sqlite_engine, str(statement)) as process:
        said = list(lines(process))
        process.wait()
    assert said == [], "the worker got to the end: count the statements of a finish anew"
    job = store.get(job_id)
    assert job is not None
    assert job.state is JobState.RUNNING
    assert (store.analysis(job.subject_id).finished_at, list(store.output_uids())) == (None, [])

    assert store.reap(NOW, is_gone) == 1
    how = store.finish_analysis(
        claimed(store),
        key="a key",
        result="{}",
        outputs=to(["pacs"], output("2.25.1"), output("2.25.2")),
        expected_predecessor=None,
        delivery_attempts=3,
        now=NOW,
    )
    assert how is Finish.APPLIED
    assert list(store.output_uids()) == ["2.25.1", "2.25.2"]
    assert len(store.find(kind=JobKind.DELIVER)) == 2
