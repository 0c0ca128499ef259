"""What waits, counted in memory: what `sql_backlog` does, under one lock."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ocunet_pacs.domain.backlog import Backlog, DestinationBacklog, KindBacklog
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.memory_drift import MemoryDrift

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.ledger import DeliveryRow


class MemoryBacklog(MemoryDrift):
    """The method of `BacklogReader`."""

    def backlog(self, now: datetime) -> Backlog:
        """See `BacklogReader.backlog`."""
        with self._lock:
            opened = [study.open_since for study in self._studies.values() if study.open_since is not None]
            kinds = tuple(self._of_kind(kind, now) for kind in JobKind)
            return Backlog(kinds, self._by_destination(), len(opened), min(opened, default=None))

    def _of_kind(self, kind: JobKind, now: datetime) -> KindBacklog:
        mine = [job for job in self._jobs.values() if job.kind is kind]
        waiting = [job for job in mine if job.state is JobState.WAITING]
        oldest = min(waiting, key=lambda job: job.id, default=None)
        return KindBacklog(
            kind,
            waiting=len(waiting),
            running=sum(job.state is JobState.RUNNING for job in mine),
            dead=sum(job.state is JobState.DEAD for job in mine),
            oldest_at=None if oldest is None else oldest.created_at,
            due_since=min((j.run_at for j in waiting if j.priority >= 0 and j.run_at <= now), default=None),
        )

    def _by_destination(self) -> tuple[DestinationBacklog, ...]:
        unfinished: dict[str, list[DeliveryRow]] = defaultdict(list)
        for job in self._jobs.values():
            if job.kind is JobKind.DELIVER and job.state in {JobState.WAITING, JobState.RUNNING}:
                row = self._deliveries[job.subject_id]
                unfinished[row.destination].append(row)
        return tuple(_destination(name, rows) for name, rows in sorted(unfinished.items()))


def _destination(name: str, rows: list[DeliveryRow]) -> DestinationBacklog:
    stored = [r.stored_at for r in rows if r.stored_at is not None and r.committed_at is None and r.failure is None]
    return DestinationBacklog(name, len(rows), len(stored), min(stored, default=None))
