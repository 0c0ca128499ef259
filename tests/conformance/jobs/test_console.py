"""What the console reads, on each database: every state of a study, paging, and what jobs are about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.console import Among, StudyState
from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState, Never
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.jobs.sql_console import SqlConsole
from tests.conformance.jobs.builders import DAY, LEASE, NOW, SECOND, claimed, closed, image, output, queued, to

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ocunet_pacs.domain.console import Place


@pytest.fixture
def jobs(engine: Engine) -> SqlJobs:
    return SqlJobs(engine)


@pytest.fixture
def console(engine: Engine) -> SqlConsole:
    return SqlConsole(engine)


def finished(jobs: SqlJobs, study: str, *, to_pacs: bool = True, urgency: Urgency = Urgency.SOON) -> None:
    """Analysed, with a heatmap and a report."""
    queued(jobs, study)
    job = jobs.claim([JobKind.ANALYSE], "a worker", NOW, LEASE)
    assert job is not None
    outputs = to(["pacs"] if to_pacs else [], output(f"{study}.8", OutputKind.HEATMAP), output(f"{study}.9"))
    jobs.finish_analysis(
        job,
        key=f"key of {study}",
        result='{"images": []}',
        outputs=outputs,
        expected_predecessor=None,
        delivery_attempts=3,
        now=NOW + SECOND,
        urgency=urgency,
    )


def test_each_state_of_a_study_is_told_and_found(jobs: SqlJobs, console: SqlConsole) -> None:
    finished(jobs, "1.2.1", to_pacs=False)  # done
    finished(jobs, "1.2.2")  # being delivered
    finished(jobs, "1.2.3")
    for _ in range(4):
        delivery = jobs.claim([JobKind.DELIVER], "a worker", NOW + DAY, LEASE)
        assert delivery is not None
        of_third = jobs.delivery(delivery.subject_id).study_instance_uid == "1.2.3"
        jobs.finish(delivery, Never("refused") if of_third else Done(), NOW + DAY, 0.0)
    finished(jobs, "1.2.4")
    queued(jobs, "1.2.5")
    jobs.finish(claimed(jobs), Never("hopeless"), NOW, 0.0)
    jobs.record_instance(image("1.2.6.1.1", "1.2.6", opens_study=False))
    queued(jobs, "1.2.7")
    jobs.finish(claimed(jobs), Never("hopeless, too"), NOW, 0.0)
    (dead,) = (one.job.id for one in console.jobs(JobState.DEAD) if one.about.study_instance_uid == "1.2.7")
    assert jobs.discard(dead, NOW)
    queued(jobs, "1.2.8")
    claimed(jobs)
    queued(jobs, "1.2.9")
    jobs.record_instance(image("1.2.10.1.1", "1.2.10"))
    found = {line.study_instance_uid: line.state for line in console.studies(limit=99).lines}
    assert found == {
        "1.2.1": StudyState.DONE,
        "1.2.2": StudyState.DONE,
        "1.2.3": StudyState.ATTENTION,
        "1.2.4": StudyState.DELIVERING,
        "1.2.5": StudyState.ATTENTION,
        "1.2.6": StudyState.KEPT,
        "1.2.7": StudyState.GIVEN_UP,
        "1.2.8": StudyState.ANALYSING,
        "1.2.9": StudyState.WAITING,
        "1.2.10": StudyState.RECEIVING,
    }
    for among, expected in (
        (Among.RECEIVING, ["1.2.10"]),
        (Among.WAITING, ["1.2.9"]),
        (Among.ANALYSING, ["1.2.8"]),
        (Among.ATTENTION, ["1.2.5", "1.2.3"]),
    ):
        assert [line.study_instance_uid for line in console.studies(among).lines] == expected, among
    assert console.finished_since(NOW) == {Urgency.SOON: 4}
    assert console.finished_since(NOW + DAY) == {}


def test_a_list_is_paged_from_the_newest(jobs: SqlJobs, console: SqlConsole) -> None:
    for number in range(5):
        queued(jobs, f"1.2.{number}")
    first = console.studies(limit=3)
    rest = console.studies(after=first.end, limit=3)
    uids = [line.study_instance_uid for line in (*first.lines, *rest.lines)]
    assert uids == [f"1.2.{number}" for number in range(4, -1, -1)]
    assert rest.end == ()
    assert {(line.objects, line.source, len(line.pictures)) for line in first.lines} == {(1, "CAMERA", 1)}


def page_by_page(console: SqlConsole, among: Among, size: int) -> list[str]:
    found: list[str] = []
    end: Place = ()
    while True:
        page = console.studies(among, after=end, limit=size)
        found += [line.study_instance_uid for line in page.lines]
        if not page.end:
            return found
        end = page.end


@pytest.mark.parametrize("size", [1, 2, 3, 7, 99])
def test_no_study_is_missed_or_seen_twice_whatever_the_page(jobs: SqlJobs, console: SqlConsole, size: int) -> None:
    for number in range(4):  # two of which came in the same moment
        jobs.record_instance(image(f"1.1.{number}.1", f"1.1.{number}", NOW + number // 2 * SECOND))
    finished(jobs, "1.6", to_pacs=False)
    (again,) = jobs.studies_like(study_instance_uid="1.6")
    assert jobs.request_revision(again.id, NOW, 3, BACKGROUND)
    for number in range(4):
        finished(jobs, f"1.3.{number}")
    while (job := jobs.claim([JobKind.DELIVER], "a worker", NOW + DAY, LEASE)) is not None:
        jobs.finish(job, Never("hopeless"), NOW, 0.0)
    queued(jobs, "1.4.0")
    claimed(jobs)
    for number in range(3):
        queued(jobs, f"1.5.{number}", NOW + number // 2 * SECOND)
    jobs.record_instance(image("1.5.0.9", "1.5.0", NOW))
    closed(jobs, "1.5.0", NOW + 2 * SECOND)
    assert page_by_page(console, Among.RECEIVING, size) == ["1.1.3", "1.1.2", "1.1.1", "1.1.0"]
    assert page_by_page(console, Among.ATTENTION, size) == ["1.3.3", "1.3.2", "1.3.1", "1.3.0"]
    assert page_by_page(console, Among.ANALYSING, size) == ["1.4.0"]
    assert page_by_page(console, Among.WAITING, size) == ["1.5.1", "1.5.2", "1.5.0", "1.6"]


def test_a_place_that_nobody_would_come_to_is_answered_all_the_same(jobs: SqlJobs, console: SqlConsole) -> None:
    queued(jobs, "1.2.1")
    for far in (10**18 - 1, 1 - 10**18):
        for among, numbers in ((Among.RECEIVING, 2), (Among.WAITING, 3), (Among.ATTENTION, 1), (Among.ALL, 1)):
            assert len(console.studies(among, after=(far,) * numbers).lines) <= 1


def test_a_study_tells_every_revision_with_what_was_made_and_where_it_went(jobs: SqlJobs, console: SqlConsole) -> None:
    finished(jobs, "1.2.1")
    jobs.record_instance(image("1.2.1.1.2", "1.2.1", NOW + DAY))
    late = closed(jobs, "1.2.1", NOW + DAY)
    delivery = jobs.claim([JobKind.DELIVER], "a worker", NOW + DAY, LEASE)
    assert delivery is not None
    jobs.record_delivery(delivery.subject_id, 0xA700, "full", NOW + DAY)
    (line,) = console.studies().lines
    story = console.study(line.id)
    assert story is not None
    assert [(one.revision, one.finished_at is None) for one in story.revisions] == [(2, True), (1, False)]
    newest, first = story.revisions
    assert newest.job is not None
    assert (newest.job.id, newest.outputs) == (late, ())
    assert [one.kind for one in first.outputs] == [OutputKind.HEATMAP, OutputKind.REPORT]
    (said,) = first.outputs[0].deliveries
    assert (said.destination, said.status, said.comment, said.job.state) == ("pacs", 0xA700, "full", JobState.RUNNING)
    (sender,) = story.received
    assert (sender.objects, sender.first_at, sender.last_at) == (2, NOW, NOW + DAY)
    assert list(story.instances) == ["1.2.1.1.1", "1.2.1.1.2"]
    assert console.study(line.id + 1) is None
    assert console.last_answers()["pacs"].comment == "full"


def test_pictures_are_received_instances_and_heatmaps_alone(jobs: SqlJobs, console: SqlConsole) -> None:
    finished(jobs, "1.2.1")
    (line,) = console.studies().lines
    story = console.study(line.id)
    assert story is not None
    (photograph,) = story.instances.values()
    received = console.received_picture(photograph.id)
    assert received is not None
    assert (received.file_key, received.study_instance_uid, received.gone) == ("key-of-1.2.1.1.1", "1.2.1", None)
    heatmap, report = story.revisions[0].outputs
    assert console.made_picture(heatmap.id) is not None
    assert console.made_picture(report.id) is None
    assert console.received_picture(photograph.id + 1) is None
    for _ in range(2):
        delivery = jobs.claim([JobKind.DELIVER], "a worker", NOW + DAY, LEASE)
        assert delivery is not None
        jobs.finish(delivery, Done(), NOW + DAY, 0.0)
    assert jobs.mark_removed(line.id, NOW + DAY)
    gone = console.received_picture(photograph.id)
    assert gone is not None
    assert gone.gone is ReasonCode.FILE_REMOVED


def test_jobs_come_with_what_they_are_about_in_the_order_that_matters(jobs: SqlJobs, console: SqlConsole) -> None:
    finished(jobs, "1.2.1", urgency=Urgency.URGENT)
    queued(jobs, "1.2.2")
    queued(jobs, "1.2.3", NOW - SECOND)
    waiting = console.jobs(JobState.WAITING, limit=10)
    about = [(one.job.kind, one.about.study_instance_uid, one.about.destination) for one in waiting]
    assert about[:2] == [(JobKind.DELIVER, "1.2.1", "pacs")] * 2, "the urgent first"
    assert about[2:] == [(JobKind.ANALYSE, "1.2.3", ""), (JobKind.ANALYSE, "1.2.2", "")]
    running = jobs.claim([JobKind.ANALYSE], "a worker", NOW, timedelta(minutes=1))
    assert running is not None
    assert [one.job for one in console.jobs(JobState.RUNNING)] == [running]
    jobs.finish(running, Never("no"), NOW, 0.0)
    (dead,) = console.jobs(JobState.DEAD)
    assert (dead.job.id, dead.about.study_instance_uid, dead.about.revision) == (running.id, "1.2.3", 1)
    assert console.jobs(JobState.DEAD, before=running.id) == []
