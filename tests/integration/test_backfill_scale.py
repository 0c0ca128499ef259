"""A long archive: a study costs the same at the end as at the beginning, and nothing is held but a part of a month.

BACKFILL_STUDIES=10000 runs as many (the default is small); -s shows what was measured.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import event

from ocunet_pacs.domain.backfill import FoundSeries, FoundStudy, Listing, Retrieved
from ocunet_pacs.domain.dates import DateRange
from ocunet_pacs.jobs.sql_backfill import SqlBackfill
from ocunet_pacs.pipeline.pace import OpenHours
from tests.integration.ledgers import FileLedger
from tests.unit.pipeline.archives import Archive, Bench, Clock, received

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from ocunet_pacs.domain.dates import Window

STUDIES = int(os.environ.get("BACKFILL_STUDIES", "366"))
A_DAY = 3
FIRST = date(2020, 1, 1)


class LongArchive(Archive):
    """Some studies each day, made up when they are asked for; notes how many of those that it gave are still held."""

    most_held = 0

    def list_studies(self, window: Window, modalities: Sequence[str]) -> Listing:
        held = sum(type(thing) is FoundStudy for thing in gc.get_objects())
        self.most_held = max(self.most_held, held)
        days = [window.first + timedelta(days=n) for n in range(window.days)]
        listed = [
            FoundStudy(f"1.2.{day:%Y%m%d}.{n}", day, n * 3600, ("OP",))
            for day in days
            for n in range(A_DAY)
            if window.is_whole or window.begin <= n * 3600 < window.end
        ]
        return Listing(listed, complete=True)

    def list_series(self, study_instance_uid: str, modalities: Sequence[str]) -> list[FoundSeries]:
        return [FoundSeries(f"{study_instance_uid}.1", (f"{study_instance_uid}.1.1",))]

    def retrieve(self, study_instance_uid: str, series_instance_uids: Sequence[str]) -> Retrieved:
        self.ledger.record_instance(received(study_instance_uid, f"{study_instance_uid}.1.1", self.clock.time))
        return Retrieved()


class Statements:
    """How many each study took, and when it was done."""

    def __init__(self, engine: Engine) -> None:
        self.number = 0
        self.marks: list[tuple[int, float]] = []
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.number += 1

    def mark(self, *_: object) -> None:
        self.marks.append((self.number, time.perf_counter()))

    def costs(self, begin: int, end: int) -> tuple[float, float]:
        """Statements and seconds a study, from one study to another."""
        (before, began), (after, ended) = self.marks[begin], self.marks[end]
        return (after - before) / (end - begin), (ended - began) / (end - begin)


def long_bench(ledger: FileLedger) -> Bench:
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    return Bench(LongArchive(ledger, [], clock=clock), SqlBackfill(ledger.engine), clock, OpenHours("", UTC))


class Sink:
    """Takes note that a study is complete, and keeps nothing of it."""

    def __init__(self, statements: Statements) -> None:
        self.extend = statements.mark


def test_a_study_costs_the_same_however_many_there_were_and_none_is_held(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "rows.db")
    # What is measured is our own work, not this disk's.
    event.listen(ledger.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    ledger.engine.dispose()
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    archive = LongArchive(ledger, [], clock=clock)
    site = Bench(archive, SqlBackfill(ledger.engine), clock, OpenHours("", UTC))
    statements = Statements(ledger.engine)
    site.moved = lambda tally: None  # type: ignore[method-assign]
    site._count = lambda *_, **__: None  # type: ignore[assignment]
    site.completed = Sink(statements)  # type: ignore[assignment]
    days = -(-STUDIES // A_DAY)
    dates = DateRange(FIRST, FIRST + timedelta(days=days - 1))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = site.run(dates, newest_first=False)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (result.is_clean, result.tally.fetched) == (True, days * A_DAY)
    tenth = len(statements.marks) // 10
    first, last = statements.costs(tenth, 2 * tenth), statements.costs(-tenth, -1)
    sys.stdout.write(
        f"{len(statements.marks)} studies; statements a study {first[0]:.1f} then {last[0]:.1f}; "
        f"ms a study {first[1] * 1000:.1f} then {last[1] * 1000:.1f}; held {archive.most_held}; grown {grown} KiB\n"
    )
    assert abs(first[0] - last[0]) < 0.5
    assert archive.most_held <= 2 * 31 * A_DAY, "more than this month and the one before is held"

    number, began = statements.number, time.perf_counter()
    again = site.run(dates, newest_first=False)
    assert (again.tally.fetched, again.tally.known) == (0, days * A_DAY)
    sys.stdout.write(
        f"known already: {(statements.number - number) / STUDIES:.2f} statements, "
        f"{(time.perf_counter() - began) / STUDIES * 1000:.2f} ms a study\n"
    )
    assert statements.number - number < STUDIES, "what is known is looked up many at once"
    ledger.close()
