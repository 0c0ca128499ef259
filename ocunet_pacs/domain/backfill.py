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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime


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
