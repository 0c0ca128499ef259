"""What the pages say of a day with faults, and what can be done there about them."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import structlog

from ocunet_pacs.domain.audit import Accessed, Alert, AuditOutcome, SecurityAlert
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.job import JobKind, JobState, Never
from ocunet_pacs.logs import study_digest
from tests.console.site import HERE, Site, asked, site
from tests.console.studies import LIMIT, REFUSAL, Drawn, Putter, write_manifest
from tests.console.test_guard import OUR_FORM, seal

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient


def words(client: TestClient, path: str) -> str:
    """What a person could read there, in one line."""
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text)
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text).replace(" ,", ",").replace("&#39;", "'")


def dead(made: Site, kind: JobKind) -> list[int]:
    return sorted(job.id for job in made.jobs.find(state=JobState.DEAD, kind=kind))


def studies(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'href="/studies/(\d+)"', page)]


def test_the_overview_names_every_fault_and_what_waits(day: Site) -> None:
    text = words(asked(day), "/")
    assert "Needs attention 3 faults" in text
    assert "2 analyses failed for good" in text
    assert "2 deliveries failed for good" in text
    assert "records does not answer since" in text
    assert "Database OK" in text
    assert "Analyses 1 1 2" in text


def test_without_faults_all_is_well(folder: Path, drawn: Drawn) -> None:
    with site(folder) as made:
        write_manifest(folder / "bundle")
        assert "All is well" in words(asked(made), "/")
        made.jobs.record_run("retention", datetime.now(UTC), 0.1, succeeded=False, note="no")
        assert "Working, with remarks" in words(asked(made), "/")


def test_a_study_is_found_by_where_it_stands(day: Site) -> None:
    client = asked(day)
    for state, mark in (
        ("receiving", "receiving"),
        ("waiting", "waiting for analysis"),
        ("analysing", "being analysed"),
    ):
        assert f"{mark} Received" in words(client, f"/studies?state={state}")
    assert words(client, "/studies?state=attention").count("needs attention") == 3
    newest = studies(client.get("/studies").text)
    assert newest == sorted(newest, reverse=True)


@pytest.mark.parametrize("state", ["", "receiving", "waiting", "analysing", "attention"])
def test_every_list_of_studies_is_paged(folder: Path, drawn: Drawn, state: str) -> None:
    with site(folder) as made:
        put = Putter(made, drawn, datetime.now(UTC))
        for _ in range(30):
            uid = put.receive(drawn.well, ago=timedelta(minutes=5))
            if state in {"waiting", "analysing", "attention"}:
                put.close(uid, ago=timedelta(minutes=4))
            if state in {"analysing", "attention"}:
                job = put.claim(JobKind.ANALYSE, ago=timedelta(minutes=3))
            if state == "attention":
                assert made.jobs.finish(job, Never("hopeless"), put.now, 0.0)
        client = asked(made)
        first = client.get("/studies", params={"state": state} if state else {}).text
        (further,) = re.findall(r'href="(/studies[^"]*after=[0-9.-]+)">(?:Older|Next)<', first)
        second = client.get(html.unescape(further)).text
        shown = [*studies(first), *studies(second)]
        assert shown == sorted(range(1, 31), reverse=state not in {"waiting", "analysing"})
        assert len(studies(first)) == 25
        assert not re.search(">(Older|Next)<", second)
        (back,) = re.findall(r'href="([^"]+)">(?:Newest|First)<', second)
        assert studies(client.get(html.unescape(back)).text) == studies(first)


def test_a_study_tells_its_way_with_times_and_reasons(day: Site) -> None:
    client = asked(day)
    whole = words(client, "/studies/1")
    stages = "Received .* Complete, revision 1 .* Analysed .* Results made .* Delivered to pacs .* pacs keeps it"
    assert re.search(stages, whole)
    for what in ("11 s after the last image", "took 7.0 s", "1 heatmap; 1 structured report", "2 of 2 objects stored"):
        assert what in whole
    assert "Diabetic retinopathy 91.3 % (threshold 41.2 %)" in whole
    (failed,) = {job.subject_id for job in day.jobs.find(state=JobState.DEAD, kind=JobKind.ANALYSE, limit=1)}
    story = words(client, f"/studies/{day.jobs.analysis(failed).study_id}")
    assert "Analysis failed" in story
    assert LIMIT in story
    refused = words(client, "/studies/13")
    assert "Delivery to viewer failed" in refused
    assert REFUSAL in refused
    assert words(client, "/studies/16").count("Not complete yet") == 0
    assert "Not complete yet" in words(client, "/studies/17")


def test_what_has_no_patient_on_it_by_default_has_names_where_the_site_wants_them(day: Site, drawn: Drawn) -> None:
    assert "Example^Drawn" not in asked(day).get("/studies/1").text
    with_names = day.settings.model_copy(
        update={"console": day.settings.console.model_copy(update={"show_patient": True})}
    )
    named = Site(day.folder, with_names, day.jobs, day.files)
    try:
        assert "Name Example^Drawn Patient ID EXAMPLE-1" in words(asked(named), "/studies/1")
    finally:
        named.close()


def test_no_address_and_no_log_line_says_whose_a_study_is(day: Site) -> None:
    client = asked(day)
    with structlog.testing.capture_logs() as logged:
        for path in ("/", "/studies", "/studies/1", "/jobs", "/destinations"):
            links = re.findall(r'(?:href|src|action)="([^"]*)"', client.get(path).text)
            assert all(re.fullmatch(r"[a-z0-9/._?=&;#-]*", link) for link in links), links
    assert logged == []


def test_a_dead_job_is_retried_once_asked_and_told(day: Site) -> None:
    client, (first, second) = asked(day), dead(day, JobKind.ANALYSE)
    assert LIMIT in words(client, f"/jobs/{first}")
    page = client.get(f"/jobs/{first}/retry")
    assert dead(day, JobKind.ANALYSE) == [first, second], "asking changes nothing"
    with structlog.testing.capture_logs() as logged:
        answer = client.post(f"/jobs/{first}/retry", data={"seal": seal(page.text)}, headers=OUR_FORM)
    assert answer.status_code == 303
    job = day.jobs.get(first)
    assert job is not None
    assert (job.state, job.attempt) == (JobState.WAITING, 0)
    assert dead(day, JobKind.ANALYSE) == [second]
    assert "the job waits again" in words(client, answer.headers["location"])
    assert [line["event"] for line in logged] == ["console_retried"]
    (told,) = (event for event in day.told if isinstance(event, SecurityAlert))
    assert (told.alert, told.outcome) == (Alert.RESTRICTED_FUNCTION, AuditOutcome.SUCCESS)
    uid = day.jobs.analysis(job.subject_id).study_instance_uid
    assert told.description == f"job {first} (analyse) retried at the console, study {study_digest(uid)}"
    assert told.party is not None
    assert told.party.address == HERE[0]
    again = client.post(f"/jobs/{first}/retry", data={"seal": seal(page.text)}, headers=OUR_FORM)
    assert again.status_code == 409, "somebody was quicker"


def test_discarding_says_that_it_cannot_be_undone_and_keeps_the_row(day: Site) -> None:
    client, (first, _) = asked(day), dead(day, JobKind.DELIVER)
    page = client.get(f"/jobs/{first}/discard")
    assert "This cannot be undone." in page.text
    client.post(f"/jobs/{first}/discard", data={"seal": seal(page.text)}, headers=OUR_FORM)
    job = day.jobs.get(first)
    assert job is not None
    assert job.state is JobState.DISCARDED


def test_all_that_died_for_one_reason_are_retried_together_as_far_as_they_were_seen(day: Site, drawn: Drawn) -> None:
    client = asked(day)
    key = re.search(rf"{re.escape(LIMIT)}.*?/jobs/alike/([0-9a-f]+)/retry", client.get("/jobs").text, re.DOTALL)
    assert key is not None
    path = f"/jobs/alike/{key[1]}/retry"
    page = client.get(path)
    assert "Retry 2 jobs?" in page.text
    seen = dead(day, JobKind.ANALYSE)
    (newest,) = re.findall(r'name="newest" value="(\d+)"', page.text)
    for job in day.jobs.find(state=JobState.WAITING, kind=JobKind.ANALYSE):
        assert day.jobs.claim([JobKind.ANALYSE], "w", datetime.now(UTC), timedelta(1)) is not None, job
    late = Putter(day, drawn, datetime.now(UTC) + timedelta(minutes=5), 100).dead(
        drawn.well, LIMIT, ago=timedelta(minutes=2)
    )
    answer = client.post(path, data={"seal": seal(page.text), "newest": newest}, headers=OUR_FORM)
    assert "of 2 jobs" in words(client, answer.headers["location"])
    assert dead(day, JobKind.ANALYSE) == [late]
    assert {day.jobs.get(one).state for one in seen} == {JobState.WAITING}  # type: ignore[union-attr]


def test_nothing_is_done_without_the_seal_or_from_another_site(day: Site) -> None:
    client, (first, second) = asked(day), dead(day, JobKind.ANALYSE)
    right = {"seal": seal(client.get(f"/jobs/{first}/retry").text)}
    assert client.post(f"/jobs/{first}/retry", data={"seal": "0" * 64}, headers=OUR_FORM).status_code == 403
    evil = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert client.post(f"/jobs/{first}/retry", data=right, headers=evil).status_code == 403
    assert client.get(f"/jobs/{first}/retry", params=right).status_code == 200
    for path in (f"/jobs/{first}/erase", "/jobs/alike/0000000000000000/retry", "/jobs/999999/retry"):
        assert client.post(path, data=right, headers=OUR_FORM).status_code == 404
    assert dead(day, JobKind.ANALYSE) == [first, second]


def test_pictures_are_shown_and_told_once(day: Site) -> None:
    client = asked(day)
    page = client.get("/studies/1").text
    for path in re.findall(r'src="(/pictures/[^"]+)"', page):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.content[:3] == b"\xff\xd8\xff"
    (told,) = (event for event in day.told if isinstance(event, Accessed))
    assert told.reader is not None
    assert told.reader.address == HERE[0]
    assert len(told.patient.pseudonym) == 64


def test_a_file_that_no_decoder_takes_costs_its_picture_and_nothing_else(day: Site) -> None:
    client = asked(day)
    broken, fine = (f"/pictures/received/{number}/small" for number in (1, 2))
    row = day.jobs.find_instance(str(day.jobs.analysis_instances(1)[0].sop_instance_uid))
    assert row is not None
    path = day.files.path(row.file_key)
    path.write_bytes(path.read_bytes()[:600] + b"\xff" * 5000)
    assert client.get(broken).status_code == 404
    assert day.showing is not None
    assert day.showing.process_id is not None
    assert client.get(fine).status_code == 200
    assert client.get("/pictures/made/1/small").status_code == 200
    assert client.get("/pictures/made/2/small").status_code == 404, "a report is no picture"
    assert client.get("/pictures/received/1/huge").status_code == 404


def test_the_model_shows_thresholds_and_says_when_it_is_none(day: Site) -> None:
    client = asked(day)
    text = words(client, "/model")
    assert "ocunet-v4-example" in text
    assert "DR Diabetic retinopathy 41.2 %" in text
    assert "operating point default of default, screening" in text
    (day.folder / "bundle" / "manifest.json").write_text("{}")
    assert "It cannot be used" in words(client, "/model")
    assert "The model bundle cannot be used" in words(client, "/")


def test_destinations_show_their_circuit_and_last_answer(day: Site) -> None:
    text = words(asked(day), "/destinations")
    assert re.search(r"records does not answer .* open since .* nobody answers at 10\.0\.0\.9 port 443", text)
    assert f"0xA900: {REFUSAL}" in text
    assert "10.0.0.5:104, AE title ARCHIVE" in text


def test_a_database_that_is_away_is_said_so(day: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> datetime:
        raise DatabaseError("the database does not work: starting up")

    monkeypatch.setattr(day.jobs, "clock", away)  # PostgreSQL's own, which all hosts go by
    client = asked(day)
    (day.folder / "queue.db").rename(day.folder / "elsewhere.db")
    answer = client.get("/studies")
    assert answer.status_code == 503
    assert "Not possible now" in answer.text


def test_a_camera_that_changed_is_shown_with_its_nights(day: Site) -> None:
    client = asked(day)
    page = client.get("/drift").text
    text = words(client, "/drift")
    assert re.search(r"serial 1022 look at it .* serial 1021 as before", text), "the one that changed comes first"
    assert "something in the same place in every photograph" in text
    assert "clean it" in text
    (plot,) = re.findall(r'aria-label="30 nights, highest [\d.]+, 5 alerts"', page)[:1]
    assert plot
    assert "Acme Retina 7, serial 1022 has changed: something in the same place" in words(client, "/")
    off = day.settings.model_copy(update={"drift": day.settings.drift.model_copy(update={"enabled": False})})
    without = Site(day.folder, off, day.jobs, day.files)
    assert "drift watch is off" in words(asked(without), "/drift")
    without.close()
