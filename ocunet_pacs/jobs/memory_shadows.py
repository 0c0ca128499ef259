"""Candidates' looks at analyses, in memory: what `sql_shadows` does, as plain assignments under one lock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import BACKGROUND, Done, Job, JobKind, JobState
from ocunet_pacs.domain.shadow import Candidate, Look, PastLook, ShadowFrame, decode_scores, encode_scores
from ocunet_pacs.jobs.memory_upkeep import MemoryUpkeep
from ocunet_pacs.jobs.transitions import after as becomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from threading import RLock

    from ocunet_pacs.domain.ledger import AnalysisRow

_FINAL = (JobState.DONE, JobState.DEAD, JobState.DISCARDED)


@dataclass
class _Shadow:
    """A row of `shadows` with its frames and its job's id."""

    look: Look
    created_at: datetime
    job_id: int
    frames: tuple[ShadowFrame, ...] = ()


class MemoryShadows(MemoryUpkeep):
    """The methods of `ShadowLedger`."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._shadows: dict[int, _Shadow] = {}

    def patients_wait(self, now: datetime) -> bool:
        """See `ShadowLedger.patients_wait`."""
        with self._lock:
            running = any(j.kind is JobKind.ANALYSE and j.state is JobState.RUNNING for j in self._jobs.values())
            return running or self._due_of(JobKind.ANALYSE, now)

    def look_is_due(self, now: datetime) -> bool:
        """See `ShadowLedger.look_is_due`."""
        with self._lock:
            return self._due_of(JobKind.SHADOW, now)

    def _due_of(self, kind: JobKind, now: datetime) -> bool:
        return any(j.kind is kind and j.state is JobState.WAITING and j.run_at <= now for j in self._jobs.values())

    def enlist(self, candidate: Candidate, since: datetime, now: datetime, max_attempts: int) -> int | None:
        """See `ShadowLedger.enlist`."""
        with self._lock:
            found = list(self._unseen(candidate, since))
            if not found:
                return None
            newest = max(found, key=lambda row: (row.finished_at, row.id))
            look_id = max(self._shadows, default=0) + 1
            job_id = self._add(JobKind.SHADOW, look_id, max_attempts, now, BACKGROUND)
            self._shadows[look_id] = _Shadow(Look(look_id, newest.id, candidate), now, job_id)
            return job_id

    def unseen(self, candidate: Candidate, since: datetime) -> int:
        """See `ShadowLedger.unseen`."""
        with self._lock:
            return sum(1 for _ in self._unseen(candidate, since))

    def _unseen(self, candidate: Candidate, since: datetime) -> Iterator[AnalysisRow]:
        seen = {shadow.look.analysis_id for shadow in self._looks_of(candidate)}
        newest: dict[int, AnalysisRow] = {}
        for row in self._analyses.values():
            if row.key is not None and (row.study_id not in newest or newest[row.study_id].revision < row.revision):
                newest[row.study_id] = row
        for study_id, row in newest.items():
            young = row.finished_at is not None and row.finished_at >= since
            if young and row.id not in seen and self._studies[study_id].removed_at is None:
                yield row

    def _looks_of(self, candidate: Candidate) -> list[_Shadow]:
        return [shadow for shadow in self._shadows.values() if _same(shadow.look.candidate, candidate)]

    def look(self, look_id: int) -> Look:
        """See `ShadowLedger.look`."""
        with self._lock:
            return self._shadows[look_id].look

    def finish_look(self, job: Job, frames: Sequence[ShadowFrame], now: datetime, note: str | None = None) -> bool:
        """See `ShadowLedger.finish_look`."""
        if job.kind is not JobKind.SHADOW:
            msg = f"job {job.id} is no shadow but {job.kind}"
            raise ValueError(msg)
        # Through the text that a database keeps, so that what is no number is refused here too.
        kept = tuple(
            ShadowFrame(f.sop_instance_uid, f.frame, decode_scores(encode_scores(f.scores)), f.reason) for f in frames
        )
        with self._lock:
            if not self._still_ours(job):
                return False
            self._shadows[job.subject_id].frames = kept
            self._store(becomes(job, Done(note), now, jitter=0.0))
            return True

    def candidates(self) -> list[Candidate]:
        """See `ShadowLedger.candidates`."""
        with self._lock:
            return list(dict.fromkeys(self._shadows[key].look.candidate for key in sorted(self._shadows, reverse=True)))

    def past_looks(self, candidate: Candidate, since: datetime | None, after: int, limit: int) -> list[PastLook]:
        """See `ShadowLedger.past_looks`."""
        with self._lock:
            found = [
                past
                for past in map(self._past_look, sorted(self._looks_of(candidate), key=lambda shadow: shadow.look.id))
                if past.id > after and (since is None or past.reported_at >= since)
            ]
            return found[:limit]

    def _past_look(self, shadow: _Shadow) -> PastLook:
        row, job = self._analyses[shadow.look.analysis_id], self._jobs[shadow.job_id]
        assert row.finished_at is not None
        assert row.result is not None
        return PastLook(
            id=shadow.look.id,
            job_id=job.id,
            state=job.state,
            note=job.reason,
            study_instance_uid=row.study_instance_uid,
            revision=row.revision,
            reported_at=row.finished_at,
            result=row.result,
            frames=shadow.frames,
        )

    def look_counts(self, candidate: Candidate) -> dict[JobState, int]:
        """See `ShadowLedger.look_counts`."""
        with self._lock:
            return dict(Counter(self._jobs[shadow.job_id].state for shadow in self._looks_of(candidate)))

    def last_look(self, candidate: Candidate) -> datetime | None:
        """See `ShadowLedger.last_look`."""
        with self._lock:
            ended = (self._jobs[shadow.job_id].finished_at for shadow in self._looks_of(candidate))
            return max((moment for moment in ended if moment is not None), default=None)

    def remove_looks(self, before: datetime, limit: int) -> int:
        """See `ShadowLedger.remove_looks`."""
        with self._lock:
            old = sorted(
                (shadow.created_at, shadow.look.id)
                for shadow in self._shadows.values()
                if shadow.created_at < before and self._jobs[shadow.job_id].state in _FINAL
            )[:limit]
            for _, look_id in old:
                del self._jobs[self._shadows.pop(look_id).job_id]
            return len(old)


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.digest, one.operating_point) == (other.digest, other.operating_point)
