"""What the pages are made from: ports, and what the composition root knows of settings, bundle and machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.backlog import BacklogReader
    from ocunet_pacs.domain.console import ConsoleReader
    from ocunet_pacs.domain.job import JobKind, JobQueue
    from ocunet_pacs.domain.ledger import DestinationState
    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.upkeep import TaskRun, UpkeepCounts


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the daemon as it is now, in a sentence."""

    name: str
    ok: bool
    state: str


@dataclass(frozen=True, slots=True)
class Target:
    """Somewhere that results may go, as the settings have it: `kind` in words, `address` without anything secret."""

    name: str
    kind: str
    address: str
    gets: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """One label of the bundle. `threshold` and `temperature` None: the bundle does not know the label."""

    name: str
    display: str
    caveat: str
    threshold: float | None
    temperature: float | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """The bundle that the settings name; with a `problem` nothing else is known of it."""

    folder: str
    problem: str = ""
    name: str = ""
    digest: str = ""
    created_at: datetime | None = None
    architecture: str = ""
    trained: bool = True
    calibrated: bool = True
    operating_point: str = ""
    operating_points: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a photograph shows and who took it, as its header says: anybody's text."""

    name: str = ""
    number: str = ""
    birth_date: str = ""
    sex: str = ""
    description: str = ""
    station: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Handed to the pages; any number of threads uses it. What is a function is asked for each page."""

    reader: ConsoleReader
    backlog: BacklogReader
    queue: JobQueue
    destination_states: Callable[[], list[DestinationState]]
    upkeep_counts: Callable[[], UpkeepCounts]
    task_runs: Callable[[], list[TaskRun]]
    look: Callable[[], list[Part]]
    """Finds out how the parts are."""
    bundle: Callable[[], Bundle]
    shadow: Callable[[], Mapping[str, object] | None]
    """How a candidate stands, as in `status --json`."""
    drift_alerts: Callable[[], Sequence[tuple[str, str]]]
    """Cameras that changed, by the last night, each with what of it."""
    nights: Callable[[int], Sequence[Mapping[str, Any]] | None]
    """So many of the latest nights, as in `drift report --json`; None: the watch is off."""
    targets: Callable[[], tuple[Target, ...]]
    path: Callable[[str], Path]
    photograph: Callable[[Path], RgbImage]
    """The first frame of a DICOM file, scaled down, out of a process that may die of it. BadInput, OSError,
    OcunetError."""
    person: Callable[[Path], Person] | None
    """Whom it shows, read in the same way; None: the site does not want that shown."""
    wake: Callable[[JobKind], None]
    """Tells the role that does this kind of job that there is work."""
    audit: Audit
    patient_number: Callable[[Path], str]
    """For the audit trail."""
    now: Callable[[], datetime]
    host: str
    version: str
    facts: Callable[[], tuple[tuple[str, str], ...]]
    """About this process, for the page about it."""
