"""What the pipeline needs from the outside, as Protocols. Adapters live in the stage packages, fakes beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ocunet_pacs.domain.backfill import BackfillState, BackfillStudy, FoundSeries, Listing, Retrieved
    from ocunet_pacs.domain.dates import Window
    from ocunet_pacs.domain.job import Job, JobKind, JobState, Outcome
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.ledger import AnalysisRow, DeliveryRow, DestinationState, Finish, PastStudy
    from ocunet_pacs.domain.result import (
        Addressed,
        BundleRef,
        Classification,
        Commitment,
        ImageResult,
        MadeObject,
        Output,
        Photograph,
        StudyResult,
    )
    from ocunet_pacs.domain.routes import Form
    from ocunet_pacs.domain.study import Arrival, ImageHeader, OpenStudy, ReceivedInstance, StoredInstance

    RgbImage = NDArray[np.uint8]
    """(height, width, 3), red green blue, 0 to 255."""


class Count(Protocol):
    """Where events are counted; `ocunet_pacs.metrics.COUNTERS` has the names and their labels."""

    def __call__(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add `amount`."""


def count_nothing(name: str, amount: int = 1, /, **labels: str) -> None:
    """For callers that keep no count."""


class Observe(Protocol):
    """Where durations and sizes are told; `ocunet_pacs.metrics.HISTOGRAMS` has the names and their labels."""

    def __call__(self, name: str, value: float, /, **labels: str) -> None:
        """One measurement."""


def observe_nothing(name: str, value: float, /, **labels: str) -> None:
    """For callers that measure nothing."""


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


class FileStore(Protocol):
    """Files under opaque keys, durable before they have a name."""

    def put(self, key: str, content: bytes) -> None:
        """Write atomically (temporary file, fsync, rename, fsync of the folder); overwrites. StoreFull, StoreError."""

    def remove(self, key: str) -> None:
        """Remove the file; nothing happens when there is none. StoreError."""

    def path(self, key: str) -> Path:
        """Where the file lies (whether or not it exists)."""

    def free_bytes(self) -> int:
        """Room left on the store's file system."""


class PhotographReader(Protocol):
    """DICOM files to facts and pixels."""

    def header(self, path: Path) -> ImageHeader:
        """The facts that decide. BadInput when the file is not a readable DICOM data set."""

    def photographs(self, path: Path) -> Iterator[Photograph]:
        """The frames one by one, prepared for the network. BadInput at the frame that cannot be used."""


class Classifier(Protocol):
    """Photographs to calibrated probabilities."""

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """One classification for each photograph, in order."""


class Reporter(Protocol):
    """Results to valid DICOM objects."""

    @property
    def settings_digest(self) -> str:
        """sha256 (hex) over all that changes what a report says or looks like, the template's version included."""

    def heatmap_uid(self, image: ImageResult, bundle: BundleRef) -> str:
        """Stands for the heatmap of this image in every encoding: the same for the same image, bundle and settings."""

    def pictures(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
    ) -> list[MadeObject]:
        """The heatmap in each encoding that some destination takes, and the map where one does.

        They explain the image's leading positive labels. `source` is the photograph's file.
        """

    def urgency(self, result: StudyResult) -> Urgency:
        """The highest urgency of review that the study's findings suggest."""

    def report(
        self, result: StudyResult, sources: Mapping[str, Path], pictures: Mapping[str, Output], form: Form
    ) -> MadeObject:
        """The study's report. `sources`: file of each SOP Instance UID in `result`; `pictures` by their own UID."""

    def pdf(self, report: MadeObject, pictures: Mapping[str, Path]) -> MadeObject:
        """The report with its heatmaps as a page to file. `pictures`: file of each heatmap by its own UID."""

    def fhir(self, result: StudyResult, report: MadeObject, destination: str) -> MadeObject:
        """The report for a record system, with no more than it may know."""

    def notice(
        self, result: StudyResult, report: MadeObject, sources: Mapping[str, Path], destination: str
    ) -> MadeObject:
        """Word of an urgent study for one destination, with no more than it may know."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A destination has the object: what it said in words, and its DICOM status where it speaks DICOM."""

    note: str
    status: int | None = None


class Sender(Protocol):
    """Objects to one destination. Threads may share it."""

    def send(self, path: Path) -> Receipt:
        """The destination has it. PeerUnavailable, PeerBusy or PeerRefused otherwise; StoreError: it cannot be read."""

    def close(self) -> None:
        """Let go of connections that are kept for the next object."""


class Committer(Protocol):
    """Asks one destination to commit to what it has stored (PS3.4 annex J)."""

    def request(self, transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Commitment | None:
        """Ask about (SOP class, SOP instance); what it said at once, None when its answer is to come later.

        PeerUnavailable, PeerBusy, or PeerRefused where it does not commit at all.
        """


class BackfillLedger(Protocol):
    """Where the fetching of past studies stands (see `domain.backfill`). Every call is one transaction."""

    def note_found(
        self, archive: str, study_instance_uids: Sequence[str], modalities: Sequence[str], now: datetime
    ) -> list[BackfillStudy]:
        """The rows of these studies, in their order; those that were not there are added as found.

        A final study of which other modalities are wanted now is found again, with all its attempts, and its row's
        modalities are from then on the wanted ones and the earlier ones together.
        """

    def look_up(self, archive: str, study_instance_uids: Sequence[str]) -> dict[str, BackfillStudy]:
        """The rows that are there, by Study Instance UID. Changes nothing."""

    def claim_study(self, study: BackfillStudy, owner: str, now: datetime) -> BackfillStudy | None:
        """Found, failed or abandoned to fetching, counting the attempt, only while the row is as it was seen."""

    def settle_study(
        self,
        study: BackfillStudy,
        state: BackfillState,
        now: datetime,
        *,
        instances: int = 0,
        reason: str | None = None,
    ) -> bool:
        """Fetching to `state` (FOUND gives the attempt back), only while the claim is still ours; whether it was."""

    def retry_failed(self, archive: str, now: datetime) -> int:
        """Failed to found, attempts reset; how many."""

    def past_studies(
        self, *, archive: str | None = None, state: BackfillState | None = None, after: int = 0, limit: int = 100
    ) -> list[BackfillStudy]:
        """Rows with an id above `after`, by id: a page."""

    def past_study_counts(self) -> dict[tuple[str, BackfillState], int]:
        """How many studies of each archive are in each state (absent is 0)."""

    def known_instances(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Those that were received, or that we made; not those whose file was found missing, which may come again."""

    def unfinished_studies(self, at_most: int) -> int:
        """Studies that wait for an analysis, or to be closed for one; counted up to about `at_most`."""


class Archive(Protocol):
    """A PACS that past studies are fetched from. ArchiveUnavailable, ArchiveMisconfigured or ArchiveError."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    def list_studies(self, window: Window, modalities: Sequence[str]) -> Listing:
        """Studies of the window; where the archive can tell, only those with one of the modalities."""

    def list_series(self, study_instance_uid: str, modalities: Sequence[str]) -> list[FoundSeries]:
        """The study's series of these modalities, with the instances in them of classes that are taken."""

    def retrieve(self, study_instance_uid: str, series_instance_uids: Sequence[str]) -> Retrieved:
        """Let the series come here, each object through the listener's own reception.

        StoreFull, StoreError, DatabaseError: what came could not be kept, and nothing more will be.
        """
