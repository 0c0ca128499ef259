"""Is it well? Every fault that a person should know of, in a sentence, with the page that shows more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.console.words import Mark, counted, kind, moment, span
from ocunet_pacs.domain.job import JobKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ocunet_pacs.console.desk import Bundle, Part
    from ocunet_pacs.domain.backlog import Backlog, KindBacklog
    from ocunet_pacs.domain.ledger import DestinationState
    from ocunet_pacs.domain.upkeep import TaskRun, UpkeepCounts

_BEHIND = timedelta(minutes=15)
"""For how long an analysis may be due before a person should know."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One fault: `kind` is bad (something does not get done) or warn (look at it when there is time)."""

    kind: str
    words: str
    link: str = ""
    more: str = ""
    """What the link says."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is looked at."""

    parts: Sequence[Part]
    backlog: Backlog
    destinations: Sequence[DestinationState]
    upkeep: UpkeepCounts
    tasks: Sequence[TaskRun]
    bundle: Bundle
    drift: Sequence[tuple[str, str]]
    now: datetime


def alarms(seen: Seen) -> list[Alarm]:
    """What is wrong, the worse first."""
    found = [*_of_parts(seen), *_of_queue(seen), *_of_destinations(seen), *_of_model(seen), *_of_upkeep(seen)]
    found += [
        Alarm("warn", f"{camera} has changed: {_first(changed)}.", "/drift", "Drift") for camera, changed in seen.drift
    ]
    return sorted(found, key=lambda alarm: alarm.kind != "bad")


def verdict(found: Sequence[Alarm]) -> tuple[Mark, str]:
    """The answer to the first question, and what follows from it."""
    bad = sum(alarm.kind == "bad" for alarm in found)
    if bad:
        return Mark("bad", "Needs attention"), f"{counted(bad, 'fault')} that a person should look at now."
    if found:
        return Mark("warn", "Working, with remarks"), "Studies are received, analysed and delivered."
    return Mark("good", "All is well"), "Studies are received, analysed and delivered."


def _of_parts(seen: Seen) -> Iterator[Alarm]:
    for part in seen.parts:
        if not part.ok:
            yield Alarm("bad", f"{part.name}: {part.state}.")


def _of_queue(seen: Seen) -> Iterator[Alarm]:
    for one in seen.backlog.kinds:
        if one.dead and one.kind is not JobKind.SHADOW:
            words = f"{one.dead:,} {kind(one.kind, one.dead)} failed for good: a person should look."
            yield Alarm("bad", words, "/jobs?state=dead", "Dead jobs")
        yield from _behind(one, seen.now)


def _behind(one: KindBacklog, now: datetime) -> Iterator[Alarm]:
    if one.kind is JobKind.SHADOW or one.due_since is None or now - one.due_since <= _BEHIND:
        return
    words = f"Behind with {kind(one.kind, 2)}: one could have begun {span(now - one.due_since)} ago."
    yield Alarm("bad", words, "/jobs?state=waiting", "Waiting jobs")


def _of_destinations(seen: Seen) -> Iterator[Alarm]:
    for state in seen.destinations:
        if state.down_since is not None:
            words = f"{state.name} does not answer since {moment(state.down_since, seen.now)}: {state.reason}"
            yield Alarm("bad", words.rstrip(".") + ". What is for it waits.", "/destinations", "Destinations")


def _of_model(seen: Seen) -> Iterator[Alarm]:
    if seen.bundle.problem:
        yield Alarm("bad", f"The model bundle cannot be used: {seen.bundle.problem}", "/model", "Model")
    elif not seen.bundle.trained:
        yield Alarm("bad", "The model is untrained: every probability is meaningless.", "/model", "Model")
    elif not seen.bundle.calibrated:
        yield Alarm("warn", "The model's thresholds were not fitted to it.", "/model", "Model")


def _of_upkeep(seen: Seen) -> Iterator[Alarm]:
    counts = seen.upkeep
    if counts.patient_conflicts:
        yield Alarm(
            "warn",
            f"{counted(counts.patient_conflicts, 'study', 'studies')} came with the data of more than one patient; "
            "they are kept apart.",
        )
    if counts.missing_instances:
        yield Alarm(
            "warn",
            f"{counted(counts.missing_instances, 'received file')} missing from the store: send the images again.",
        )
    if counts.missing_results:
        yield Alarm("warn", f"{counted(counts.missing_results, 'result')} missing from the store.")
    for run in seen.tasks:
        if not run.succeeded:
            yield Alarm("warn", f"Housekeeping, {run.task}: failed {moment(run.started_at, seen.now)}: {run.note}")


def _first(changed: str) -> str:
    """Of what has changed of a camera the foremost: the page has the rest."""
    first, more, _ = changed.partition("); ")
    return f"{first}), and more" if more else changed
