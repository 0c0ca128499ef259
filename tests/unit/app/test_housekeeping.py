"""What runs by the clock says how it went, in the database and in the metrics, and never stops running."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs import settings
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.cli.status import _table
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.store.files import Files
from ocunet_pacs.store.usage import last_measured
from tests.conformance.jobs.builders import LEASE, reported
from tests.conformance.jobs.whole_study import CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Callable


class Gauges:
    """Counts and gauges as they were set."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, str]] = []
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        if name == "housekeeping_runs":
            self.counts.append((labels["task"], labels["outcome"]))

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        raise AssertionError(name)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        self.gauges[name] = value


class Writes(MemoryJobs):
    """Remembers which runs were written down."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.away = False

    def record_run(self, task: str, *values: Any, **named: Any) -> None:
        if self.away:
            raise DatabaseError("it is away")
        self.written.append(task)
        super().record_run(task, *values, **named)


def run_of(house: Housekeeping, name: str, task: Callable[[], str | None]) -> None:
    house._guarded(name, task)()


def test_a_task_that_has_nothing_to_do_is_written_once_a_minute_and_counted_each_time() -> None:
    jobs, metrics = Writes(), Gauges()
    house = Housekeeping(jobs, metrics)  # type: ignore[arg-type]
    for _ in range(50):
        run_of(house, "close_studies", lambda: "")
    assert jobs.written == ["close_studies"]
    assert metrics.counts == [("close_studies", "success")] * 50
    assert metrics.gauges["housekeeping_last_success_timestamp_seconds"] > 0


def test_a_failure_is_written_at_once_with_its_reason_and_so_is_its_end() -> None:
    jobs, metrics = Writes(), Gauges()
    house = Housekeeping(jobs, metrics)  # type: ignore[arg-type]

    def fail() -> str:
        raise DatabaseError("the database does not work")

    def break_down() -> str:
        raise ValueError("Roe^Jane")

    run_of(house, "retention", lambda: "")
    run_of(house, "retention", fail)
    [run] = jobs.task_runs()
    assert (run.succeeded, run.note) == (False, "the database does not work")
    assert run.succeeded_at is not None
    run_of(house, "retention", lambda: "3 files removed")
    [run] = jobs.task_runs()
    assert (run.succeeded, run.note) == (True, "3 files removed")
    run_of(house, "check", break_down)
    assert "Roe" not in jobs.task_runs()[0].note


def test_a_database_that_is_away_stops_no_task() -> None:
    jobs = Writes()
    jobs.away = True
    house = Housekeeping(jobs)
    done: list[int] = []
    run_of(house, "reap", lambda: str(done.append(1) or ""))
    assert done == [1]
    jobs.away = False
    run_of(house, "reap", lambda: "")
    assert jobs.written == ["reap"]


@pytest.mark.timeout(120)
def test_the_store_is_checked_at_start_and_by_one_of_those_who_start_together(tmp_path: Path) -> None:
    jobs, checked = Writes(), threading.Event()
    house = Housekeeping(jobs)
    house.check_store(Files(tmp_path / "store"), jobs, read_identity)  # type: ignore[arg-type]
    house.start()
    for _ in range(600):
        if jobs.written or checked.wait(0.1):
            break
    house.stop()
    assert jobs.written == ["consistency"]
    assert jobs.task_runs()[0].note == "as it should be"
    other = Housekeeping(jobs)
    other.check_store(Files(tmp_path / "store"), jobs, read_identity)  # type: ignore[arg-type]
    other._scheduler.get_jobs()[0].func()
    assert jobs.written == ["consistency"]


def test_the_store_is_measured_part_by_part(tmp_path: Path) -> None:
    files, metrics = Files(tmp_path / "store"), Metrics()
    files.put("instances/aa/one.dcm", b"123")
    files.put("results/aa/two.dcm", b"12345")
    house = Housekeeping(Writes(), metrics)
    house.measure_store(files)
    [task] = house._scheduler.get_jobs()
    task.func()
    assert metrics.gauge("store_bytes") == {("instances",): 3.0, ("results",): 5.0}
    usage = last_measured(files)
    assert usage is not None
    assert usage.total == 8


def test_without_a_destination_nothing_is_ever_removed(tmp_path: Path) -> None:
    """The store holds the only copy of the results."""
    jobs, in_force = Writes(), settings.from_tree({})
    house = Housekeeping(jobs)
    house.remove_files(Files(tmp_path / "store"), jobs, lambda: in_force)
    [task] = house._scheduler.get_jobs()
    task.func()
    assert jobs.written == []
    # One that comes with a reload counts from the next look on.
    in_force = settings.from_tree(
        {"destinations": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}]}
    )
    task.func()
    assert jobs.written == ["retention"]


def test_what_candidates_said_long_ago_goes_and_nothing_younger_does() -> None:
    jobs, now = Writes(), utc_now()
    for number in range(3):
        reported(jobs, [f"2.25.{number}"], study=f"1.2.{number}", at=now)
    for age in (timedelta(days=181), timedelta(days=179), timedelta(0)):
        assert jobs.enlist(CANDIDATE, now, now - age, 1)
        look = jobs.claim([JobKind.SHADOW], "shadow", now, LEASE)
        assert look is not None
        assert jobs.finish_look(look, [], now)
    house = Housekeeping(jobs)
    house.remove_looks(jobs, lambda: settings.from_tree({}))
    [task] = house._scheduler.get_jobs()
    for left in (2, 2):
        task.func()
        assert jobs.look_counts(CANDIDATE) == {JobState.DONE: left}
    assert jobs.task_runs()[0].note == "1 looks of candidates removed"


def test_status_shows_what_a_person_should_look_at() -> None:
    from rich.console import Console

    found = {
        "ready": True, "problems": [], "jobs": {"dead": 0}, "deliveries": {"dead": 0}, "bundle": None,
        "store": {"bytes": 2**30, "measured": "2026-01-01T08:00:00+00:00", "free_bytes": 2**31, "put_aside": 3},
        "database": {"type": "sqlite", "ok": True},
        "destinations": [
            {"name": "pacs", "answers": False, "down_since": "2026-01-01T08:00:00+00:00", "next_try": None,
             "reason": "pacs: nobody answered", "last_answer": None},
            {"name": "cloud", "answers": True, "down_since": None, "next_try": None, "reason": None,
             "last_answer": "2026-01-01T08:00:00+00:00"},
        ],
        "recent": [
            {"study": "1.2.3", "revision": 2, "received": "2026-01-01T08:00:00+00:00",
             "finished": "2026-01-01T08:00:00+00:00", "urgency": "emergency"},
        ],
        "patient_conflicts": 2, "missing_files": {"received": 0, "results": 0}, "shadow": None, "drift": None,
        "housekeeping": [
            {
                "task": "retention", "last_start": "2026-01-01T00:00:00+00:00", "last_success": None,
                "seconds": 0.5, "outcome": "failure", "note": "the disk is away",
            }
        ],
    }  # fmt: skip
    console = Console(width=200, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(_table(found))
    said = console.export_text()
    console.file.close()
    assert "2 studies came with the data of more than one patient" in said
    assert "1.00 GiB used (measured 2026-01-01T08:00:00+00:00), 2.00 GiB free" in said
    assert "3 unreadable files" in said
    assert "pacs: nobody answers since 2026-01-01T08:00:00+00:00" in said
    assert "cloud" not in said
    assert "1.2.3 revision 2: urgency emergency" in said
    assert "missing" not in said
    assert (
        "retention: failure at 2026-01-01T00:00:00+00:00, took 0.500 s, the disk is away; last success: never" in said
    )
