"""`jobs …` and `db …`, as a person types them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from ocunet_pacs.cli import db, jobs
from ocunet_pacs.domain.errors import SchemaMismatch
from ocunet_pacs.domain.job import JobKind, JobState, Never
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import claimed, output, queued, to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

NOW = datetime(2024, 5, 1, 8, 0, 0, tzinfo=UTC)


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ocunet-pacs.yaml"
    path.write_text(f"database:\n  url: sqlite:///{tmp_path / 'queue.sqlite'}\n")
    monkeypatch.setenv("OCUNET_PACS_CONFIG", str(path))
    monkeypatch.setenv("COLUMNS", "200")
    return path


@pytest.fixture
def store(settings_file: Path) -> Iterator[SqlJobs]:
    engine = open_engine(f"sqlite:///{settings_file.with_name('queue.sqlite')}")
    migrate.upgrade(engine)
    yield SqlJobs(engine)
    engine.dispose()


def call(app: typer.Typer, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def dead(store: SqlJobs, study: str) -> int:
    queued(store, study)
    job = claimed(store)
    assert store.finish(job, Never("[refused] for good"), NOW, 0.0)
    return job.id


def delivery(store: SqlJobs) -> int:
    """An analysis that is done, and one delivery that its destination refused; the delivery's job."""
    queued(store, "1.2.1")
    store.finish_analysis(
        claimed(store),
        key="a key",
        result="{}",
        outputs=to(["pacs"], output("2.25.7")),
        expected_predecessor=None,
        delivery_attempts=3,
        now=NOW,
    )
    job = claimed(store)
    store.record_delivery(job.subject_id, 0xA900, "data set does not match", NOW)
    assert store.finish(job, Never("refused for good"), NOW, 0.0)
    return job.id


def test_upgrade_then_check(settings_file: Path) -> None:
    with pytest.raises(SchemaMismatch, match="ocunet-pacs db upgrade"):
        call(db.app, "check")
    assert "has schema" in call(db.app, "upgrade").stdout
    assert call(db.app, "check").exit_code == 0
    assert call(db.app, "check", "--config", str(settings_file)).exit_code == 0


def test_backup_and_integrity(store: SqlJobs, tmp_path: Path) -> None:
    queued(store, "1.2.1")
    out = tmp_path / "copy.sqlite"
    assert call(db.app, "backup", "--out", str(out)).stdout.startswith(f"{out}: schema {migrate.newest_revision()}, ")
    assert out.is_file()
    whole = call(db.app, "integrity")
    assert (whole.exit_code, whole.stdout) == (0, "the database is whole\n")
    with store._writing.begin() as connection:
        connection.exec_driver_sql("DELETE FROM jobs")
    broken = call(db.app, "integrity")
    assert broken.exit_code == 1
    assert broken.stdout == "rows: 1 of analyses: rows without a job, so that nobody will do them (id 1)\n"
    assert "docs/database-care.md" in broken.stderr


def test_the_queue_of_an_old_schema_is_not_touched(settings_file: Path) -> None:
    with pytest.raises(SchemaMismatch, match="ocunet-pacs db upgrade"):
        call(jobs.app, "list")


def test_an_empty_queue_says_so(store: SqlJobs) -> None:
    assert call(jobs.app, "list").stdout == "no jobs\n"
    assert json.loads(call(jobs.app, "list", "--json").stdout) == []
    assert call(jobs.app, "retry", "--all-dead").stdout == "no dead jobs\n"


def test_a_person_sees_what_each_job_is_about_and_why_it_died(store: SqlJobs) -> None:
    delivery(store)
    dead(store, "1.2.2")
    lines = call(jobs.app, "list").stdout.splitlines()
    assert len(lines) == 4
    assert (
        lines[1].split() == "3 analyse dead 1/3 2024-05-01 08:00:00 study 1.2.2 revision 1 [refused] for good".split()
    )
    assert lines[2].split() == "2 deliver dead 1/3 2024-05-01 08:00:00 report 2.25.7 → pacs refused for good".split()
    assert lines[3].split()[:6] == ["1", "analyse", "done", "1/3", "2024-05-01", "08:00:00"]


def test_the_list_is_narrowed_by_state_kind_and_number(store: SqlJobs) -> None:
    delivery(store)
    dead(store, "1.2.2")
    queued(store, "1.2.3")

    def ids(*arguments: str) -> list[int]:
        return [job["id"] for job in json.loads(call(jobs.app, "list", "--json", *arguments).stdout)]

    assert ids() == [4, 3, 2, 1]
    assert ids("--limit", "2") == [4, 3]
    assert ids("--state", "dead") == [3, 2]
    assert ids("--state", "dead", "--kind", "analyse") == [3]


def test_a_delivery_is_shown_with_its_object_destination_and_last_answer(store: SqlJobs) -> None:
    job_id = delivery(store)
    shown = json.loads(call(jobs.app, "show", str(job_id), "--json").stdout)
    assert shown["kind"] == "deliver"
    assert shown["answer"] == "0xA900: data set does not match"
    assert (shown["object"], shown["output"], shown["destination"]) == ("2.25.7", "report", "pacs")
    assert (shown["study"], shown["revision"]) == ("1.2.1", "1")
    assert shown["run_at"] == "2024-05-01T08:00:00+00:00"
    text = call(jobs.app, "show", str(job_id)).stdout
    assert "0xA900: data set does not match" in text
    assert "lease_owner" not in text


def test_a_delivery_that_nobody_answered_says_so(store: SqlJobs) -> None:
    job = store.get(delivery(store))
    assert job is not None
    store.record_delivery(job.subject_id, None, "connection refused", NOW)
    assert store.describe(job)["answer"] == "connection refused"


def test_how_far_a_delivery_got_is_shown(store: SqlJobs) -> None:
    job = store.get(delivery(store))
    assert job is not None
    assert set(store.describe(job)) == {"object", "kind", "study", "revision", "destination", "answer"}
    store.record_delivery(job.subject_id, None, "201 Created", NOW, stored=True)
    words = store.describe(job)
    assert (words["answer"], words["stored"]) == ("201 Created", "2024-05-01T08:00:00+00:00")
    store.note_asked("2.25.71", [job.subject_id], NOW + timedelta(minutes=1))
    assert store.describe(job)["asked"] == "once, last 2024-05-01T08:01:00+00:00"
    store.note_asked("2.25.72", [job.subject_id], NOW + timedelta(minutes=2))
    assert store.describe(job)["asked"] == "2 times, last 2024-05-01T08:02:00+00:00"
    store.record_commitment(Commitment("2.25.72", frozenset(), {"2.25.7": 0x0112}), NOW)
    assert store.describe(job)["committed"] == "no: failure reason 0x0112"
    store.record_delivery(job.subject_id, 0, "", NOW, stored=True)
    store.note_asked("2.25.73", [job.subject_id], NOW)
    store.record_commitment(Commitment("2.25.73", frozenset({"2.25.7"})), NOW + timedelta(minutes=9))
    assert store.describe(job)["committed"] == "2024-05-01T08:09:00+00:00"
    text = call(jobs.app, "show", str(job.id)).stdout
    assert "committed:        2024-05-01T08:09:00+00:00" in text


def test_a_delivery_that_was_not_tried_says_so(store: SqlJobs) -> None:
    queued(store, "1.2.1")
    store.finish_analysis(
        claimed(store),
        key="a key",
        result="{}",
        outputs=to(["pacs", "viewer"], output("2.25.7")),
        expected_predecessor=None,
        delivery_attempts=3,
        now=NOW,
    )
    claimed(store)
    [waiting] = store.find(state=JobState.WAITING)
    assert store.describe(waiting)["destination"] == "viewer"
    assert store.describe(waiting)["answer"] == "not tried yet"
    counts = store.counts()
    assert (counts[JobKind.DELIVER, JobState.RUNNING], counts[JobKind.DELIVER, JobState.WAITING]) == (1, 1)


def test_retry_by_number(store: SqlJobs) -> None:
    job_id = dead(store, "1.2.2")
    before = datetime.now(UTC)
    assert call(jobs.app, "retry", str(job_id)).stdout == f"job {job_id}: waits again\n"
    job = store.get(job_id)
    assert job is not None
    assert (job.state, job.attempt) == (JobState.WAITING, 0)
    assert before - timedelta(seconds=1) <= job.run_at <= datetime.now(UTC)


def test_retry_of_everything_that_is_dead(store: SqlJobs) -> None:
    for number in range(120):
        dead(store, f"1.2.{number}")
    assert call(jobs.app, "retry", "--all-dead").exit_code == 0
    assert store.counts() == {(JobKind.ANALYSE, JobState.WAITING): 120}


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_a_job_that_is_not_dead_is_named_and_the_others_are_done(store: SqlJobs, command: str) -> None:
    job_id = dead(store, "1.2.2")
    waiting = queued(store, "1.2.3")
    result = call(jobs.app, command, str(waiting), str(job_id), "999")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"job {waiting}: not dead, left as it is",
        "job 999: not dead, left as it is",
    ]
    job = store.get(job_id)
    assert job is not None
    assert job.state is (JobState.WAITING if command == "retry" else JobState.DISCARDED)


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "1", "--all-dead"], ["discard"]])
def test_it_must_be_said_which_jobs(store: SqlJobs, arguments: list[str]) -> None:
    assert call(jobs.app, *arguments).exit_code == 2


def test_a_job_that_is_not_there(store: SqlJobs) -> None:
    result = call(jobs.app, "show", "7")
    assert (result.exit_code, result.stderr) == (1, "job 7: not there\n")
