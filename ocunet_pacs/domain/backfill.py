"""Past studies in an archive: what is known of each, and where its fetching stands.

found ──claim (counts the attempt)──▶ fetching
fetching ──all images are here──▶ fetched
fetching ──they were here already, by other ways──▶ present
fetching ──it has no series of the wanted modality, or none that is taken──▶ nothing
fetching ──some did not come──▶ failed
fetching ──the archive or our store cannot go on, nothing is wrong with the study──▶ found (the attempt is given back)
fetching ──its process is gone (the next run)──▶ fetching, or stays when its attempts are used up
failed ──the next run, while it has attempts left──▶ fetching
failed ──`backfill --retry-failed` (a person)──▶ found, with attempts reset
fetched, present and nothing are final, until other modalities are asked for: then the study is found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from ocunet_pacs.domain.dates import Window


class BackfillState(StrEnum):
    """See the module's text for who moves a study out of each."""

    FOUND = "found"
    FETCHING = "fetching"
    FETCHED = "fetched"
    PRESENT = "present"
    NOTHING = "nothing"
    FAILED = "failed"


FINAL = frozenset({BackfillState.FETCHED, BackfillState.PRESENT, BackfillState.NOTHING})


@dataclass(frozen=True, slots=True)
class BackfillStudy:
    """One study of one archive. `attempts` counts claims, the current one included; times are aware UTC.

    `modalities` are those that the state speaks of, sorted: what was asked for by any run so far.
    """

    id: int
    archive: str
    study_instance_uid: str
    modalities: tuple[str, ...]
    state: BackfillState
    attempts: int
    instances: int
    """How many images of these modalities the archive has; 0 until it was asked."""
    owner: str | None
    reason: str | None
    """Why it failed; a sentence without patient data."""
    found_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study as an archive lists it. `day` and `time` (seconds since midnight) are for the order only.

    `modalities` is empty where the archive does not tell.
    """

    study_instance_uid: str
    day: date
    time: int = 0
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series of a wanted modality, with the SOP Instance UIDs of the objects in it that are taken."""

    series_instance_uid: str
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive answered to one question for studies; `complete` is False when it says that there are more."""

    studies: Sequence[FoundStudy]
    complete: bool


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What an archive says about a retrieval. What is here counts, not what it says: `problem` explains a lack."""

    problem: str = ""
    may_still_arrive: bool = False
    """The objects come by another association, perhaps a moment later."""


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
