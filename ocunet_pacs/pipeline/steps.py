"""The product on one screen: assemble a study, analyse it; `delivering` has how what came out is delivered.

Each step says how it went in one of the words of `domain.job` (Done, Retry, Never, Later); the loop applies it. Steps
know ports, never adapters, so the whole product runs in tests on fakes, in milliseconds.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import structlog
from structlog.contextvars import bind_contextvars

from ocunet_pacs.domain.audit import Accessed, Patient, audit_nothing, no_patient_number
from ocunet_pacs.domain.drift import watch_nothing
from ocunet_pacs.domain.errors import DatabaseError, InvalidReport
from ocunet_pacs.domain.job import Done, JobKind, Never, Outcome
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.ports import count_nothing, observe_nothing
from ocunet_pacs.domain.result import Addressed, StudyResult, work_key
from ocunet_pacs.domain.routes import Form, StudyFacts
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.logs import Study
from ocunet_pacs.pipeline.account import count_images, reasons_of, sentence
from ocunet_pacs.pipeline.examine import Source, examine
from ocunet_pacs.pipeline.make import Earlier, Making, predecessor
from ocunet_pacs.pipeline.observing import observations
from ocunet_pacs.pipeline.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from typing import Any

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.drift import Watch
    from ocunet_pacs.domain.gates import Verdict
    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.ledger import AnalysisRow, Ledger
    from ocunet_pacs.domain.ports import Classifier, Count, FileStore, Observe, PhotographReader, Reporter
    from ocunet_pacs.domain.result import ImageResult, MadeObject, Output
    from ocunet_pacs.domain.routes import Routes
    from ocunet_pacs.domain.study import ImageHeader, OpenStudy, StoredInstance
    from ocunet_pacs.pipeline.examine import Examined

_GONE: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.FILE_REMOVED: "analysed in an earlier revision; its file is no longer kept",
        ReasonCode.FILE_MISSING: "its file is missing from the store; send the image again",
    }
)
_ENDS: Mapping[Finish, tuple[str, str]] = MappingProxyType(
    {
        Finish.APPLIED: ("done", ""),
        Finish.SUPERSEDED: ("done", "superseded"),
        Finish.LOST: ("lost", "lease"),
    }
)
"""As the loop counts it where the step leaves finishing to the loop."""


@dataclass(frozen=True, slots=True)
class AssemblyRule:
    """How long a study may stay open, and how often its analysis is tried."""

    force_after: timedelta
    attempts: int


@dataclass(frozen=True, slots=True)
class AnalysisTools:
    """All that `analyse` works with."""

    ledger: Ledger
    files: FileStore
    new_result_key: Callable[[str], str]
    """A key that was never given before, for an object's file with this suffix."""
    reader: PhotographReader
    eligibility: Callable[[ImageHeader, str], Verdict]
    """What the rules of a source (its name) say of an image."""
    rules_digest: str
    """Stands for all of these rules: other rules are other results."""
    classifier: Classifier
    reporter: Reporter
    routes: Routes
    delivery_attempts: int
    batch_size: int
    clock: Callable[[], datetime]
    report_nothing_eligible: bool = True
    count: Count = count_nothing
    audit: Audit = audit_nothing
    patient_number: Callable[[Path], str] = no_patient_number
    """Patient ID of an image, where the audit trail has those."""
    observe: Observe = observe_nothing
    watch: Watch = watch_nothing
    """Where what was measured of today's photographs is kept, for the drift watch."""
    archives: frozenset[str] = frozenset()
    """Names of sources whose photographs are of the past."""


def assemble(
    ledger: Ledger,
    rule: AssemblyRule,
    now: datetime,
    count: Count = count_nothing,
    observe: Observe = observe_nothing,
) -> int:
    """Close every study that is complete, each into one analysis job; how many were closed."""
    closed = 0
    for study in ledger.studies_due(now, rule.force_after):
        job_id = ledger.close_study(study, now, rule.attempts)
        if job_id is not None:
            closed += 1
            cause = _cause(study, now)
            count("studies_closed", cause=cause)
            observe("assembly_seconds", max((now - study.last_received_at).total_seconds(), 0.0), cause=cause)
            structlog.get_logger().info(
                "study_closed",
                study=Study(study.study_instance_uid),
                job=job_id,
                cause=cause,
                opened=study.open_since.isoformat(),
            )
    return closed


def _cause(study: OpenStudy, now: datetime) -> str:
    if study.quiet_until is None or study.quiet_until > now:
        return "forced"
    return "released" if study.quiet_until <= study.last_received_at else "quiet"


def analyse(job: Job, tools: AnalysisTools, alive: Callable[[], None]) -> Outcome | None:
    """One revision of one study: every image examined, its results made and stored, deliveries queued.

    `alive` is called between images: it renews the lease, and raises when the job was lost or the process is to stop.
    None: the job was finished in the same transaction as its results (or belongs to somebody else by now). An object
    that would break a rule of the standard is Never: nothing of the revision is sent.
    """
    began = time.monotonic()
    row = tools.ledger.analysis(job.subject_id)
    bind_contextvars(study=Study(row.study_instance_uid))
    if row.newest_revision > row.revision:
        return Done(f"superseded by revision {row.newest_revision} before it ran", code="superseded")
    instances = tools.ledger.analysis_instances(row.id)
    sources = [source_of(instance, tools.files) for instance in instances]
    pictures: dict[str, Output] = {}
    shelf = Shelf(tools.files, tools.new_result_key)

    def keep_picture(picture: MadeObject) -> None:
        pictures[picture.sop_instance_uid] = shelf.store(picture)

    try:
        examined = examine(
            sources,
            reader=tools.reader,
            eligibility=tools.eligibility,
            classifier=tools.classifier,
            reporter=tools.reporter,
            keep_picture=keep_picture,
            batch_size=tools.batch_size,
            alive=alive,
        )
        came_from = frozenset(name for i in instances for name in (i.source, i.source_ae_title) if name)
        reporting = time.monotonic()
        finish = _finish(job, tools, row, sources, _Found(examined, pictures, shelf, came_from, began), alive)
        # What was asked for anew, and what comes from an archive, does not say how a camera is today.
        if finish is Finish.APPLIED and job.priority >= 0:
            today = [instance for instance in instances if instance.source not in tools.archives]
            tools.watch(observations(today, examined), tools.classifier.bundle.digest)
        spent = examined.spent
        tools.observe("analysis_seconds", spent.reading, part="reading")
        tools.observe("analysis_seconds", spent.inference, part="inference")
        tools.observe("analysis_seconds", spent.pictures + time.monotonic() - reporting, part="report")
    except InvalidReport as error:
        return Never(f"nothing was sent: {error}", code="invalid_report")
    finally:
        shelf.clear()
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    """What came out of the study's images: results, pictures by UID and where they are stored, who had sent them; and
    when work on it began."""

    examined: Examined
    pictures: Mapping[str, Output]
    shelf: Shelf
    came_from: frozenset[str]
    began: float
    """By `time.monotonic`."""


def _finish(
    job: Job,
    tools: AnalysisTools,
    row: AnalysisRow,
    sources: list[Source],
    found: _Found,
    alive: Callable[[], None],
) -> Finish:
    """Make the results, and keep them in one transaction; again where another revision finished meanwhile."""
    images = found.examined.images
    key = work_key(
        _identities(row, sources),
        tools.classifier.bundle.identity,
        f"{tools.reporter.settings_digest} {tools.rules_digest}",
    )
    readable = {source.sop_instance_uid: source.path for source in sources if source.gone is None}
    while True:
        alive()
        previous = tools.ledger.predecessor(row.id)
        earlier = Earlier() if previous is None else Earlier(previous[1], tools.ledger.analysis(previous[0]).urgency)
        result = StudyResult(
            study_instance_uid=row.study_instance_uid,
            revision=row.revision,
            key=key,
            bundle=tools.classifier.bundle,
            images=images,
            predecessor=predecessor(earlier.reports, Form()),
            stereo_pairs=found.examined.stereo_pairs,
            patient_conflict=row.patient_conflict,
        )
        note, urgency = sentence(images), tools.reporter.urgency(result)
        outputs = [Addressed(picture, ()) for picture in found.pictures.values()]
        silence = _why_silent(result, tools, previous[0] if previous else None)
        if silence:
            note += f"; no report: {silence}"
        else:
            plan = tools.routes.plan(StudyFacts(found.came_from, found.examined.stations, urgency))
            if tools.routes.targets and not plan:
                note += "; goes nowhere by the routes"
            making = Making(result, readable, found.pictures, earlier, tools.reporter, tools.files, found.shelf.store)
            outputs = making.all(plan, urgency)
        stored = found.shelf.hand_over()
        finish = tools.ledger.finish_analysis(
            job,
            key=key,
            result=json.dumps(asdict(result), allow_nan=False),
            outputs=outputs,
            expected_predecessor=previous[0] if previous else None,
            delivery_attempts=tools.delivery_attempts,
            now=tools.clock(),
            note=note,
            urgency=None if silence else urgency,
            bundle_digest=result.bundle.digest,
        )
        _take_back(stored, found.shelf, tools.ledger)
        if finish is not Finish.PREDECESSOR_CHANGED:
            break
    _count(finish, images, None if silence else urgency, tools.count)
    tools.audit(accessed(row, sources, tools.patient_number))
    structlog.get_logger().info(
        "study_analysed",
        job=job.id,
        seconds=round(time.monotonic() - found.began, 3),
        revision=row.revision,
        finish=str(finish),
        images=len(images),
        assessed=sum(image.assessed for image in images),
        not_assessed=dict(reasons_of(images)),
        urgency=str(urgency),
        objects=len(outputs),
        bundle=result.bundle.digest[:12],
        operating_point=result.bundle.operating_point,
        trained=result.bundle.trained,
    )
    return finish


def _take_back(keys: set[str], shelf: Shelf, ledger: Ledger) -> None:
    """Have removed what no row names: all of it, or what was there already, such as an image's earlier heatmap."""
    try:
        named = ledger.named_results(keys)
    except DatabaseError as error:
        # The job is finished, and stays so; the daily comparison of files and rows removes what is too many.
        structlog.get_logger().warning("file_left_behind", exc_info=error)
    else:
        shelf.take_back(keys - named)


def accessed(row: AnalysisRow, sources: list[Source], patient_number: Callable[[Path], str]) -> Accessed:
    """For the audit trail: what was read, by SOP class."""
    read = [source for source in sources if source.gone is None]
    number = patient_number(read[0].path) if read else ""
    instances = sorted(Counter(source.sop_class_uid for source in read).items())
    return Accessed(row.study_instance_uid, tuple(instances), Patient(row.patient_digest, number))


def _count(finish: Finish, images: Sequence[ImageResult], reported: Urgency | None, count: Count) -> None:
    outcome, reason = _ENDS[finish]
    count("jobs", kind=str(JobKind.ANALYSE), outcome=outcome, reason=reason)
    if finish is Finish.APPLIED:
        count_images(images, count)
        if reported is not None:
            count("reports", urgency=str(reported))


def _why_silent(result: StudyResult, tools: AnalysisTools, predecessor: int | None) -> str:
    """Why a study in which nothing could be assessed gets no report; "" where it gets one.

    What a report said is not said again: a revision with the same reasons as its predecessor sends nothing.
    """
    if any(image.assessed for image in result.images):
        return ""
    if all(image.is_context for image in result.images):
        return "nothing in the study is a photograph"
    if not tools.report_nothing_eligible:
        return "the site wants none where nothing is eligible"
    if predecessor is None or _says_more(result, json.loads(tools.ledger.analysis(predecessor).result or "{}")):
        return ""
    if any(reason.code is ReasonCode.FILE_REMOVED for image in result.images for reason in image.reasons):
        return "the last one holds for the photographs whose files are no longer kept"
    return "the last one gave the same reasons"


def _says_more(result: StudyResult, earlier: dict[str, Any]) -> bool:
    """Whether a result without scores says anything that the earlier one, as it was saved, did not."""
    if result.patient_conflict and not earlier.get("patient_conflict"):
        return True
    photographs = [image for image in result.images if not image.is_context]
    if all(reason.code is ReasonCode.FILE_REMOVED for image in photographs for reason in image.reasons):
        return False
    images = earlier.get("images", [])
    said = {reason["code"] for image in images for reason in image["reasons"]}
    says = {reason.code.value for image in result.images for reason in image.reasons}
    return said != says or any(image["scores"] for image in images)


def source_of(instance: StoredInstance, files: FileStore) -> Source:
    """The instance as something to examine; where its file is gone, with the reason."""
    gone = None if instance.gone is None else Reason(instance.gone, _GONE[instance.gone])
    path = files.path(instance.file_key)
    return Source(instance.sop_instance_uid, instance.sop_class_uid, instance.ordinal, path, instance.source, gone)


def _identities(row: AnalysisRow, sources: list[Source]) -> Iterator[str]:
    """What makes the work this work beside weights and settings: the images, and what the report says of the others."""
    for source in sources:
        yield source.sop_instance_uid if source.gone is None else f"{source.sop_instance_uid} {source.gone.code}"
    if row.patient_conflict:
        yield "patient conflict"
