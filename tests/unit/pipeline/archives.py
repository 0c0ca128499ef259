"""An archive in memory, with the vices of real ones, and all that a backfill runs with; time moves by waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.backfill import FoundSeries, FoundStudy, Listing, Retrieved
from ocunet_pacs.domain.dates import DateRange
from ocunet_pacs.domain.study import ReceivedInstance
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.memory_backfill import MemoryBackfill
from ocunet_pacs.pipeline.backfill import BackfillRule, BackfillTools, Result, Run
from ocunet_pacs.pipeline.pace import OpenHours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from ocunet_pacs.domain.backfill import BackfillLedger
    from ocunet_pacs.domain.dates import Window
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.pipeline.backfill import Tally

MARCH = DateRange(date(2024, 3, 1), date(2024, 3, 31))
OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"


def received(study: str, instance: str, at: datetime) -> ReceivedInstance:
    return ReceivedInstance(
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        sop_instance_uid=instance,
        sop_class_uid=OP,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        file_key=f"key-{instance}",
        size_bytes=1,
        sha256="0" * 64,
        source_ae_title="ARCHIVE",
        received_at=at,
    )


@dataclass
class Archive:
    """Studies with one series of two images each. What goes wrong is set by the test, by Study Instance UID."""

    ledger: Ledger
    studies: list[FoundStudy]
    at_most: int = 10**9
    admits_limit: bool = True
    matches_times: bool = True
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    loses: set[str] = field(default_factory=set)
    says: Retrieved = field(default_factory=Retrieved)
    name: str = "archive"
    asked: list[Window] = field(default_factory=list)
    retrieved: list[str] = field(default_factory=list)
    clock: Any = None

    def list_studies(self, window: Window, modalities: Sequence[str]) -> Listing:
        self.asked.append(window)
        self._fail("list")
        matching = [
            study
            for study in self.studies
            if window.first <= study.day <= window.last
            and (not self.matches_times or window.is_whole or window.begin <= study.time < window.end)
        ]
        return Listing(matching[: self.at_most], not self.admits_limit or len(matching) <= self.at_most)

    def list_series(self, study_instance_uid: str, modalities: Sequence[str]) -> list[FoundSeries]:
        self._fail(f"series {study_instance_uid}")
        if study_instance_uid in self.empty:
            return []
        return [FoundSeries(f"{study_instance_uid}.1", (f"{study_instance_uid}.1.1", f"{study_instance_uid}.1.2"))]

    def retrieve(self, study_instance_uid: str, series_instance_uids: Sequence[str]) -> Retrieved:
        self.retrieved.append(study_instance_uid)
        self._fail(study_instance_uid)
        for number in (1,) if study_instance_uid in self.loses else (1, 2):
            self.ledger.record_instance(
                received(study_instance_uid, f"{study_instance_uid}.1.{number}", self.clock.time)
            )
        return self.says

    def _fail(self, what: str) -> None:
        errors = self.errors.get(what)
        if errors:
            raise errors.pop(0)


def studies(number: int, day: date = date(2024, 3, 5), *, prefix: str = "1.2") -> list[FoundStudy]:
    return [FoundStudy(f"{prefix}.{n}", day, time=n * 60 % 86400, modalities=("OP",)) for n in range(1, number + 1)]


class Clock:
    """Stands still but for those who wait."""

    def __init__(self, time: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Bench:
    """A run's surroundings. `stop_after` waits, a stop is asked for."""

    archive: Archive
    past: BackfillLedger
    clock: Clock
    hours: OpenHours = field(default_factory=lambda: OpenHours("", UTC))
    waited: list[float] = field(default_factory=list)
    waiting_for: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    stopping: bool = False
    room: list[Exception] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    owner: str = "me"
    tallies: list[tuple[int, int]] = field(default_factory=list)

    def run(self, dates: DateRange | None = MARCH, **rule: Any) -> Result:
        tools = BackfillTools(
            archive=self.archive,
            ledger=self.past,
            hours=self.hours,
            require_room=self._require_room,
            complete=self.completed.extend,
            owner=self.owner,
            is_gone=lambda owner: owner in self.gone,
            clock=self.clock,
            wait=self.wait,
            sleep=self._sleep,
            watcher=self,
            count=self._count,
        )
        usual = {"modalities": ("OP",), "studies_per_minute": 1e9, "max_waiting": 10**6, "attempts": 3}
        run = Run(tools, BackfillRule(**{**usual, **rule}))
        return run.found_before() if dates is None else run.dates(dates)

    def wait(self, seconds: float) -> bool:
        if seconds > 0 and not self.stopping:
            self.waited.append(seconds)
            self._sleep(seconds)
        return self.stopping

    def _sleep(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)

    def _require_room(self) -> None:
        if self.room:
            raise self.room[0]

    def moved(self, tally: Tally) -> None:
        self.tallies.append((tally.done, tally.total))

    def waiting(self, why: str) -> None:
        if why:
            self.waiting_for.append(why)

    def _count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        assert name == "backfill_studies"
        self.counted.append(labels["outcome"])

    def states(self) -> dict[str, str]:
        return {row.study_instance_uid: str(row.state) for row in self.past.past_studies(limit=10**6)}


def bench(found: list[FoundStudy], *, zone: tzinfo = UTC, hours: str = "", **vices: Any) -> Bench:
    jobs, clock = MemoryJobs(), Clock()
    archive = Archive(jobs, found, clock=clock, **vices)
    return Bench(archive, MemoryBackfill(jobs), clock, OpenHours(hours, zone))
