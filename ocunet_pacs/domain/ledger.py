"""The ledger, the rows that the pipeline reads back from it, and how a guarded finish can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime, timedelta

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import Addressed, Commitment, Output
    from ocunet_pacs.domain.study import Arrival, OpenStudy, ReceivedInstance, StoredInstance


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


class Ledger(Protocol):
    """Studies, instances, analyses, outputs and deliveries. Every call is one transaction."""

    def record_instance(self, instance: ReceivedInstance, has_file: Callable[[str], bool] | None = None) -> Arrival:
        """Add the row (and its study's), durable when this returns; opens or extends its study when `opens_study`.

        Studies are told apart by their UID and the patient. An instance that opens no study never makes a conflict.
        One whose SOP Instance UID is there already changes nothing, unless that row has no file any more: marked as
        removed or missing, or `has_file` says no to its key. Then the row gets this file, and its study is opened
        again where the file was missing. A first conflict opens every study that it concerns and that has files:
        what was reported of it must say so.
        """

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """The row of one instance, or None."""

    def studies_due(self, now: datetime, force_after: timedelta) -> list[OpenStudy]:
        """Open studies whose instances' quiet periods are over, or that are open for `force_after`."""

    def hasten_studies(self, study_instance_uids: Collection[str]) -> int:
        """Their sender has sent what it had: make those that are open due now; how many that were.

        An image that still comes, on another association, puts its quiet period first again.
        """

    def close_study(self, study: OpenStudy, now: datetime, max_attempts: int) -> int | None:
        """One new revision: assign the study's unassigned instances to it, add its analysis and its job; the job's id.

        None (and nothing changed) when the study is no longer as it was seen: an image came in, or somebody closed it.
        """

    def analysis(self, analysis_id: int) -> AnalysisRow:
        """One revision of one study. KeyError when there is none."""

    def analysis_instances(self, analysis_id: int) -> list[StoredInstance]:
        """The study's instances of this and all earlier revisions that open studies, in order of arrival."""

    def newest_revision(self, study_instance_uid: str) -> int:
        """The highest revision that exists, finished or not, whichever patient's; 0 when there is none."""

    def predecessor(self, analysis_id: int) -> tuple[int, tuple[Output, ...]] | None:
        """The latest finished earlier revision of the same study that has a report: its analysis id and its reports."""

    def finish_analysis(
        self,
        job: Job,
        *,
        key: str,
        result: str,
        outputs: Sequence[Addressed],
        expected_predecessor: int | None,
        delivery_attempts: int,
        now: datetime,
        note: str | None = None,
        urgency: Urgency | None = None,
        bundle_digest: str = "",
    ) -> Finish:
        """In one transaction, and only while the job is still ours: save key and result (JSON), add outputs that are
        not there yet with one delivery and one job for each of their destinations, finish the job as done.

        `note` stays on the finished job as its reason: what became of the study in a sentence. The deliveries' jobs
        have the rank of `urgency` as their priority, or the analysis's own where that is negative.

        An output whose SOP Instance UID exists already is left as it is; destinations that it was not sent to get it.
        Where its file was removed or missing, this one's takes its place.
        """

    def named_results(self, file_keys: Collection[str]) -> set[str]:
        """Of these keys those that an output's row names, whatever became of the file."""

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """One object for one destination. KeyError when there is none."""

    def record_delivery(
        self, delivery_id: int, status: int | None, comment: str, now: datetime, *, stored: bool = False
    ) -> None:
        """What the destination last answered: DICOM status (None: none) and a sentence; `stored`: it has the object.

        With `stored`, what was known of its commitment to an earlier copy is forgotten.
        """

    def uncommitted(self, destination: str, asked_before: datetime, limit: int) -> list[DeliveryRow]:
        """What the destination stored and did not commit to yet, unless it was asked after that; the oldest first."""

    def note_asked(self, transaction_uid: str, delivery_ids: Sequence[int], now: datetime) -> None:
        """The destination is about to be asked to commit to these, in this transaction."""

    def note_not_asked(self, transaction_uid: str) -> None:
        """The asking failed: those of this transaction that are not settled were not asked, and it does not count.

        An answer that comes all the same is still an answer.
        """

    def record_commitment(self, commitment: Commitment, now: datetime) -> int:
        """What came of a transaction; how many deliveries that settles, 0 when none is of it. Their jobs are due now.

        An answer to a transaction that was given up for a later one changes nothing where it says that it failed.
        """

    def may_try(self, destination: str, now: datetime, pause: timedelta) -> datetime | None:
        """Whether to try the destination now: None says yes. Otherwise when to look again.

        While it is down one caller at a time may, and the next not before `pause` is over.
        """

    def note_down(self, destination: str, reason: str, now: datetime, longest: timedelta) -> bool:
        """Nobody answered: open its circuit, or count another probe; whether this opened it (then tell a person).

        Its waiting deliveries are put off until the next probe: each is twice as far away, `longest` at most.
        """

    def note_up(self, destination: str, now: datetime) -> timedelta | None:
        """It answered. Where its circuit was open it is closed, and what waits for it is due now: how long it was down.

        None: it was not.
        """

    def destination_states(self) -> list[DestinationState]:
        """Every destination that was ever tried, by name."""

    def past_study(self, study_id: int) -> PastStudy | None:
        """One study that has at least one revision, or None."""

    def studies_like(
        self,
        *,
        study_instance_uid: str | None = None,
        since: datetime | None = None,
        bundle_digest: str | None = None,
        after: int = 0,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[PastStudy]:
        """Studies with at least one revision, a page by id past `after` (before it, where `newest_first` and not 0).

        `since`: got an image since then. `bundle_digest`: their newest finished revision is of a bundle whose digest
        begins so.
        """

    def request_revision(self, study_id: int, now: datetime, max_attempts: int, priority: int) -> int | None:
        """One more revision of a closed study, over the images that it has; the job's id.

        None (and nothing changed) when the study is open, has a revision that is not finished yet, or lacks the file of
        an image: a report on part of the images would replace one on all of them.
        """

    def output_uids(self) -> Iterator[str]:
        """SOP Instance UIDs of everything that we made."""

    def is_output(self, sop_instance_uid: str) -> bool:
        """Whether we made this object."""
