"""What is written of states, times and spans. A state has a word and a kind; the kind gives shape and colour."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.console import StudyState
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import OutputKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from ocunet_pacs.domain.console import Subject


@dataclass(frozen=True, slots=True)
class Mark:
    """A state to show: `kind` is good, busy, wait, warn or bad, and never the only thing that tells it."""

    kind: str
    words: str


STUDY: Mapping[StudyState, Mark] = MappingProxyType(
    {
        StudyState.ATTENTION: Mark("bad", "needs attention"),
        StudyState.RECEIVING: Mark("busy", "receiving"),
        StudyState.WAITING: Mark("wait", "waiting for analysis"),
        StudyState.ANALYSING: Mark("busy", "being analysed"),
        StudyState.DELIVERING: Mark("busy", "being delivered"),
        StudyState.GIVEN_UP: Mark("warn", "given up"),
        StudyState.KEPT: Mark("wait", "kept, nothing to analyse"),
        StudyState.DONE: Mark("good", "done"),
    }
)
JOB: Mapping[JobState, Mark] = MappingProxyType(
    {
        JobState.WAITING: Mark("wait", "waiting"),
        JobState.RUNNING: Mark("busy", "running"),
        JobState.DONE: Mark("good", "done"),
        JobState.DEAD: Mark("bad", "dead"),
        JobState.DISCARDED: Mark("warn", "discarded"),
    }
)
_KIND: Mapping[JobKind, tuple[str, str]] = MappingProxyType(
    {
        JobKind.ANALYSE: ("analysis", "analyses"),
        JobKind.DELIVER: ("delivery", "deliveries"),
        JobKind.SHADOW: ("look of the candidate", "looks of the candidate"),
    }
)
URGENCY: Mapping[Urgency | None, Mark] = MappingProxyType(
    {
        None: Mark("wait", "no report"),
        Urgency.NONE: Mark("good", "nothing above threshold"),
        Urgency.REPEAT_IMAGE: Mark("warn", "repeat the photograph"),
        Urgency.ROUTINE: Mark("good", "review: routine"),
        Urgency.SOON: Mark("warn", "review: soon"),
        Urgency.URGENT: Mark("warn", "review: urgent"),
        Urgency.EMERGENCY: Mark("warn", "review: emergency"),
    }
)
OUTPUT: Mapping[OutputKind, str] = MappingProxyType(
    {
        OutputKind.REPORT: "structured report",
        OutputKind.HEATMAP: "heatmap",
        OutputKind.MAP: "grayscale map",
        OutputKind.PDF: "PDF",
        OutputKind.FHIR: "FHIR document",
        OutputKind.NOTICE: "notice",
    }
)


def kind(of: JobKind, number: int = 1) -> str:
    """What so many jobs of the kind are called."""
    return _KIND[of][number != 1]


def about(subject: Subject) -> str:
    """What a job is about, beside its study: "analysis", "delivery of the heatmap to pacs"."""
    if subject.job.kind is JobKind.DELIVER and subject.about.output is not None:
        return f"delivery of the {OUTPUT[subject.about.output]} to {subject.about.destination}"
    return kind(subject.job.kind)


def span(length: timedelta) -> str:
    """ "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h": two units at most. Never negative: clocks may differ."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    place = next(place for place, (_, size) in enumerate(units) if whole >= size)
    name, size = units[place]
    words = f"{whole // size} {name}"
    if place < len(units) - 1:
        below, smaller = units[place + 1]
        rest = whole % size // smaller
        words += f" {rest} {below}" if rest else ""
    return words


def moment(at: datetime, now: datetime) -> str:
    """The time of today, date and time of this year, all of it otherwise; in this machine's zone."""
    here, today = at.astimezone(), now.astimezone()
    if here.date() == today.date():
        return f"{here:%H:%M:%S}"
    if here.year == today.year:
        return f"{here.day} {here:%b %H:%M}"
    return f"{here.day} {here:%b %Y %H:%M}"


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 job", "3 jobs"; `many` where it is irregular."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def answer(status: int | None, comment: str | None) -> str:
    """What a destination said."""
    if status is None:
        return comment or "no answer"
    return f"0x{status:04X}: {comment}" if comment else f"0x{status:04X}"
