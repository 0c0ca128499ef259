"""Ranges as people write them, and the windows that they are asked for in."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.dates import DAY_SECONDS, EARLIEST, DateRange, Window, parse_range

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01", "2024-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024-03-05", "2024-03-05", "2024-03-05"),
        ("20240305", "2024-03-05", "2024-03-05"),
        ("2024-01-01..2024-06-30", "2024-01-01", "2024-06-30"),
        ("2023..2024-02", "2023-01-01", "2024-02-29"),
        (" 2023-06 .. 2023-07 ", "2023-06-01", "2023-07-31"),
        ("20240101-20240630", "2024-01-01", "2024-06-30"),
        ("20240101-", "2024-01-01", "2026-11-25"),
        ("-20240630", str(EARLIEST), "2024-06-30"),
        ("2024-01..", "2024-01-01", "2026-11-25"),
        ("..2019", str(EARLIEST), "2019-12-31"),
    ],
)
def test_a_range_means_what_it_says(text: str, first: str, last: str) -> None:
    assert parse_range(text, TODAY) == DateRange(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2024-13", "no such date"),
        ("2024-02-30", "no such date"),
        ("20240230-20240301", "no such date"),
        ("2024..2023", "ends before it begins"),
        ("yesterday", "expected 2024"),
        ("", "expected 2024"),
        ("..", "expected 2024"),
        ("-", "expected 2024"),
        ("2024-1-1", "expected 2024"),
    ],
)
def test_what_is_no_range_is_refused_with_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_range(text, TODAY)


days = st.dates(date(1990, 1, 1), date(2030, 12, 31))


@given(days, st.integers(0, 900), st.booleans())
def test_months_cover_the_range_without_gap_or_overlap(first: date, length: int, newest_first: bool) -> None:
    dates = DateRange(first, first + timedelta(days=length))
    windows = list(dates.months(newest_first=newest_first))
    covered = [w.first + timedelta(days=n) for w in windows for n in range(w.days)]
    assert sorted(covered) == [first + timedelta(days=n) for n in range(length + 1)]
    assert [w.first for w in windows] == sorted((w.first for w in windows), reverse=newest_first)
    assert all(w.first.month == w.last.month for w in windows)


@given(days, st.integers(0, 40))
def test_halves_cover_the_window_down_to_a_minute(first: date, length: int) -> None:
    def leaves(window: Window) -> list[Window]:
        halves = window.halves()
        assert halves is None or halves[0] != window
        # One branch all the way down; the other as it is.
        return [window] if halves is None else [*leaves(halves[0]), halves[1]]

    parts = leaves(Window(first, first + timedelta(days=length)))
    total = sum(part.end - part.begin for part in parts if part.days == 1) + sum(
        part.days * DAY_SECONDS for part in parts if part.days > 1
    )
    assert total == (length + 1) * DAY_SECONDS
    assert parts[0].end - parts[0].begin <= 120
