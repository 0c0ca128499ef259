"""A candidate bundle looks at what the active one has reported; what it says is kept, and nobody is told.

The step reads photographs and writes rows of its own: it has no reporter, no routes and no way to store an object, so
that nothing of it can reach a result, a delivery or a destination. It starts nothing while a patient waits, and stands
aside between two passes of the network when one comes.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bind_contextvars

from ocunet_pacs.domain.audit import audit_nothing, no_patient_number
from ocunet_pacs.domain.job import Done, Never
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.domain.shadow import Candidate, ShadowFrame
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.logs import Study
from ocunet_pacs.pipeline.examine import examine
from ocunet_pacs.pipeline.steps import accessed, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.gates import Verdict
    from ocunet_pacs.domain.job import Job, Outcome
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Classifier, Count, FileStore, PhotographReader
    from ocunet_pacs.domain.result import ImageResult, MadeObject
    from ocunet_pacs.domain.shadow import ShadowLedger
    from ocunet_pacs.domain.study import ImageHeader

_FrameName = tuple[str, int | None]
"""SOP Instance UID, and frame as in `ImageResult`."""


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """Which studies a candidate looks at, how often it may fail at one, and whether patients go first."""

    look_back: timedelta
    attempts: int
    give_way: bool = True


@dataclass(frozen=True, slots=True)
class ShadowTools:
    """All that `shadow` works with. Reader and classifier are the candidate's; `eligibility` is the site's."""

    looks: ShadowLedger
    ledger: Ledger
    files: FileStore
    reader: PhotographReader
    eligibility: Callable[[ImageHeader, str], Verdict]
    classifier: Classifier
    rule: ShadowRule
    batch_size: int
    clock: Callable[[], datetime]
    pause: Callable[[], object]
    """Waits a moment, but not past a stop."""
    count: Count = count_nothing
    audit: Audit = audit_nothing
    patient_number: Callable[[Path], str] = no_patient_number
    """Patient ID of an image, where the audit trail has those."""


def find_work(tools: ShadowTools) -> bool:
    """Whether there is a look to claim now: one that is due, or a new one, and only while no patient waits."""
    now = tools.clock()
    if tools.rule.give_way and tools.looks.patients_wait(now):
        return False
    if tools.looks.look_is_due(now):
        return True
    candidate = Candidate.of(tools.classifier.bundle)
    return tools.looks.enlist(candidate, now - tools.rule.look_back, now, tools.rule.attempts) is not None


def shadow(job: Job, tools: ShadowTools, alive: Callable[[], None]) -> Outcome | None:
    """One look at one analysis: every frame that the active bundle scored is read and scored as the candidate does it.

    `alive` as for `analyse`. None: the job was finished in the same transaction as its frames (or is somebody else's).
    """
    began = time.monotonic()
    look = tools.looks.look(job.subject_id)
    if look.candidate != Candidate.of(tools.classifier.bundle):
        return Done(
            f"another candidate than {look.candidate.digest[:12]} is in the shadow by now", code="other_candidate"
        )
    row = tools.ledger.analysis(look.analysis_id)
    bind_contextvars(study=Study(row.study_instance_uid))
    scored = _scored_frames(row.result)
    if not scored:
        return Done("the active bundle scored nothing", code="nothing_scored")
    instances = tools.ledger.analysis_instances(row.id)
    sources = [source_of(instance, tools.files) for instance in instances if instance.sop_instance_uid in scored]
    examined = examine(
        sources,
        reader=tools.reader,
        eligibility=tools.eligibility,
        classifier=tools.classifier,
        reporter=None,
        keep_picture=_no_picture,
        batch_size=tools.batch_size,
        alive=lambda: _stand_aside(tools, alive),
    )
    tools.audit(accessed(row, sources, tools.patient_number))
    frames = [frame for uid, wanted in scored.items() for frame in _match(uid, wanted, examined.images)]
    wrong = {s.label for f in frames for s in f.scores if not (math.isfinite(s.logit) and math.isfinite(s.probability))}
    if wrong:
        return Never(f"the candidate says no number for {', '.join(sorted(wrong))}", code="no_number")
    _keep(job, tools, frames, began)
    return None


def _keep(job: Job, tools: ShadowTools, frames: Sequence[ShadowFrame], began: float) -> None:
    reasons = Counter(str(frame.reason) for frame in frames if frame.reason)
    note = f"{len(frames) - reasons.total()} of {len(frames)} images scored"
    note += "".join(f"; {number} {reason}" for reason, number in sorted(reasons.items()))
    kept = tools.looks.finish_look(job, frames, tools.clock(), note)
    tools.count("jobs", kind=str(job.kind), outcome="done" if kept else "lost", reason="" if kept else "lease")
    if kept:
        tools.count("shadow_studies")
        for frame in frames:
            tools.count("shadow_images", outcome=str(frame.reason or "scored"))
    structlog.get_logger().info(
        "study_shadowed",
        job=job.id,
        seconds=round(time.monotonic() - began, 3),
        kept=kept,
        images=len(frames),
        not_scored=dict(reasons),
        candidate=tools.classifier.bundle.digest[:12],
        operating_point=tools.classifier.bundle.operating_point,
    )


def _scored_frames(result: str | None) -> dict[str, list[int | None]]:
    """The frames that the active bundle scored, by SOP Instance UID, in the order of its result."""
    found: dict[str, list[int | None]] = {}
    for image in json.loads(result or "{}").get("images", []):
        if image["scores"]:
            found.setdefault(image["sop_instance_uid"], []).append(image["frame"])
    return found


def _match(uid: str, wanted: Sequence[int | None], images: Sequence[ImageResult]) -> list[ShadowFrame]:
    """What the candidate said of these frames of an instance; a reason stands for all that come after it."""
    mine = [image for image in images if image.sop_instance_uid == uid]
    by_frame = {image.frame: image for image in mine}
    stopped = next((image.reasons[0].code for image in reversed(mine) if image.reasons), ReasonCode.UNREADABLE_PIXELS)
    found = []
    for frame in wanted:
        image = by_frame.get(frame)
        if image is None or not image.assessed:
            reason = image.reasons[0].code if image is not None and image.reasons else stopped
            found.append(ShadowFrame(uid, frame, reason=reason))
        else:
            found.append(ShadowFrame(uid, frame, image.scores))
    return found


def _stand_aside(tools: ShadowTools, alive: Callable[[], None]) -> None:
    """Before a pass of the network: as long as a patient waits, do nothing but keep the lease."""
    alive()
    while tools.rule.give_way and tools.looks.patients_wait(tools.clock()):
        tools.pause()
        alive()


def _no_picture(picture: MadeObject) -> None:
    """Without a reporter none is made."""
    raise AssertionError(picture.kind)
