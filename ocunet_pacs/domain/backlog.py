"""What waits, counted: for monitoring, which asks every few seconds, whatever the queue holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.job import JobKind


@dataclass(frozen=True, slots=True)
class KindBacklog:
    """The jobs of one kind that are not finished, and those that wait for a person."""

    kind: JobKind
    waiting: int = 0
    running: int = 0
    dead: int = 0
    oldest_at: datetime | None = None
    """When the oldest waiting job was added; None: none waits."""
    due_since: datetime | None = None
    """Since when a waiting job of a priority from 0 on could have been claimed; None: no worker is behind."""


@dataclass(frozen=True, slots=True)
class DestinationBacklog:
    """The deliveries to one destination whose jobs wait or run."""

    destination: str
    deliveries: int
    uncommitted: int
    """Of them those that are stored there and that it did not commit to yet."""
    uncommitted_since: datetime | None
    """When the first of those was stored; None: there is none."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One look. Every kind is named, destinations only while something is on its way to them; both in order."""

    kinds: tuple[KindBacklog, ...]
    destinations: tuple[DestinationBacklog, ...]
    open_studies: int
    open_since: datetime | None
    """When the study that is open longest was opened; None: none is open."""


class BacklogReader(Protocol):
    """Whoever can look, at a cost that does not grow with what is done already."""

    def backlog(self, now: datetime) -> Backlog:
        """How it stands, in one transaction that holds up nobody."""
