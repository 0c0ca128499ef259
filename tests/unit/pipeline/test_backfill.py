"""A run of the backfill: what is fetched, what is waited for, what ends it, and that it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocunet_pacs.domain.backfill import BackfillState, FoundStudy, Retrieved
from ocunet_pacs.domain.dates import DateRange
from ocunet_pacs.domain.errors import (
    ArchiveError,
    ArchiveMisconfigured,
    ArchiveUnavailable,
    DatabaseError,
    StoreFull,
)
from ocunet_pacs.pipeline.backfill import Ending
from ocunet_pacs.pipeline.survey import survey
from tests.unit.pipeline.archives import MARCH, Bench, bench, received, studies

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_study_of_the_range_is_fetched_once() -> None:
    site = bench(studies(30))
    first = site.run()
    assert (first.ending, first.tally.fetched, first.tally.instances, first.is_clean) == (Ending.DONE, 30, 60, True)
    second = site.run()
    assert (second.tally.fetched, second.tally.known, second.is_clean) == (0, 30, True)
    assert len(site.archive.retrieved) == len(set(site.archive.retrieved)) == 30
    assert site.counted == ["fetched"] * 30
    assert site.completed == site.archive.retrieved
    assert site.tallies[-1] == (31, 31)


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_order_is_by_date_and_time(newest_first: bool) -> None:
    found = [
        FoundStudy(f"1.{day}.{hour}", date(2024, 3, day), hour * 3600, ("OP",)) for day in (9, 3, 20) for hour in (8, 7)
    ]
    site = bench(found)
    site.run(newest_first=newest_first)
    in_order = [s.study_instance_uid for s in sorted(found, key=lambda s: (s.day, s.time), reverse=newest_first)]
    assert site.archive.retrieved == in_order


def test_a_limit_ends_the_run_and_the_next_one_goes_on() -> None:
    site = bench(studies(7))
    assert (site.run(limit=3).ending, site.run(limit=3).ending) == (Ending.LIMIT, Ending.LIMIT)
    last = site.run(limit=3)
    assert (last.ending, last.tally.fetched, last.tally.known) == (Ending.DONE, 1, 6)


def test_a_study_without_images_of_the_modality_is_looked_at_once() -> None:
    site = bench(studies(3), empty={"1.2.2"})
    assert site.run().tally.nothing == 1
    assert site.states()["1.2.2"] == "nothing"
    site.archive.errors["series 1.2.2"] = [AssertionError("it was asked again")]
    assert site.run().tally.known == 3


def test_what_came_by_other_ways_is_not_fetched() -> None:
    site = bench(studies(2))
    for number in (1, 2):
        site.archive.ledger.record_instance(received("1.2.1", f"1.2.1.1.{number}", site.clock.time))
    site.archive.ledger.record_instance(received("1.2.2", "1.2.2.1.1", site.clock.time))
    result = site.run()
    assert (result.tally.present, result.tally.fetched) == (1, 1)
    assert site.archive.retrieved == ["1.2.2"], "a part of it is not all of it"


def test_what_the_archive_says_it_sent_is_not_believed() -> None:
    site = bench(studies(1), loses={"1.2.1"}, says=Retrieved())
    result = site.run()
    assert (result.tally.failed, result.is_clean) == (1, False)
    [row] = site.past.past_studies()
    assert row.reason == "1 of 2 images are not here: the archive says that all were sent"
    assert site.completed == []


def test_what_is_here_counts_whatever_the_archive_says() -> None:
    assert bench(studies(1), says=Retrieved("status 0xB000")).run().tally.fetched == 1


def test_objects_on_their_way_are_waited_for_but_not_for_ever() -> None:
    site = bench(studies(1), loses={"1.2.1"}, says=Retrieved(may_still_arrive=True))
    began = site.clock.time
    assert site.run(arrival=timedelta(seconds=20)).tally.failed == 1
    assert timedelta(seconds=20) <= site.clock.time - began < timedelta(seconds=22)
    [row] = site.past.past_studies()
    assert row.reason is not None
    assert "our AE title has our listener's host and port" in row.reason


def test_a_failed_study_is_tried_again_by_later_runs_up_to_a_limit() -> None:
    site = bench(studies(2), errors={"1.2.1": [ArchiveError("it broke")] * 3})
    for tried in (1, 2, 3):
        result = site.run()
        assert (result.tally.failed, site.archive.retrieved.count("1.2.1")) == (1, tried)
    result = site.run()
    assert (result.tally.given_up, result.tally.failed, result.is_clean) == (1, 0, False)
    assert site.archive.retrieved.count("1.2.1") == 3
    assert site.past.retry_failed("archive", site.clock.time) == 1
    assert site.run().is_clean
    assert set(site.states().values()) == {"fetched"}


def test_many_failures_in_a_row_end_the_run_because_it_is_not_the_studies() -> None:
    site = bench(studies(50), errors={f"1.2.{n}": [ArchiveError("out of order")] for n in range(1, 51)})
    result = site.run()
    assert (result.ending, result.tally.failed) == (Ending.FAILURES, 10)
    assert result.message == "10 studies in a row failed; the last: out of order"
    site.archive.errors.clear()
    assert site.run().tally.fetched == 50


def test_what_every_study_needs_ends_the_run_at_once_and_says_so() -> None:
    site = bench(studies(5), errors={"1.2.5": [ArchiveMisconfigured("configure AE title OCUNET there")]})
    result = site.run()
    assert (result.ending, result.message) == (Ending.ARCHIVE, "configure AE title OCUNET there")
    assert site.archive.retrieved == ["1.2.5"]
    [failed] = site.past.past_studies(state=BackfillState.FAILED)
    assert failed.reason == "configure AE title OCUNET there"


def test_an_archive_that_is_down_is_waited_for_and_costs_no_attempt() -> None:
    down = ArchiveUnavailable("no answer from there")
    site = bench(studies(1), errors={"1.2.1": [down] * 2, "list": [down], "series 1.2.1": [down]})
    assert site.run().is_clean
    assert site.waited == [5, 5, 5, 15]
    assert set(site.waiting_for) == {"no answer from there"}
    [row] = site.past.past_studies()
    assert row.attempts == 1


def test_an_archive_that_stays_down_ends_the_run_which_can_be_resumed() -> None:
    site = bench(studies(1), errors={"1.2.1": [ArchiveUnavailable("no answer from there")] * 20})
    result = site.run()
    assert (result.ending, result.message) == (Ending.ARCHIVE, "no answer from there")
    [row] = site.past.past_studies()
    assert (row.state, row.attempts) == (BackfillState.FOUND, 0)
    site.archive.errors.clear()
    assert site.run().is_clean


@pytest.mark.parametrize("error", [StoreFull("there is no room"), DatabaseError("the database does not work")])
def test_a_store_that_takes_nothing_ends_the_run_and_costs_no_attempt(error: Exception) -> None:
    site = bench(studies(2), errors={"1.2.2": [error]})
    result = site.run()
    assert (result.ending, result.message) == (Ending.STORE, str(error))
    assert {row.attempts for row in site.past.past_studies()} == {0}
    assert site.run().tally.fetched == 2


def test_nothing_is_asked_for_where_there_is_no_room() -> None:
    site = bench(studies(1))
    site.room = [StoreFull("less is free than the settings keep free")]
    assert site.run().ending is Ending.STORE
    assert site.archive.retrieved == []


def test_a_stop_ends_the_run_after_the_study_that_is_fetched() -> None:
    site = bench(studies(5))
    retrieve = site.archive.retrieve

    def retrieve_and_stop(*arguments: object) -> Retrieved:
        site.stopping = len(site.archive.retrieved) == 1
        return retrieve(*arguments)  # type: ignore[arg-type]

    site.archive.retrieve = retrieve_and_stop  # type: ignore[method-assign]
    result = site.run()
    assert (result.ending, result.tally.fetched, result.is_clean) == (Ending.INTERRUPTED, 2, False)
    site.stopping = False
    site.archive.retrieve = retrieve  # type: ignore[method-assign]
    assert site.run().tally.fetched == 3


def test_a_stop_while_it_waits_gives_the_attempt_back() -> None:
    site = bench(studies(1), errors={"1.2.1": [ArchiveUnavailable("down")] * 9})
    site.wait, wait = (lambda seconds: seconds > 0 or wait(0)), site.wait  # type: ignore[method-assign]
    assert site.run().ending is Ending.INTERRUPTED
    [row] = site.past.past_studies()
    assert (row.state, row.attempts) == (BackfillState.FOUND, 0)


# --- pace, hours, back-pressure --------------------------------------------------------------------------------------


def test_no_more_studies_a_minute_than_the_site_allows() -> None:
    site = bench(studies(21))
    began = site.clock.time
    site.run(studies_per_minute=20)
    assert site.clock.time - began == timedelta(minutes=1)


def test_what_is_here_already_costs_no_pace() -> None:
    site = bench(studies(20))
    site.run()
    began = site.clock.time
    site.run(studies_per_minute=1)
    assert site.clock.time == began


def test_waits_for_the_hours_and_says_until_when() -> None:
    site = bench(studies(3), hours="19:00-06:00", zone=BERLIN)
    site.clock.time = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert site.run().is_clean
    assert site.waiting_for[0] == "the hours begin at 19:00"
    assert site.clock.time >= datetime(2026, 7, 1, 17, 0, tzinfo=UTC), "19:00 is 17:00 UTC in summer"


def test_hours_that_end_in_the_middle_hold_the_rest_up_until_they_begin_again() -> None:
    site = bench(studies(3), hours="19:00-19:02", zone=UTC)
    site.clock.time = datetime(2026, 1, 1, 19, 0, 30, tzinfo=UTC)
    assert site.run(studies_per_minute=1).is_clean
    assert site.clock.time >= datetime(2026, 1, 2, 19, 0, tzinfo=UTC)


def test_waits_while_many_analyses_wait() -> None:
    site = bench(studies(8))
    jobs = site.archive.ledger

    def close_all(seconds: float) -> bool:
        if seconds:
            for study in jobs.studies_due(site.clock.time + timedelta(days=1), timedelta(days=1)):
                job = jobs.close_study(study, site.clock.time, 3)
                claimed = jobs.claim(["analyse"], "x", site.clock.time, timedelta(days=1))  # type: ignore[attr-defined]
                assert job is not None
                assert claimed is not None
        return False

    site.wait = close_all  # type: ignore[method-assign]
    assert site.run(max_waiting=3).is_clean
    assert site.waiting_for == ["3 studies or more wait for their analysis"] * 2


# --- crashes and others ----------------------------------------------------------------------------------------------


def claimed_by(site: Bench, owner: str, times: int = 1) -> None:
    [row] = site.past.note_found("archive", ["1.2.1"], ["OP"], site.clock.time)
    for _ in range(times):
        claimed = site.past.claim_study(row, owner, site.clock.time)
        assert claimed is not None
        row = claimed


def test_a_study_whose_process_died_is_fetched_by_the_next_run() -> None:
    site = bench(studies(2))
    claimed_by(site, "dead")
    site.gone = {"dead"}
    assert site.run().tally.fetched == 2


def test_a_study_that_another_run_fetches_is_left_to_it_until_it_is_silent_for_long() -> None:
    site = bench(studies(2))
    claimed_by(site, "alive")
    result = site.run()
    assert (result.tally.fetched, result.tally.elsewhere) == (1, 1)
    site.clock.time += timedelta(hours=2)
    assert site.run().tally.fetched == 1


def test_a_study_that_kills_its_process_each_time_runs_out_of_attempts() -> None:
    site = bench(studies(1))
    claimed_by(site, "dead", times=3)
    site.gone = {"dead"}
    assert site.run().tally.given_up == 1
    [row] = site.past.past_studies()
    assert row.state is BackfillState.FAILED
    assert row.reason == "each time that it was fetched, the process that did so ended"


def test_goes_on_with_what_was_found_without_asking_for_more() -> None:
    site = bench(studies(6), errors={"1.2.6": [ArchiveError("it broke")]})
    site.run(limit=2)
    claimed = site.past.note_found("archive", ["1.2.1"], ["OP"], site.clock.time)
    assert site.past.claim_study(claimed[0], "dead", site.clock.time)
    site.gone = {"dead"}
    site.archive.asked.clear()
    result = site.run(None)
    assert (result.ending, result.tally.fetched, site.archive.asked) == (Ending.DONE, 5, [])
    assert site.tallies[-1] == (5, 5)
    assert set(site.states().values()) == {"fetched"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["before", "in the middle", "after", "never"]), max_size=30))
def test_however_often_it_is_killed_every_study_is_fetched_once(fate: list[str]) -> None:
    site = bench(studies(6))
    fates = iter(fate)
    retrieve = site.archive.retrieve
    whole: list[str] = []

    class Killed(BaseException):
        pass

    def sometimes(uid: str, series: list[str]) -> Retrieved:
        when = next(fates, "never")
        if when == "before":
            raise Killed
        site.archive.loses = {uid} if when == "in the middle" else set()
        answer = retrieve(uid, series)
        if when == "in the middle":
            raise Killed
        whole.append(uid)
        if when == "after":
            raise Killed
        return answer

    site.archive.retrieve = sometimes  # type: ignore[method-assign,assignment]
    for attempt in range(60):
        site.owner = f"run {attempt}"
        try:
            site.run(attempts=100)
        except Killed:
            site.gone.add(site.owner)
        else:
            break
    assert set(site.states().values()) <= {"fetched", "present"}
    assert sorted(whole) == sorted(set(whole)) == [f"1.2.{n}" for n in range(1, 7)]


# --- archives that do not list everything ----------------------------------------------------------------------------


@pytest.mark.parametrize("admits_limit", [True, False])
@pytest.mark.parametrize("limit", [10, 50, 100, 500])
def test_an_archive_that_limits_its_answers_hides_nothing(limit: int, admits_limit: bool) -> None:
    found = [
        FoundStudy(f"1.{day}.{n}", date(2024, 3, day), n * 131 % 86400, ("OP",))
        for day in (1, 2, 2, 15, 31)
        for n in range(130)
    ]
    found = list({study.study_instance_uid: study for study in found}.values())
    site = bench(found, at_most=limit, admits_limit=admits_limit)
    result = site.run()
    assert (result.tally.fetched, result.tally.cut) == (len(found), [])


def test_studies_without_a_time_are_not_lost_when_a_day_is_asked_for_in_parts() -> None:
    timed = studies(25)
    site = bench([replace(s, time=-1) for s in studies(3, prefix="1.9")] + timed, at_most=30, admits_limit=True)
    assert site.run().tally.fetched == 28


def test_an_archive_whose_answers_stay_cut_is_told_on() -> None:
    site = bench(studies(40), at_most=15, matches_times=False)
    result = site.run()
    assert result.tally.fetched == 15
    assert not result.is_clean
    assert [(window.first, window.last) for window in result.tally.cut] == [(date(2024, 3, 5), date(2024, 3, 5))]


def test_a_quiet_month_costs_one_question() -> None:
    site = bench(studies(9))
    site.run(DateRange(date(2024, 1, 1), date(2024, 12, 31)))
    assert len(site.archive.asked) == 12


# --- the dry run -----------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_by_month_and_leaves_no_trace() -> None:
    april = studies(2, date(2024, 4, 2), prefix="1.4")
    site = bench(studies(6) + april, errors={"1.2.6": [ArchiveError("it broke")]})
    site.run(limit=3)
    before = site.past.past_studies()
    site.archive.retrieved.clear()
    dates = DateRange(date(2024, 3, 1), date(2024, 4, 30))
    found = survey(site.archive, site.past, dates, ["OP"], newest_first=True, stopping=lambda: False)
    counts = {month: (count.to_fetch, count.failed, count.done) for month, count in found.months.items()}
    assert counts == {"2024-04": (2, 0, 0), "2024-03": (3, 1, 2)}
    assert list(counts) == ["2024-04", "2024-03"]
    assert (site.past.past_studies(), site.archive.retrieved) == (before, [])


def test_a_dry_run_looks_into_studies_of_which_the_archive_does_not_tell() -> None:
    silent = [replace(study, modalities=()) for study in studies(4)]
    site = bench(silent, empty={"1.2.1", "1.2.2"})
    found = survey(site.archive, site.past, MARCH, ["OP"], newest_first=True, stopping=lambda: False)
    assert found.months["2024-03"].to_fetch == 2
