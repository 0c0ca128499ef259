"""What the console shows of queue and studies: rows as a person looks at them, read at a cost that does not grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ocunet_pacs.domain.job import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import OutputKind
    from ocunet_pacs.domain.study import ReasonCode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_DEAD = 2000
"""Dead jobs that are looked at to group them by reason; the newest."""


class StudyState(StrEnum):
    """Where a study is on its way; of several that hold, the first."""

    ATTENTION = "attention"
    """A job of it is dead: a person looks."""
    RECEIVING = "receiving"
    """Images came that no revision holds yet."""
    WAITING = "waiting"
    ANALYSING = "analysing"
    DELIVERING = "delivering"
    GIVEN_UP = "given_up"
    """Its newest analysis was discarded."""
    KEPT = "kept"
    """Nothing in it starts an analysis: our own results, say, that came back without their photographs."""
    DONE = "done"


class Among(StrEnum):
    """Which studies a list is of."""

    ALL = "all"
    RECEIVING = "receiving"
    WAITING = "waiting"
    ANALYSING = "analysing"
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True)
class Shown:
    """An instance or output that can be shown as a picture. `gone`: its file is not there any more."""

    id: int
    laterality: str = ""
    gone: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class StudyLine:
    """A study in a list. `urgency`, `finished_at` are of its newest finished revision, `analysis` is of its newest."""

    id: int
    study_instance_uid: str
    patient_digest: str
    revision: int
    open_since: datetime | None
    last_received_at: datetime
    conflict: bool
    removed: bool
    analysis: JobState | None = None
    """State of the newest revision's job; None: there is no revision."""
    finished_at: datetime | None = None
    urgency: Urgency | None = None
    deliveries: Mapping[JobState, int] = field(default_factory=dict)
    """Of all its revisions, how many are in each state (absent is 0)."""
    objects: int = 0
    """Instances that were received, whatever they are."""
    source: str = ""
    """By whom the first came: the name in the settings, otherwise the AE title."""
    pictures: tuple[Shown, ...] = ()
    """The first few received."""

    @property
    def state(self) -> StudyState:
        """See `StudyState`."""
        if self.analysis is JobState.DEAD or self.deliveries.get(JobState.DEAD):
            return StudyState.ATTENTION
        if self.open_since is not None:
            return StudyState.RECEIVING
        if self.analysis is None:
            return StudyState.KEPT
        by_analysis = {
            JobState.WAITING: StudyState.WAITING,
            JobState.RUNNING: StudyState.ANALYSING,
            JobState.DISCARDED: StudyState.GIVEN_UP,
        }
        under_way = self.deliveries.get(JobState.WAITING, 0) + self.deliveries.get(JobState.RUNNING, 0)
        return by_analysis.get(self.analysis, StudyState.DELIVERING if under_way else StudyState.DONE)


Place = tuple[int, ...]
"""Where a page of a list ends, in numbers by which the list is ordered; () is its beginning."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of studies. `end`: where it ends and the next one begins; () where there is none.

    What moves on between two pages is missed, or seen twice: a list is of now.
    """

    lines: tuple[StudyLine, ...]
    end: Place = ()


def in_microseconds(moment: datetime) -> int:
    """A moment, aware, as a number of a place."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(number: int) -> datetime:
    """Of a number that no moment has the one that is nearest."""
    try:
        return _EPOCH + timedelta(microseconds=number)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if number > 0 else datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Received:
    """Instances of one study that came from one sender."""

    source: str
    ae_title: str
    first_at: datetime
    last_at: datetime
    objects: int


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """One object on its way to one destination; see `DeliveryRow` for the fields of its answer."""

    destination: str
    job: Job
    status: int | None
    comment: str | None
    answered_at: datetime | None
    stored_at: datetime | None
    asked_at: datetime | None
    asks: int
    committed_at: datetime | None
    failure: int | None


@dataclass(frozen=True, slots=True)
class OutputStory:
    """One object that was made, and where it went."""

    id: int
    kind: OutputKind
    sop_instance_uid: str
    created_at: datetime
    gone: ReasonCode | None
    deliveries: tuple[DeliveryStory, ...] = ()


@dataclass(frozen=True, slots=True)
class RevisionStory:
    """One closing of the study and what came of it. `result` is the saved JSON of a `StudyResult`, None before it is.

    `closed_at` is when the revision was asked for: by the study's closing, or by hand.
    """

    analysis_id: int
    revision: int
    closed_at: datetime
    finished_at: datetime | None
    superseded: bool
    urgency: Urgency | None
    bundle_digest: str
    result: str | None
    job: Job | None
    outputs: tuple[OutputStory, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyStory:
    """One study's way through the stages: its revisions newest first, its pictures in the order in which they came."""

    line: StudyLine
    received: tuple[Received, ...]
    revisions: tuple[RevisionStory, ...]
    instances: Mapping[str, Shown] = field(default_factory=dict)
    """By SOP Instance UID, the first few hundred, of those that start an analysis."""


@dataclass(frozen=True, slots=True)
class About:
    """What a job is about; `study_id` 0 where its subject is not there."""

    study_id: int = 0
    study_instance_uid: str = ""
    revision: int = 0
    destination: str = ""
    output: OutputKind | None = None
    candidate: str = ""
    """Beginning of the digest of a shadow's bundle."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A job beside what it is about."""

    job: Job
    about: About = field(default_factory=About)


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the pixels of an instance or output lie, and whose they are."""

    file_key: str
    sop_class_uid: str
    study_instance_uid: str
    patient_digest: str
    gone: ReasonCode | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a destination last said. `status` is DICOM's; None where the answer was none of DICOM's."""

    destination: str
    status: int | None
    comment: str | None
    at: datetime


class ConsoleReader(Protocol):
    """Whoever can look. No call changes anything or waits for somebody who does; DatabaseError from all of them."""

    def studies(self, among: Among = Among.ALL, *, after: Place = (), limit: int = 25) -> Listing:
        """A page of studies: the first, or the one after that place.

        ALL begins with the newest, RECEIVING with the one that opened last, ATTENTION with the one whose job died last,
        WAITING with the one that is taken next; ANALYSING has the order of its jobs.
        """

    def study(self, study_id: int) -> StudyStory | None:
        """Everything about one study, or None."""

    def jobs(self, state: JobState, *, before: int | None = None, limit: int = 25) -> list[Subject]:
        """Jobs in a state that is no end: waiting in the order of the claim, running, or dead.

        The dead come with the newest first and are paged: those with an id below `before`.
        """

    def about(self, jobs: Sequence[Job]) -> list[Subject]:
        """The same jobs, each with what it is about."""

    def finished_since(self, moment: datetime) -> dict[Urgency | None, int]:
        """How many analyses finished since then, by the urgency of their report (None: there is no report)."""

    def last_answers(self, among: int = 500) -> dict[str, Answered]:
        """What each destination last said, as far as its answer is among so many of the newest deliveries."""

    def received_picture(self, instance_id: int) -> Picture | None:
        """One received instance, or None."""

    def made_picture(self, output_id: int) -> Picture | None:
        """One heatmap of ours, or None: other outputs are no pictures."""
