"""When the next past study may be fetched: so many a minute, and only at some hours of the day."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo


class Pace:
    """At most `per_minute` beginnings a minute, evenly; time that was not used is not made up for."""

    def __init__(self, per_minute: float) -> None:
        self._interval = timedelta(minutes=1 / per_minute)
        self._next: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long until the next may begin; zero or less: now."""
        return timedelta(0) if self._next is None else self._next - now

    def begin(self, now: datetime) -> None:
        """One begins."""
        self._next = now + self._interval


class OpenHours:
    """`19:00-06:00`, by the clocks on the wall of `zone`; empty: always. A window may go over midnight.

    Where clocks are put forward over the beginning, it begins when they are; where they are put back, an hour that is
    there twice counts twice.
    """

    def __init__(self, hours: str, zone: tzinfo) -> None:
        self._zone = zone
        begin, _, end = hours.partition("-")
        self._begin = time.fromisoformat(begin) if hours else None
        self._end = time.fromisoformat(end) if hours else None

    def is_open(self, now: datetime) -> bool:
        """Whether the aware time `now` lies in the hours."""
        if self._begin is None or self._end is None:
            return True
        clock = now.astimezone(self._zone).time()
        if self._begin < self._end:
            return self._begin <= clock < self._end
        return clock >= self._begin or clock < self._end

    def opens_at(self, now: datetime) -> datetime:
        """The next beginning after `now`, in local time; `now` itself where the hours are open."""
        if self._begin is None or self.is_open(now):
            return now.astimezone(self._zone)
        today = now.astimezone(self._zone).date()
        for day in (today, today + timedelta(days=1)):
            begins = datetime.combine(day, self._begin, self._zone)
            if begins.timestamp() > now.timestamp():
                break
        return begins
