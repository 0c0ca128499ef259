"""One study's way through the stages as a list of steps, and what was said of its photographs. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocunet_pacs.console.words import OUTPUT, answer, counted, span
from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.study import Laterality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ocunet_pacs.domain.console import DeliveryStory, RevisionStory, Shown, StudyStory
    from ocunet_pacs.domain.job import Job


_NO_FINDINGS = frozenset({"Disease_Risk", "NORMAL"})


@dataclass(frozen=True, slots=True)
class Step:
    """One stage. `kind` as of a `Mark`; `at` None: it did not come to that yet; `job` leads to what keeps it."""

    kind: str
    title: str
    at: datetime | None
    words: tuple[str, ...]
    job: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One label of one photograph; `probability` and `threshold` from 0 to 1."""

    display: str
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Eye:
    """One photograph with what was said of it, or why nothing was. `heatmap`: id of the output that explains it."""

    title: str
    photograph: Shown | None
    heatmap: int | None
    findings: tuple[Finding, ...]
    assessed: bool
    reasons: tuple[str, ...]


def steps(story: StudyStory, revision: RevisionStory | None) -> list[Step]:
    """The stages of a revision; of the study as far as it came where there is none yet."""
    line = story.line
    came = [
        f"{counted(one.objects, 'object')} from {one.source or one.ae_title} ({one.ae_title})" for one in story.received
    ]
    first = min((one.first_at for one in story.received), default=None)
    last = max((one.last_at for one in story.received), default=None)
    if first is not None and last is not None and last > first:
        came.append(f"over {span(last - first)}")
    found = [Step("good", "Received", first, tuple(came))]
    if revision is None:
        words = "more may come: the study is still open" if line.open_since else "nothing in it starts an analysis"
        return [*found, Step("busy" if line.open_since else "wait", "Not complete yet", None, (words,))]
    return [*found, _closed(revision, last), *_analysed(revision), *_went(revision)]


def _closed(revision: RevisionStory, last: datetime | None) -> Step:
    if revision.revision == 1 and last is not None and revision.closed_at >= last:
        words = f"{span(revision.closed_at - last)} after the last image"
    else:
        words = "looked at again: for images that came late, or because somebody asked"
    return Step("good", f"Complete, revision {revision.revision}", revision.closed_at, (words,))


def _analysed(revision: RevisionStory) -> Iterator[Step]:
    job = revision.job
    if revision.superseded:
        yield Step("wait", "Superseded", revision.finished_at, ("a later revision finished first",))
    elif revision.finished_at is not None:
        words = [f"took {span(revision.finished_at - revision.closed_at)} from complete, waiting included"]
        if job is not None and job.reason:
            words.insert(0, job.reason)
        yield Step("good", "Analysed", revision.finished_at, tuple(words))
        kinds: dict[OutputKind, int] = {}
        for output in revision.outputs:
            kinds[output.kind] = kinds.get(output.kind, 0) + 1
        made = [counted(number, OUTPUT[kind]) for kind, number in kinds.items()]
        if made:
            yield Step("good", "Results made", revision.outputs[-1].created_at, tuple(made))
        else:
            yield Step("wait", "Nothing to send", None, ("no object was made by this revision",))
    elif job is not None:
        yield _unfinished("Analysis", job)


def _unfinished(what: str, job: Job) -> Step:
    tries = f"{counted(job.attempt, 'try', 'tries')} of {job.max_attempts}"
    reason = (job.reason,) if job.reason else ()
    if job.state is JobState.DEAD:
        return Step("bad", f"{what} failed", job.finished_at, (*reason, tries, "waits for a person"), job.id)
    if job.state is JobState.DISCARDED:
        return Step("warn", f"{what} given up", job.finished_at, (*reason, "discarded by a person"), job.id)
    if job.state is JobState.RUNNING:
        return Step("busy", f"{what} under way", None, (*reason, tries), job.id)
    return Step("wait", f"{what} waits", None, (*reason, tries) if job.attempt else reason, job.id)


def _went(revision: RevisionStory) -> Iterator[Step]:
    """Destination by destination: how many of its objects are there, and whether it keeps them."""
    by_destination: dict[str, list[DeliveryStory]] = {}
    for output in revision.outputs:
        for one in output.deliveries:
            by_destination.setdefault(one.destination, []).append(one)
    for destination, going in by_destination.items():
        yield _delivered(destination, going, revision.finished_at)
        asked = [one for one in going if one.asked_at is not None]
        if asked:
            yield _committed(destination, asked)


def _delivered(destination: str, going: Sequence[DeliveryStory], made_at: datetime | None) -> Step:
    there = [one.stored_at for one in going if one.stored_at is not None]
    number = f"{len(there)} of {counted(len(going), 'object')} stored"
    stuck = next((one for state in _WORST_FIRST for one in going if one.job.state is state), None)
    if stuck is not None and stuck.stored_at is None:
        step = _unfinished(f"Delivery to {destination}", stuck.job)
        told = stuck.comment and stuck.comment in (stuck.job.reason or "")
        said = () if stuck.answered_at is None or told else (f"it last said: {answer(stuck.status, stuck.comment)}",)
        return Step(step.kind, step.title, step.at, (number, *step.words, *said), step.job)
    last = max(there, default=max((one.job.finished_at for one in going if one.job.finished_at), default=None))
    words = [number] if there else [f"{counted(len(going), 'object')} taken"]
    if last is not None and made_at is not None:
        words.append(f"{span(last - made_at)} after it was made")
    return Step("good", f"Delivered to {destination}", last, tuple(words))


_WORST_FIRST = (JobState.DEAD, JobState.DISCARDED, JobState.WAITING, JobState.RUNNING)


def _committed(destination: str, asked: Sequence[DeliveryStory]) -> Step:
    kept = [one.committed_at for one in asked if one.committed_at is not None]
    failed = [one.failure for one in asked if one.failure is not None]
    words = f"{len(kept)} of {counted(len(asked), 'object')}"
    if failed:
        why = f"failure reason 0x{failed[0]:04X}"
        return Step("bad", f"{destination} does not keep everything", None, (words, why), asked[0].job.id)
    if len(kept) < len(asked):
        return Step("busy", f"{destination} is asked to commit", max(_times(asked)), (words,))
    return Step("good", f"{destination} keeps it", max(kept), (words, "storage commitment"))


def _times(asked: Sequence[DeliveryStory]) -> list[datetime]:
    return [one.asked_at for one in asked if one.asked_at is not None]


def eyes(story: StudyStory, revision: RevisionStory) -> list[Eye]:
    """What the revision's result says, photograph by photograph; without one, the photographs alone."""
    said: list[dict[str, Any]] = json.loads(revision.result or "{}").get("images", [])
    made = {
        output.sop_instance_uid: output.id
        for one in story.revisions
        for output in one.outputs
        if output.kind is OutputKind.HEATMAP and output.gone is None
    }
    explained = [image for image in said if image.get("heatmap_uid")]
    mine = [o.id for o in revision.outputs if o.kind is OutputKind.HEATMAP and o.gone is None]
    # Where only another encoding was made, the stored UID stands for it: they come in the order of their images.
    by_place = dict(zip(map(id, explained), mine, strict=False)) if len(mine) == len(explained) else {}
    return [
        _eye(image, story.instances, made.get(image.get("heatmap_uid") or "", by_place.get(id(image))))
        for image in said
        if not any(reason["code"] == "context_object" for reason in image["reasons"])
    ]


def _eye(image: dict[str, Any], instances: Mapping[str, Shown], heatmap: int | None) -> Eye:
    positive = sorted((s for s in image["scores"] if s["positive"]), key=_findings_first)
    frame = f", frame {image['frame']}" if image["frame"] else ""
    return Eye(
        title=f"{Laterality(image['laterality']).eye}, image {image['ordinal']}{frame}",
        photograph=instances.get(image["sop_instance_uid"]),
        heatmap=heatmap,
        findings=tuple(Finding(_display(s["label"]), s["probability"], s["threshold"]) for s in positive),
        assessed=bool(image["scores"]),
        reasons=tuple(reason["detail"] or reason["code"] for reason in image["reasons"]),
    )


def _findings_first(score: dict[str, Any]) -> tuple[bool, float]:
    """The composite flag and the normal class, which are no findings, come last."""
    return score["label"] in _NO_FINDINGS, -score["probability"]


def _display(label: str) -> str:
    return BY_NAME[label].display if label in BY_NAME else label
