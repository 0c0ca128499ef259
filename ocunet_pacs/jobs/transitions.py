"""What a job becomes: the arrows of `domain/job.py` out of "running", as pure functions that every adapter applies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from ocunet_pacs.domain.job import Done, Job, JobState, Later, Never, Retry, backoff

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.job import Outcome
    from ocunet_pacs.domain.labels import Urgency

_STEPS_AHEAD = 2
"""After its second worker a job waits 8 to 16 seconds, longer than a worker takes to start."""


def after(job: Job, outcome: Outcome, now: datetime, jitter: float) -> Job:
    """The running job as it is once its step said `outcome`; `jitter` in [0, 1) is for the backoff."""
    match outcome:
        case Done(note):
            return _ended(job, JobState.DONE, now, note)
        case Never(reason):
            return _ended(job, JobState.DEAD, now, reason)
        case Later(reason, delay):
            return _waiting(job, now + delay, reason, attempt=job.attempt - 1)
        case Retry(reason, longest) if job.attempt < job.max_attempts:
            return _waiting(job, now + backoff(job.attempt, jitter, longest), reason, attempt=job.attempt)
        case Retry(reason):
            return _ended(job, JobState.DEAD, now, reason)
    assert_never(outcome)


def taken_away(job: Job, now: datetime) -> Job:
    """The running job as it is once the reaper took it from a worker that is gone or too late.

    The first time it is due at once: most workers go away for reasons of their own, and a patient waits. From the
    second on it waits, and longer each time: a machine that goes down again and again does not use up the attempts of
    sound work, and work that takes its worker down does not keep it from everything else.
    """
    reason = f"its worker went away at attempt {job.attempt} of {job.max_attempts}"
    if job.attempt >= job.max_attempts:
        return _ended(job, JobState.DEAD, now, reason)
    wait = timedelta() if job.attempt == 1 else backoff(job.attempt + _STEPS_AHEAD, _apart(job.id))
    return _waiting(job, now + wait, reason, attempt=job.attempt)


def _apart(job_id: int) -> float:
    """In [0, 1), far apart for neighbours: jobs that lost one worker together do not come back together."""
    return job_id * 0.6180339887498949 % 1.0


def delivery_priority(analysis: Job, urgency: Urgency | None) -> int:
    """Priority of the deliveries of an analysis whose report suggests `urgency`; background work stays background."""
    if analysis.priority < 0 or urgency is None:
        return min(analysis.priority, 0)
    return urgency.rank


def _waiting(job: Job, run_at: datetime, reason: str, *, attempt: int) -> Job:
    return replace(
        job,
        state=JobState.WAITING,
        attempt=attempt,
        run_at=run_at,
        lease_owner=None,
        lease_expires_at=None,
        reason=reason,
    )


def _ended(job: Job, state: JobState, now: datetime, reason: str | None) -> Job:
    return replace(job, state=state, finished_at=now, lease_owner=None, lease_expires_at=None, reason=reason)
