"""Ranges of days as people write them, and the windows in which an archive is asked about them.

2024              the year                 2024-01-01..2024-06-30   from, to
2024-03           the month                2023-06..2024            months and years may end a range too
2024-03-05        the day                  2024-01-01..             from then until today
20240101-20240630 as DICOM writes it       ..2019                   from the first DICOM archives on
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLIEST = date(1985, 1, 1)
"""Where a range without a beginning begins: ACR-NEMA's year; no archive of images is older."""
DAY_SECONDS = 24 * 60 * 60
_SHORTEST = 60

_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)")
_MONTH = re.compile(r"(\d{4})-(\d\d)")
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True, slots=True)
class DateRange:
    """From `first` to `last`, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days these are."""
        return (self.last - self.first).days + 1

    def months(self, *, newest_first: bool) -> Iterator[Window]:
        """The range in windows of a calendar month at most, in order."""
        month = (self.last if newest_first else self.first).replace(day=1)
        while True:
            end = _end_of_month(month.year, month.month)
            if end < self.first or month > self.last:
                return
            yield Window(max(month, self.first), min(end, self.last))
            month = (month - timedelta(days=1)).replace(day=1) if newest_first else end + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Some days, or some hours of one day: `begin` and `end` are seconds since midnight, `end` not included."""

    first: date
    last: date
    begin: int = 0
    end: int = DAY_SECONDS

    @property
    def days(self) -> int:
        """How many days it touches."""
        return (self.last - self.first).days + 1

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole days."""
        return (self.begin, self.end) == (0, DAY_SECONDS)

    def halves(self) -> tuple[Window, Window] | None:
        """The earlier and the later half: of its days, of one day its hours; None for a minute, the shortest."""
        if self.days > 1:
            middle = self.first + timedelta(days=(self.days - 1) // 2)
            return Window(self.first, middle), Window(middle + timedelta(days=1), self.last)
        if self.end - self.begin <= _SHORTEST:
            return None
        cut = self.begin + max(_SHORTEST, (self.end - self.begin) // 2 // _SHORTEST * _SHORTEST)
        return Window(self.first, self.last, self.begin, cut), Window(self.first, self.last, cut, self.end)


def parse_range(text: str, today: date) -> DateRange:
    """What a person wrote; see the module's text. ValueError with a sentence that says what was expected."""
    text = text.strip()
    dicom = re.fullmatch(r"(\d{8})?-(\d{8})?", text)
    if dicom and text != "-":
        first, last = _span(dicom[1])[0] if dicom[1] else EARLIEST, _span(dicom[2])[1] if dicom[2] else today
    elif ".." in text and text != "..":
        begin, _, end = (part.strip() for part in text.partition(".."))
        first, last = _span(begin)[0] if begin else EARLIEST, _span(end)[1] if end else today
    else:
        first, last = _span(text)
    if first > last:
        raise ValueError(f"the range {text!r} ends before it begins")
    return DateRange(first, last)


def _span(text: str) -> tuple[date, date]:
    """First and last day of a day, a month or a year."""
    try:
        if match := _DAY.fullmatch(text):
            day = date(*(int(part) for part in match.groups() if part))
            return day, day
        if match := _MONTH.fullmatch(text):
            year, month = int(match[1]), int(match[2])
            return date(year, month, 1), _end_of_month(year, month)
        if _YEAR.fullmatch(text):
            return date(int(text), 1, 1), date(int(text), 12, 31)
    except ValueError:
        raise ValueError(f"there is no such date: {text!r}") from None
    raise ValueError(f"{text!r}: expected 2024, 2024-03, 2024-01-01..2024-06-30, 20240101-20240630, or an open end")


def _end_of_month(year: int, month: int) -> date:
    if not 1 <= month <= 12:
        raise ValueError(month)
    return date(year, month, calendar.monthrange(year, month)[1])
