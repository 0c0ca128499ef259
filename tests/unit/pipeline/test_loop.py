"""The loop: what it does with each word of a step, and with steps that find no word."""

from __future__ import annotations

import ast
import threading
from datetime import timedelta

import pytest
from structlog.contextvars import bind_contextvars, merge_contextvars
from structlog.testing import capture_logs

from ocunet_pacs.domain.errors import DatabaseError, DeviceHung, StoreError, StoreFull
from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never, Retry
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.logs import Study
from ocunet_pacs.pipeline.loop import Loop
from tests.conftest import PROJECT
from tests.unit.pipeline.fakes import Clock, received

LEASE = timedelta(minutes=5)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(clock: Clock) -> MemoryJobs:
    """One analysis waits."""
    jobs = MemoryJobs()
    jobs.record_instance(received(1, clock))
    clock.forward(60)
    (study,) = jobs.studies_due(clock(), timedelta(hours=1))
    jobs.close_study(study, clock(), 3)
    return jobs


def make(jobs, clock, step, stop=None, beat=lambda: None, **told) -> Loop:
    return Loop(
        jobs,
        [JobKind.ANALYSE],
        step,
        owner="me",
        stop=stop or threading.Event(),
        clock=clock,
        random=lambda: 0.5,
        lease=LEASE,
        poll=timedelta(0),
        beat=beat,
        **told,
    )


@pytest.mark.parametrize(
    ("outcome", "state", "attempt"),
    [
        (Done(), JobState.DONE, 1),
        (Retry("again"), JobState.WAITING, 1),
        (Never("broken"), JobState.DEAD, 1),
        (Later("down", timedelta(seconds=30)), JobState.WAITING, 0),
    ],
)
def test_a_word_moves_the_job(jobs, clock, outcome, state, attempt) -> None:
    assert make(jobs, clock, lambda job, alive: outcome).once()
    (job,) = jobs.find()
    assert (job.state, job.attempt) == (state, attempt)


def test_an_error_of_ours_costs_an_attempt_and_keeps_its_sentence(jobs, clock) -> None:
    def step(job, alive):
        raise StoreError("the disk is gone")

    make(jobs, clock, step).once()
    (job,) = jobs.find()
    assert job.state is JobState.WAITING
    assert "the disk is gone" in job.reason


@pytest.mark.parametrize("error", [StoreFull("no room"), DatabaseError("not there")])
def test_a_full_store_and_a_database_that_is_away_cost_no_attempt(jobs, clock, error) -> None:
    """Or a disk that is full for a minute would leave the studies of that minute dead."""
    loop = make(jobs, clock, fail_with(error))
    for _ in range(10):
        assert loop.once()
        assert not loop.once(), "not again at once"
        clock.forward(60)
    (job,) = jobs.find()
    assert (job.state, job.attempt) == (JobState.WAITING, 0)
    assert str(error) in job.reason


def test_a_foreign_error_costs_an_attempt_and_its_text_is_kept_nowhere(jobs, clock, capsys) -> None:
    def step(job, alive):
        raise ValueError("Wunderlich^Ottokar")

    make(jobs, clock, step).once()
    (job,) = jobs.find()
    assert job.state is JobState.WAITING
    assert "Wunderlich" not in job.reason


def test_every_line_of_a_job_names_its_study_and_no_line_of_the_next(jobs, clock) -> None:
    def step(job, alive):
        bind_contextvars(study=Study("1.2.1"))
        raise StoreError("the disk is gone")

    with capture_logs([merge_contextvars]) as lines:
        make(jobs, clock, step).once()
        clock.forward(3600)
        make(jobs, clock, lambda job, alive: Done()).once()
    assert [(line["event"], line.get("study")) for line in lines] == [
        ("job_finished", Study("1.2.1")),
        ("job_finished", None),
    ]


def test_a_job_that_always_fails_ends_dead(jobs, clock) -> None:
    def step(job, alive):
        raise ValueError

    loop = make(jobs, clock, step)
    for _ in range(3):
        assert loop.once()
        clock.forward(3600)
    assert not loop.once()
    assert jobs.find()[0].state is JobState.DEAD


def test_a_stop_in_the_middle_of_a_job_costs_no_attempt(jobs, clock) -> None:
    stop = threading.Event()

    def step(job, alive):
        alive()
        stop.set()
        alive()
        raise AssertionError("went on after the stop")

    make(jobs, clock, step, stop).run()
    (job,) = jobs.find()
    assert (job.state, job.attempt) == (JobState.WAITING, 0)


def test_work_on_a_lost_job_ends_at_the_next_sign_of_life(jobs, clock) -> None:
    def step(job, alive):
        clock.forward(LEASE.total_seconds() + 1)
        jobs.reap(clock(), lambda owner: False)
        alive()
        raise AssertionError("went on with a job that somebody else may have")

    make(jobs, clock, step).once()
    assert jobs.find()[0].state is JobState.WAITING


def test_a_long_job_keeps_its_lease_by_signs_of_life(jobs, clock) -> None:
    def step(job, alive):
        for _ in range(10):
            clock.forward(LEASE.total_seconds() - 1)
            alive()
            assert jobs.reap(clock(), lambda owner: False) == 0
        return Done()

    make(jobs, clock, step).once()
    assert jobs.find()[0].state is JobState.DONE


def test_frequent_signs_of_life_cost_few_statements(jobs, clock) -> None:
    renew, renewed = jobs.renew, []

    def counting(*arguments):
        renewed.append(clock())
        return renew(*arguments)

    jobs.renew = counting

    def step(job, alive):
        for _ in range(1000):
            clock.forward(LEASE.total_seconds() / 100)
            alive()
            assert jobs.get(job.id).lease_expires_at >= clock() + 0.9 * LEASE
        return Done()

    make(jobs, clock, step).once()
    assert 100 <= len(renewed) <= 200


def test_the_loop_outlives_a_queue_that_goes_away(jobs, clock) -> None:
    stop = threading.Event()
    claim, calls = jobs.claim, []

    def flaky(*arguments):
        calls.append(1)
        if len(calls) < 4:
            raise ConnectionError
        return claim(*arguments)

    jobs.claim = flaky

    def step(job, alive):
        stop.set()
        return Done()

    make(jobs, clock, step, stop).run()
    assert jobs.find()[0].state is JobState.DONE


def test_what_a_step_said_is_kept_until_the_database_is_back(jobs, clock) -> None:
    """Or the job would be running, for nobody, until its lease is over, and lose an attempt by it."""
    stop = threading.Event()
    finish, calls, beats = jobs.finish, [], []

    def flaky(*arguments):
        calls.append(1)
        if len(calls) < 4:
            raise DatabaseError("not there")
        stop.set()
        return finish(*arguments)

    jobs.finish = flaky
    make(jobs, clock, lambda job, alive: Done(), stop, lambda: beats.append(1)).run()
    assert jobs.find()[0].state is JobState.DONE
    assert len(beats) > 3, "it does not count as hung meanwhile"


def test_a_stop_does_not_wait_for_a_database_that_is_away(jobs, clock) -> None:
    stop = threading.Event()

    def away(*arguments):
        stop.set()
        raise DatabaseError("not there")

    jobs.finish = away
    make(jobs, clock, lambda job, alive: Done(), stop).run()
    assert jobs.find()[0].state is JobState.RUNNING, "the reaper gives it back"


def test_a_loop_whose_device_hangs_records_it_and_claims_nothing_more(jobs, clock) -> None:
    def step(job, alive):
        clock.forward(3600)
        raise DeviceHung("the network has been at one batch for more than 120 s")

    make(jobs, clock, step).run()
    (job,) = jobs.find()
    assert (job.state, job.attempt) == (JobState.WAITING, 1)
    assert job.reason.startswith("DeviceHung")


def test_the_watchdog_is_fed_by_the_loop_and_by_the_step(jobs, clock) -> None:
    beats = []
    stop = threading.Event()

    def step(job, alive):
        before = len(beats)
        alive()
        assert len(beats) == before + 1
        stop.set()
        return Done()

    make(jobs, clock, step, stop, lambda: beats.append(1)).run()
    assert len(beats) == 2


def lose(jobs, clock) -> None:
    clock.forward(LEASE.total_seconds() + 1)
    jobs.reap(clock(), lambda owner: False)


def fail_with(error):
    def step(job, alive):
        raise error

    return step


@pytest.mark.parametrize(
    ("step", "outcome", "reason"),
    [
        (lambda job, alive: Done("of a sentence"), "done", ""),
        (lambda job, alive: Later("a PACS is down", timedelta(0), code="unavailable"), "later", "unavailable"),
        (fail_with(StoreError("a sentence")), "retry", "store_error"),
        (fail_with(ValueError("Wunderlich^Ottokar")), "retry", "unexpected"),
    ],
)
def test_a_turn_is_counted_by_its_end_and_a_code(jobs, clock, step, outcome, reason) -> None:
    counted, observed = [], []
    loop = make(
        jobs,
        clock,
        step,
        count=lambda name, **labels: counted.append((name, labels)),
        observe=lambda name, value, **labels: observed.append((name, value, labels)),
    )
    clock.forward(7)
    loop.once()
    assert counted == [("jobs", {"kind": "analyse", "outcome": outcome, "reason": reason})]
    assert observed == [("job_wait_seconds", 7.0, {"kind": "analyse"})]


def test_a_turn_whose_job_was_lost_is_counted_once(jobs, clock) -> None:
    counted = []

    def step(job, alive):
        lose(jobs, clock)
        alive()

    def blind_step(job, alive):
        lose(jobs, clock)
        return Done()

    for way in (step, blind_step):
        make(jobs, clock, way, count=lambda name, **labels: counted.append(labels["outcome"])).once()
    assert counted == ["lost", "lost"]


def test_every_word_of_a_step_but_done_has_a_code() -> None:
    """Without one a counter would say that jobs come back, and not why."""
    bare = []
    for path in (PROJECT / "ocunet_pacs" / "pipeline").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if said in {"Retry", "Never", "Later"} and "code" not in {keyword.arg for keyword in node.keywords}:
                bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
