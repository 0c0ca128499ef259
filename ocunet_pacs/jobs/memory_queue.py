"""The queue in memory: what `sql_queue` does, as plain assignments under one lock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import Job, JobKind, JobQueue, JobState, Later
from ocunet_pacs.jobs.text import storable
from ocunet_pacs.jobs.transitions import after, taken_away

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta
    from threading import RLock

    from ocunet_pacs.domain.job import Outcome


class MemoryQueue(JobQueue):
    """`JobQueue` in memory, behind `lock`; threads may share it."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._jobs: dict[int, Job] = {}
        self._hastened: set[int] = set()

    def claim(self, kinds: Sequence[JobKind], owner: str, now: datetime, lease: timedelta) -> Job | None:
        """See `JobQueue.claim`."""
        with self._lock:
            due = [
                job
                for job in self._jobs.values()
                if job.state is JobState.WAITING and job.kind in kinds and job.run_at <= now
            ]
            if not due:
                return None
            first = min(due, key=lambda job: (-job.priority, job.run_at, job.id))
            claimed = replace(
                first,
                state=JobState.RUNNING,
                attempt=first.attempt + 1,
                lease_owner=owner,
                lease_expires_at=now + lease,
            )
            self._jobs[first.id] = claimed
            self._hastened.discard(first.id)
            return claimed

    def renew(self, job: Job, now: datetime, lease: timedelta) -> bool:
        """See `JobQueue.renew`."""
        with self._lock:
            if not self._still_ours(job):
                return False
            self._jobs[job.id] = replace(self._jobs[job.id], lease_expires_at=now + lease)
            return True

    def finish(self, job: Job, outcome: Outcome, now: datetime, jitter: float) -> bool:
        """See `JobQueue.finish`."""
        with self._lock:
            if not self._still_ours(job):
                return False
            becomes = after(job, outcome, now, jitter)
            if isinstance(outcome, Later) and job.id in self._hastened:
                becomes = replace(becomes, run_at=min(now, becomes.run_at))
            self._store(becomes)
            return True

    def reap(self, now: datetime, is_gone: Callable[[str], bool]) -> int:
        """See `JobQueue.reap`."""
        with self._lock:
            owners = {job.lease_owner for job in self._jobs.values()}
            gone = {owner for owner in owners if owner is not None and is_gone(owner)}
            lost = [
                job
                for job in self._jobs.values()
                if job.lease_owner in gone or (job.lease_expires_at is not None and job.lease_expires_at <= now)
            ]
            for job in lost:
                self._store(taken_away(job, now))
            return len(lost)

    def get(self, job_id: int) -> Job | None:
        """See `JobQueue.get`."""
        with self._lock:
            return self._jobs.get(job_id)

    def find(self, *, state: JobState | None = None, kind: JobKind | None = None, limit: int = 100) -> list[Job]:
        """See `JobQueue.find`."""
        with self._lock:
            found = [
                job
                for job in reversed(self._jobs.values())
                if (state is None or job.state is state) and (kind is None or job.kind is kind)
            ]
            return found[:limit]

    def retry(self, job_id: int, now: datetime) -> bool:
        """See `JobQueue.retry`."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state is not JobState.DEAD:
                return False
            self._jobs[job_id] = replace(job, state=JobState.WAITING, attempt=0, run_at=now, finished_at=None)
            return True

    def discard(self, job_id: int, now: datetime) -> bool:
        """See `JobQueue.discard`. The reason why it died stays."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state is not JobState.DEAD:
                return False
            self._jobs[job_id] = replace(job, state=JobState.DISCARDED, finished_at=now)
            return True

    def counts(self) -> dict[tuple[JobKind, JobState], int]:
        """See `JobQueue.counts`."""
        with self._lock:
            return dict(Counter((job.kind, job.state) for job in self._jobs.values()))

    def _add(self, kind: JobKind, subject_id: int, max_attempts: int, now: datetime, priority: int = 0) -> int:
        job_id = max(self._jobs, default=0) + 1
        self._jobs[job_id] = Job(
            job_id, kind, JobState.WAITING, subject_id, 0, max_attempts, run_at=now, created_at=now, priority=priority
        )
        return job_id

    def _hasten(self, kind: JobKind, subject_ids: Collection[int], now: datetime) -> None:
        """As `sql_queue.hasten`."""
        for job in self._jobs.values():
            if job.kind is not kind or job.subject_id not in subject_ids:
                continue
            if job.state is JobState.WAITING:
                self._jobs[job.id] = replace(job, run_at=min(job.run_at, now))
            elif job.state is JobState.RUNNING:
                self._hastened.add(job.id)

    def _still_ours(self, job: Job) -> bool:
        row = self._jobs.get(job.id)
        return row is not None and (row.state, row.lease_owner, row.attempt) == (
            JobState.RUNNING,
            job.lease_owner,
            job.attempt,
        )

    def _store(self, job: Job) -> None:
        reason = None if job.reason is None else storable(job.reason)
        self._jobs[job.id] = replace(job, reason=reason)
