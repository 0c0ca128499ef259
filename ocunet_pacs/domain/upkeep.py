"""What keeps store and database in order over the years: which files may go, which are lost, and who last looked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


CLOCKS_DIFFER = timedelta(minutes=1)
"""Those of several hosts, at most: what happened a moment ago may seem to lie so far ahead."""


class FileOwner(StrEnum):
    """The table whose rows name files; also the first part of their keys."""

    INSTANCES = "instances"
    RESULTS = "results"


@dataclass(frozen=True, slots=True, order=True)
class KeptStudy:
    """A study that has files; the oldest sorts first."""

    last_received_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A row that says it has a file. `missing`: it was not there when somebody last looked."""

    id: int
    file_key: str
    missing: bool


@dataclass(frozen=True, slots=True)
class UpkeepCounts:
    """What a person should know about."""

    patient_conflicts: int
    """Studies of whose UID objects came that name another patient."""
    missing_instances: int
    missing_results: int


@dataclass(frozen=True, slots=True)
class TaskRun:
    """The last run of one task of housekeeping, by whichever process."""

    task: str
    started_at: datetime
    seconds: float
    succeeded: bool
    succeeded_at: datetime | None
    """When a run last ended well; None: never."""
    note: str


@dataclass(frozen=True, slots=True)
class LongestWaits:
    """How far ahead of the clock a time of ours may lie. One that lies further was written before the clock was put
    back, and whoever waited for it would wait as long as the clock went.
    """

    job: timedelta
    """Until a waiting job, or a destination's next try, is due."""
    lease: timedelta
    quiet: timedelta
    """Until an open study counts as complete."""


class Upkeep(Protocol):
    """What housekeeping asks of the rows. Every call is one transaction."""

    def removable_studies(self, before: datetime, after: KeptStudy | None, limit: int) -> list[KeptStudy]:
        """Studies that got nothing since `before` and need none of their files any more, oldest first, past `after`.

        Nothing is needed when the study is closed, every analysis is finished, superseded or discarded, and every
        result went everywhere: it has deliveries, and each is done or discarded.
        """

    def mark_removed(self, study_id: int, now: datetime) -> list[str]:
        """Note that the study's files go, only while they still may; their keys, for the caller to remove.

        Empty when the study needs them by now, or has none.
        """

    def kept_files(self, owner: FileOwner, after_id: int, limit: int) -> list[KeptFile]:
        """Rows whose file was not removed, by id, past `after_id`."""

    def file_states(self, owner: FileOwner, keys: Sequence[str]) -> dict[str, bool]:
        """Of these keys those that rows name: whether the file was removed (then it should not be there)."""

    def mark_missing(self, owner: FileOwner, rows: Sequence[KeptFile], now: datetime) -> int:
        """Note that these files are not there; how many rows still named them."""

    def mark_found(self, owner: FileOwner, rows: Sequence[KeptFile]) -> int:
        """Note that these files are there after all; how many rows still named them."""

    def upkeep_counts(self) -> UpkeepCounts:
        """See `UpkeepCounts`."""

    def mend_times(self, now: datetime, longest: LongestWaits) -> int:
        """Let what would wait for longer than anything may wait from now on; how many rows there were.

        Jobs and probes are due now, leases and quiet periods begin anew, and what has happened did so until now.
        """

    def record_run(self, task: str, started_at: datetime, seconds: float, *, succeeded: bool, note: str) -> None:
        """How a task's run went; one that started before the run that is on record changes nothing."""

    def task_runs(self) -> list[TaskRun]:
        """The last run of each task, by name."""
