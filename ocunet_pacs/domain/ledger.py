"""Rows that the pipeline reads back, and how a guarded finish can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One object for one destination, with the destination's last answer."""

    id: int
    output: Output
    destination: str
    status: int | None
    comment: str | None


class Finish(StrEnum):
    """How `Ledger.finish_analysis` ended."""

    APPLIED = "applied"
    LOST = "lost"
    """The job is no longer ours: nothing was changed, somebody else does the work."""
    SUPERSEDED = "superseded"
    """A later revision is finished already: the job is done, and nothing of this one is kept or sent."""
    PREDECESSOR_CHANGED = "predecessor_changed"
    """Another revision finished meanwhile: nothing was changed, the report must name it, so do the step again."""
