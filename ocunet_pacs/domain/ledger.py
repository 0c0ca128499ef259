"""Rows that the pipeline reads back, and how a guarded finish can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import Output


@dataclass(frozen=True, slots=True)
class AnalysisRow:
    """One revision of one study; `key` and `finished_at` are None until it is finished.

    `newest_revision` is the study's highest revision, finished or not. `patient_conflict`: objects with this study's
    UID were seen that name another patient than this study's.
    """

    id: int
    study_id: int
    study_instance_uid: str
    revision: int
    key: str | None
    finished_at: datetime | None
    result: str | None
    newest_revision: int = 0
    patient_conflict: bool = False
    urgency: Urgency | None = None
    """The highest that the report suggests; None: there is no report."""
    patient_digest: str = ""
    """Stands for the study's patient."""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One object for one destination, with the destination's last answer.

    `status` is a DICOM status, None where there was no answer or the answer was none of DICOM's. The rest is for
    destinations that commit to what they store (PS3.4 annex J): when it was stored, in which transaction and when it
    was last asked, how often, and what came of it.
    """

    id: int
    output: Output
    destination: str
    status: int | None
    comment: str | None
    stored_at: datetime | None = None
    transaction_uid: str | None = None
    asked_at: datetime | None = None
    asks: int = 0
    committed_at: datetime | None = None
    failure: int | None = None
    """Failure Reason (0008,1197) of the last answer; None: it did not fail."""
    study_instance_uid: str = ""
    """Of the study that the object is about."""
    patient_digest: str = ""
    """Stands for the study's patient."""


@dataclass(frozen=True, slots=True)
class DestinationState:
    """How a destination stands. Its circuit is open while `down_since` is set: nobody answers there."""

    name: str
    down_since: datetime | None
    failures: int
    """Probes without an answer since then."""
    probe_at: datetime | None
    """When it is tried next."""
    reason: str
    answered_at: datetime | None
    """When it last answered, to the minute; None: never."""


@dataclass(frozen=True, slots=True)
class PastStudy:
    """A closed study with its newest revision, as `reprocess` and `studies` see it."""

    id: int
    study_instance_uid: str
    revision: int
    last_received_at: datetime
    finished_at: datetime | None
    """When its newest finished revision was; None: none is."""
    urgency: Urgency | None
    bundle_digest: str
    """Digest of the bundle behind its newest finished revision, "" where none is."""
    removed: bool
    """Whether its files are no longer kept."""


class Finish(StrEnum):
    """How `Ledger.finish_analysis` ended."""

    APPLIED = "applied"
    LOST = "lost"
    """The job is no longer ours: nothing was changed, somebody else does the work."""
    SUPERSEDED = "superseded"
    """A later revision is finished already: the job is done, and nothing of this one is kept or sent."""
    PREDECESSOR_CHANGED = "predecessor_changed"
    """Another revision finished meanwhile: nothing was changed, the report must name it, so do the step again."""
