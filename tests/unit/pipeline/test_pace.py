"""Hours of the day by the clock on the wall, over midnight and over the days when clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ocunet_pacs.pipeline.pace import OpenHours, Pace

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = OpenHours("19:00-06:00", BERLIN)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [
        ("2026-01-05T18:59:59", False),
        ("2026-01-05T19:00:00", True),
        ("2026-01-05T23:59:59", True),
        ("2026-01-06T00:00:00", True),
        ("2026-01-06T05:59:59", True),
        ("2026-01-06T06:00:00", False),
        ("2026-07-06T19:00:00", True),
        ("2026-07-06T18:59:59", False),
    ],
)
def test_a_night_goes_over_midnight(clock: str, is_open: bool) -> None:
    assert NIGHT.is_open(berlin(clock)) is is_open


def test_a_day_window_and_no_window() -> None:
    day = OpenHours("08:00-17:30", UTC)
    assert [day.is_open(datetime(2026, 1, 1, hour, 30, tzinfo=UTC)) for hour in (7, 8, 16, 17)] == [
        False,
        True,
        True,
        False,
    ]
    always = OpenHours("", UTC)
    assert always.is_open(datetime(2026, 1, 1, tzinfo=UTC))
    assert always.opens_at(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        ("19:00-06:00", "2026-01-05T12:00:00", "2026-01-05T19:00:00"),
        ("08:00-09:00", "2026-01-05T12:00:00", "2026-01-06T08:00:00"),
        ("08:00-09:00", "2026-03-28T12:00:00", "2026-03-29T08:00:00"),  # 19 hours: clocks are put forward
        ("08:00-09:00", "2026-10-24T12:00:00", "2026-10-25T08:00:00"),  # 21 hours: clocks are put back
    ],
)
def test_the_next_opening_is_by_the_wall_clock(hours: str, now: str, opens: str) -> None:
    answer = OpenHours(hours, BERLIN).opens_at(berlin(now))
    assert answer.astimezone(UTC) == berlin(opens)
    assert answer.isoformat().startswith(opens)


def test_an_opening_that_clocks_jump_over_opens_when_they_jump() -> None:
    hours = OpenHours("02:30-04:00", BERLIN)
    before = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)  # 01:59; a minute later it is 03:00
    assert not hours.is_open(before)
    assert hours.is_open(before + timedelta(minutes=1))
    assert before < hours.opens_at(before).astimezone(UTC) <= datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_the_hour_that_is_there_twice_counts_twice() -> None:
    hours = OpenHours("02:00-03:00", BERLIN)
    open_minutes = sum(
        hours.is_open(datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + timedelta(minutes=m)) for m in range(240)
    )
    assert open_minutes == 120


def test_time_that_was_not_used_is_not_made_up_for() -> None:
    pace, now = Pace(60), datetime(2026, 1, 1, tzinfo=UTC)
    assert pace.wait(now) == timedelta(0)
    pace.begin(now)
    assert pace.wait(now) == timedelta(seconds=1)
    now += timedelta(hours=1)
    pace.begin(now)
    assert pace.wait(now) == timedelta(seconds=1)
