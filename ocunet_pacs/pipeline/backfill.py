"""Past studies from an archive, one after another: found, examined, fetched, each once, and always resumable.

What an archive says it sent is never believed: a study is fetched when the ledger has all of its instances.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

from ocunet_pacs.domain.backfill import FINAL, BackfillState
from ocunet_pacs.domain.errors import ArchiveError, ArchiveMisconfigured, ArchiveUnavailable, DatabaseError, StoreError
from ocunet_pacs.pipeline.listing import Lister
from ocunet_pacs.pipeline.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date, datetime

    from ocunet_pacs.domain.backfill import Archive, BackfillLedger, BackfillStudy, FoundStudy, Listing, Retrieved
    from ocunet_pacs.domain.dates import DateRange, Window
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.pipeline.pace import OpenHours

    T = TypeVar("T")

_PAGE = 100
_UNFINISHED = (BackfillState.FETCHING, BackfillState.FOUND, BackfillState.FAILED)
_SERVED_ELSEWHERE = timedelta(hours=1)
"""After this long the process that fetches a study is taken for gone, when it cannot be looked at (another host)."""


class Ending(StrEnum):
    """Why a run ended. All but DONE can be resumed by the same command."""

    DONE = "done"
    LIMIT = "limit"
    INTERRUPTED = "interrupted"
    STORE = "store"
    ARCHIVE = "archive"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class BackfillRule:
    """How to go about it. `limit`: studies fetched or failed at most; None: all."""

    modalities: tuple[str, ...]
    studies_per_minute: float
    max_waiting: int
    attempts: int
    limit: int | None = None
    newest_first: bool = True
    arrival: timedelta = timedelta(seconds=30)
    """How long objects may be on their way once the archive says that all were sent."""
    patience: tuple[float, ...] = (5, 15, 30, 60, 120, 300)
    """Seconds to wait after each time that the archive did not answer; after the last the run ends."""
    failures_in_a_row: int = 10
    """So many failed studies, one after another, end the run: it is not the studies."""


@dataclass(slots=True)
class Tally:
    """How far a run is: `done` of `total` days, or of `total` studies where the days are not walked.

    `known`: final before this run; `given_up`: no attempts left; `elsewhere`: another run has it; `cut`: windows of
    which the archive listed only a part.
    """

    total: int = 0
    done: int = 0
    fetched: int = 0
    instances: int = 0
    present: int = 0
    nothing: int = 0
    failed: int = 0
    known: int = 0
    given_up: int = 0
    elsewhere: int = 0
    cut: list[Window] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, with a sentence when it did not do all."""

    ending: Ending
    tally: Tally
    message: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether everything that was asked for is here."""
        tally = self.tally
        return self.ending in {Ending.DONE, Ending.LIMIT} and not (tally.failed or tally.given_up or tally.cut)


class Watcher(Protocol):
    """Who shows how it goes."""

    def moved(self, tally: Tally) -> None:
        """Something was done."""

    def waiting(self, why: str) -> None:
        """Nothing is done until something changes; "" when it goes on."""


@dataclass(frozen=True, slots=True)
class BackfillTools:
    """What a run works with. `wait` sleeps unless a stop is asked for, and says whether it is; `sleep` just sleeps."""

    archive: Archive
    ledger: BackfillLedger
    hours: OpenHours
    require_room: Callable[[], None]
    complete: Callable[[Sequence[str]], object]
    """Told of the studies (UIDs) of which everything has come: nobody need wait for more."""
    owner: str
    is_gone: Callable[[str], bool]
    clock: Callable[[], datetime]
    wait: Callable[[float], bool]
    sleep: Callable[[float], None]
    watcher: Watcher
    count: Count


class _Stop(Exception):
    """The run ends here."""

    def __init__(self, ending: Ending, message: str = "") -> None:
        self.ending = ending
        self.message = message
        super().__init__(message)


class Run:
    """One run. Of several at once on one archive each does studies that the others do not."""

    def __init__(self, tools: BackfillTools, rule: BackfillRule) -> None:
        self._tools = tools
        self._rule = rule
        self._pace = Pace(rule.studies_per_minute)
        self._failures = 0
        self.tally = Tally()

    def dates(self, dates: DateRange) -> Result:
        """List the archive's studies of these days, and fetch those that are not here."""
        return self._until_stopped(lambda: self._walk(dates))

    def found_before(self) -> Result:
        """Fetch what earlier runs found and did not fetch, without asking the archive for more."""
        return self._until_stopped(self._walk_rows)

    def _until_stopped(self, walk: Callable[[], None]) -> Result:
        try:
            walk()
        except _Stop as stop:
            return Result(stop.ending, self.tally, stop.message)
        except (StoreError, DatabaseError) as error:
            return Result(Ending.STORE, self.tally, str(error))
        except ArchiveError as error:
            return Result(Ending.ARCHIVE, self.tally, str(error))
        return Result(Ending.DONE, self.tally)

    def _walk(self, dates: DateRange) -> None:
        self.tally.total = dates.days
        lister = Lister(self._ask, self.tally.cut.append, newest_first=self._rule.newest_first)
        for window in dates.months(newest_first=self._rule.newest_first):
            for batch in lister.batches(window):
                self._batch(batch, dates)
            self._passed(dates, window.first if self._rule.newest_first else window.last, 1)

    def _batch(self, batch: Sequence[FoundStudy], dates: DateRange) -> None:
        if not batch:
            return
        name, now = self._tools.archive.name, self._tools.clock()
        uids = [study.study_instance_uid for study in batch]
        rows = self._tools.ledger.note_found(name, uids, self._rule.modalities, now)
        for study, row in zip(batch, rows, strict=True):
            self._study(row)
            self._passed(dates, study.day, 0)

    def _passed(self, dates: DateRange, day: date, more: int) -> None:
        done = (dates.last - day).days if self._rule.newest_first else (day - dates.first).days
        self.tally.done = max(self.tally.done, done + more)
        self._tools.watcher.moved(self.tally)

    def _walk_rows(self) -> None:
        counts = self._tools.ledger.past_study_counts()
        self.tally.total = sum(counts.get((self._tools.archive.name, state), 0) for state in _UNFINISHED)
        for row in self._rows():
            self._study(row)
            self.tally.done += 1
            self._tools.watcher.moved(self.tally)

    def _rows(self) -> Iterator[BackfillStudy]:
        for state in _UNFINISHED:
            last = 0
            while page := self._tools.ledger.past_studies(
                archive=self._tools.archive.name, state=state, after=last, limit=_PAGE
            ):
                last = page[-1].id
                yield from page

    def _ask(self, window: Window) -> Listing:
        self._wait_for_hours()
        return self._patiently(lambda: self._tools.archive.list_studies(window, self._rule.modalities))

    def _study(self, row: BackfillStudy) -> None:
        if self._tools.wait(0):
            raise _Stop(Ending.INTERRUPTED)
        if not self._is_due(row):
            return
        if self._rule.limit is not None and self.tally.fetched + self.tally.failed >= self._rule.limit:
            raise _Stop(Ending.LIMIT)
        self._wait_for_analyses()
        self._wait_for_pace()
        self._wait_for_hours()
        self._tools.require_room()
        claimed = self._tools.ledger.claim_study(row, self._tools.owner, self._tools.clock())
        if claimed is None:
            self.tally.elsewhere += 1
            return
        self._fetch(claimed)

    def _is_due(self, row: BackfillStudy) -> bool:
        if row.state in FINAL:
            self.tally.known += 1
            return False
        if row.state is BackfillState.FETCHING and not self._is_abandoned(row):
            self.tally.elsewhere += 1
            return False
        if row.attempts < self._rule.attempts:
            return True
        self.tally.given_up += 1
        if row.state is BackfillState.FETCHING:
            reason = "each time that it was fetched, the process that did so ended"
            self._tools.ledger.settle_study(row, BackfillState.FAILED, self._tools.clock(), reason=reason)
        return False

    def _is_abandoned(self, row: BackfillStudy) -> bool:
        assert row.owner is not None
        return self._tools.is_gone(row.owner) or self._tools.clock() - row.changed_at > _SERVED_ELSEWHERE

    def _fetch(self, study: BackfillStudy) -> None:
        """Claimed to settled, whatever happens; _Stop when the run cannot go on."""
        try:
            state, instances, reason = self._bring(study)
        except ArchiveMisconfigured as error:
            self._settle(study, BackfillState.FAILED, 0, str(error))
            raise
        except (ArchiveUnavailable, StoreError, DatabaseError, _Stop):
            # Nothing is wrong with the study.
            self._settle(study, BackfillState.FOUND, 0, None)
            raise
        except ArchiveError as error:
            state, instances, reason = BackfillState.FAILED, 0, str(error)
        self._settle(study, state, instances, reason)
        if self._failures >= self._rule.failures_in_a_row:
            raise _Stop(Ending.FAILURES, f"{self._failures} studies in a row failed; the last: {reason}")

    def _bring(self, study: BackfillStudy) -> tuple[BackfillState, int, str | None]:
        archive, uid = self._tools.archive, study.study_instance_uid
        series = self._patiently(lambda: archive.list_series(uid, study.modalities))
        expected = [instance for one in series for instance in one.instances]
        if not expected:
            return BackfillState.NOTHING, 0, None
        missing = self._missing(expected)
        if not missing:
            return BackfillState.PRESENT, len(expected), None
        self._pace.begin(self._tools.clock())
        wanted = [one.series_instance_uid for one in series if missing.intersection(one.instances)]
        retrieved = self._patiently(lambda: archive.retrieve(uid, wanted))
        missing = self._missing_after(expected, retrieved)
        if not missing:
            self._tools.complete([uid])
            return BackfillState.FETCHED, len(expected), None
        said = retrieved.problem or "the archive says that all were sent"
        if retrieved.may_still_arrive and not retrieved.problem:
            said += "; check that our AE title has our listener's host and port there, and that the listener runs"
        return BackfillState.FAILED, len(expected), f"{len(missing)} of {len(expected)} images are not here: {said}"

    def _missing(self, expected: Sequence[str]) -> set[str]:
        return set(expected) - self._tools.ledger.known_instances(expected)

    def _missing_after(self, expected: Sequence[str], retrieved: Retrieved) -> set[str]:
        missing = self._missing(expected)
        if not retrieved.may_still_arrive or retrieved.problem:
            return missing
        deadline = self._tools.clock() + self._rule.arrival
        while missing and self._tools.clock() < deadline:
            self._tools.sleep(0.5)
            missing = self._missing(expected)
        return missing

    def _settle(self, study: BackfillStudy, state: BackfillState, instances: int, reason: str | None) -> None:
        self._tools.ledger.settle_study(study, state, self._tools.clock(), instances=instances, reason=reason)
        if state is BackfillState.FOUND:
            return
        self._tools.count("backfill_studies", archive=study.archive, outcome=str(state))
        self._failures = self._failures + 1 if state is BackfillState.FAILED else 0
        setattr(self.tally, state, getattr(self.tally, state) + 1)
        if state is BackfillState.FETCHED:
            self.tally.instances += instances

    def _patiently(self, call: Callable[[], T]) -> T:
        for pause in self._rule.patience:
            try:
                return call()
            except ArchiveUnavailable as error:
                self._pause(pause, str(error))
        return call()

    def _wait_for_hours(self) -> None:
        while not self._tools.hours.is_open(now := self._tools.clock()):
            opens = self._tools.hours.opens_at(now)
            self._pause(min(60.0, max(1.0, opens.timestamp() - now.timestamp())), f"the hours begin at {opens:%H:%M}")

    def _wait_for_analyses(self) -> None:
        most = self._rule.max_waiting
        while self._tools.ledger.unfinished_studies(most) >= most:
            self._pause(5.0, f"{most} studies or more wait for their analysis")

    def _wait_for_pace(self) -> None:
        while (left := self._pace.wait(self._tools.clock())) > timedelta(0):
            if self._tools.wait(left.total_seconds()):
                raise _Stop(Ending.INTERRUPTED)

    def _pause(self, seconds: float, why: str) -> None:
        self._tools.watcher.waiting(why)
        if self._tools.wait(seconds):
            raise _Stop(Ending.INTERRUPTED)
        self._tools.watcher.waiting("")
