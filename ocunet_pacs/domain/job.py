"""Jobs, their states, and the words in which a step says how it went.

States, and who moves a job out of each:

    waiting ──claim (a worker; counts the attempt)──▶ running
    running ──Done──▶ done
    running ──Retry──▶ waiting (after a backoff), or dead when its attempts are used up
    running ──Later──▶ waiting (after a delay, or at once where what it waits for has happened while it ran; the
                       attempt is given back)
    running ──Never──▶ dead
    running ──lease expired, or its worker's process is gone (the reaper)──▶ waiting (from the second time on after a
                       wait that doubles), or dead when attempts are used up
    dead    ──`jobs retry` (a person)──▶ waiting, with attempts reset
    dead    ──`jobs discard` (a person)──▶ discarded
    done and discarded are final.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime


LONGEST_BACKOFF = timedelta(minutes=15)
"""The greatest wait of ours before work that failed is tried again."""


class JobKind(StrEnum):
    """What a job does; `Job.subject_id` is the id of the row it is about."""

    ANALYSE = "analyse"
    """Subject: a row of `analyses` (one revision of one study)."""
    DELIVER = "deliver"
    """Subject: a row of `deliveries` (one object to one destination)."""
    SHADOW = "shadow"
    """Subject: a row of `shadows` (a candidate bundle's look at one analysis)."""


class JobState(StrEnum):
    """See the module's text for who moves a job out of each."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the queue. `attempt` counts claims, the current one included; times are aware UTC."""

    id: int
    kind: JobKind
    state: JobState
    subject_id: int
    attempt: int
    max_attempts: int
    run_at: datetime
    created_at: datetime
    lease_owner: str | None = None
    lease_expires_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    """Why it last went back, died or was discarded; a sentence without patient data."""
    priority: int = 0
    """Of the jobs that are due, the highest is claimed first. Deliveries have the rank of their study's urgency."""


# `code` in each of these is the reason in one word, for counting; the sentence is for people, and decides equality.


@dataclass(frozen=True, slots=True)
class Done:
    """The step did its work, or found that it was done already."""

    note: str | None = None
    code: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """Something failed that may not fail again; costs the attempt. `longest` is the greatest wait before the next."""

    reason: str
    longest: timedelta = LONGEST_BACKOFF
    code: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Never:
    """Trying again cannot help: a person looks."""

    reason: str
    code: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing is wrong with the work: the PACS is down, or we are stopping. Costs no attempt."""

    reason: str
    delay: timedelta
    code: str = field(default="", compare=False)


Outcome = Done | Retry | Never | Later


BACKGROUND = -1
"""Priority of work that nobody waits for: it must not delay today's patients."""


def backoff(attempt: int, jitter: float, longest: timedelta = LONGEST_BACKOFF) -> timedelta:
    """The wait before the next try after `attempt` (from 1) failed: 2 s doubling to at most `longest`.

    `jitter` in [0, 1) spreads the waits over the upper half of that range, so that a thousand objects that failed
    together do not come back together.
    """
    ceiling = min(2.0 * 2.0 ** min(attempt - 1, 30), longest.total_seconds())
    return timedelta(seconds=ceiling * (0.5 + 0.5 * jitter))


class JobQueue(Protocol):
    """Claim, lease, guarded finish. Every call is one transaction; every time is passed in, aware UTC."""

    def claim(self, kinds: Sequence[JobKind], owner: str, now: datetime, lease: timedelta) -> Job | None:
        """Take a waiting job that is due, count the attempt, lease it to `owner`; None when nothing is due.

        The one with the highest priority, then the one that is due first.
        """

    def renew(self, job: Job, now: datetime, lease: timedelta) -> bool:
        """Extend the lease; False when the job is no longer ours (then stop working on it)."""

    def finish(self, job: Job, outcome: Outcome, now: datetime, jitter: float) -> bool:
        """Apply the outcome only while the job is still running, still leased to the owner in `job`, same attempt.

        False when it is not: somebody else has it now and nothing was changed. `jitter` in [0, 1) is for `backoff`.
        """

    def reap(self, now: datetime, is_gone: Callable[[str], bool]) -> int:
        """Take running jobs away from owners whose lease expired, or for which `is_gone(owner)`; how many were taken.

        A job with attempts left waits again (due at once), one without is dead.
        """

    def get(self, job_id: int) -> Job | None:
        """One job, or None."""

    def find(self, *, state: JobState | None = None, kind: JobKind | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""

    def retry(self, job_id: int, now: datetime) -> bool:
        """Dead to waiting, attempts reset, due at once; False when it was not dead."""

    def discard(self, job_id: int, now: datetime) -> bool:
        """Dead to discarded; False when it was not dead."""

    def counts(self) -> dict[tuple[JobKind, JobState], int]:
        """How many jobs of each kind are in each state (absent is 0)."""
