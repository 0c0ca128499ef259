"""The shadow: what a candidate bundle says of studies that the active one has reported. Nobody is told.

A look is a candidate's turn at one finished analysis; its state is its job's (`domain/job.py`), and these are its own:

    unseen     no row: the analysis is young enough, its files are here, and this candidate has not looked at it
    enlisted   a row and a job, by `enlist`, one at a time and only while no patient waits: nothing piles up
    done       `finish_look` kept a frame for every one that the active bundle had scored; or the job's note says why
               there is none
    dead       the candidate failed at it as often as it may; the job's reason says at what
    removed    by `remove_looks`, with its frames and its job, when it is old

The way of a result knows nothing of this: no step of it writes, reads or waits for a row of a look.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ocunet_pacs.domain.result import LabelScore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ocunet_pacs.domain.job import Job, JobState
    from ocunet_pacs.domain.result import BundleRef
    from ocunet_pacs.domain.study import ReasonCode


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle in the shadow. Its digest and the name of its thresholds tell it from every other."""

    digest: str
    operating_point: str
    name: str

    @classmethod
    def of(cls, bundle: BundleRef) -> Candidate:
        """The candidate that these weights are."""
        return cls(bundle.digest, bundle.operating_point, bundle.name)


@dataclass(frozen=True, slots=True)
class ShadowFrame:
    """What a candidate said of one frame that the active bundle had scored: scores, or why there are none.

    `frame` as in `ImageResult`.
    """

    sop_instance_uid: str
    frame: int | None
    scores: tuple[LabelScore, ...] = ()
    reason: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A candidate's turn at one analysis, as its step sees it."""

    id: int
    analysis_id: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class PastLook:
    """A look beside the analysis that it was at, as the report sees both."""

    id: int
    job_id: int
    state: JobState
    note: str | None
    """The job's reason: why it failed, or why a look that is done has no frames."""
    study_instance_uid: str
    revision: int
    reported_at: datetime
    """When the analysis was finished."""
    result: str
    """JSON of what the active bundle said."""
    frames: tuple[ShadowFrame, ...]


class ShadowLedger(Protocol):
    """Looks and what came of them. Every call is one transaction."""

    def patients_wait(self, now: datetime) -> bool:
        """Whether an analysis is running, or due."""

    def look_is_due(self, now: datetime) -> bool:
        """Whether a look waits to be claimed."""

    def enlist(self, candidate: Candidate, since: datetime, now: datetime, max_attempts: int) -> int | None:
        """A look, and its job, at the newest analysis that the candidate has not seen; the job's id, None without any.

        Of each study only the latest revision that has a result counts, finished at `since` or later, and only while
        retention has removed none of its files.
        """

    def unseen(self, candidate: Candidate, since: datetime) -> int:
        """How many analyses `enlist` would still find."""

    def look(self, look_id: int) -> Look:
        """One look. KeyError when there is none."""

    def finish_look(self, job: Job, frames: Sequence[ShadowFrame], now: datetime, note: str | None = None) -> bool:
        """In one transaction, and only while the job is still ours: keep the frames, finish the job as done.

        False when the job is no longer ours: nothing was changed.
        """

    def candidates(self) -> list[Candidate]:
        """Those of which looks are kept; the one with the newest look first."""

    def past_looks(self, candidate: Candidate, since: datetime | None, after: int, limit: int) -> list[PastLook]:
        """Its looks at analyses that were finished at `since` or later, a page by id past `after`."""

    def look_counts(self, candidate: Candidate) -> dict[JobState, int]:
        """How many of its looks are in each state (absent is 0)."""

    def last_look(self, candidate: Candidate) -> datetime | None:
        """When one of its looks last ended; None: none did."""

    def remove_looks(self, before: datetime, limit: int) -> int:
        """Remove looks that were enlisted before that and neither wait nor run, the oldest first; how many."""


def encode_scores(scores: Sequence[LabelScore]) -> str:
    """Scores as JSON: a list of [label, logit, probability, threshold, positive]. ValueError for what is no number."""
    rows = [[s.label, s.logit, s.probability, s.threshold, s.positive] for s in scores]
    return json.dumps(rows, allow_nan=False, separators=(",", ":"))


def decode_scores(text: str) -> tuple[LabelScore, ...]:
    """What `encode_scores` was given."""
    return tuple(LabelScore(*row) for row in json.loads(text))
