"""`status`: one look at everything: would a study that is sent now be analysed, and what is waiting?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.drift import drift_status
from ocunet_pacs.app.ourselves import ask_plain, ask_secure
from ocunet_pacs.app.shadow_report import shadow_status
from ocunet_pacs.domain.errors import BundleError, ConfigError, DatabaseError, DeliveryError, StoreError
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.store.files import Files
from ocunet_pacs.store.usage import last_measured

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.ledger import DestinationState, PastStudy
    from ocunet_pacs.domain.upkeep import TaskRun
    from ocunet_pacs.settings import Settings

_RECENT = 5


def status(settings: Settings) -> dict[str, Any]:
    """The documented shape of `status --json`.

    `ready`: our AE answers C-ECHO, the database has this release's schema, there is room in the store, and the bundle
    may be used. `jobs` counts analyses, `deliveries` the objects on their way; every state is named, also at 0.
    `destinations` has those that were ever tried, and whether they answer; `recent` the newest studies, with the
    highest urgency that their reports suggest (null: no report). `patient_conflicts` counts studies of which objects
    came that name another patient, `missing_files` rows whose file is not there, `store.put_aside` files that nobody
    could read. `store.bytes` is what housekeeping measured within the hour, at `store.measured` (null: not yet).
    `housekeeping` has a row for each task: times in UTC, how long the last run took, how it went.
    `shadow` is how the candidate bundle stands: how many studies it looked at, failed at, and has still to look at
    (null: there is none). `drift` is what the last night found of the cameras, with those that need attention (null: it
    is off). `problems` says in a sentence each why `ready` is false; none of them is the candidate's.
    """
    problems: list[str] = []
    store, bundle = _store(settings, problems), _bundle(settings, problems)
    database, queue = _database(settings, problems)
    answer = {"ready": False, **queue, "store": store, "bundle": bundle, "database": database, "problems": problems}
    _listener(settings, problems)
    answer["ready"] = not problems
    return answer


def _database(settings: Settings, problems: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The database's own row, and what its queue holds (nothing where it cannot be used)."""
    dialect = settings.database.url.partition(":")[0].partition("+")[0]
    try:
        engine = open_database(settings)
        try:
            jobs = SqlJobs(engine)
            return {"type": dialect, "ok": True}, _queue(jobs) | {
                "shadow": shadow_status(settings, jobs),
                "drift": drift_status(settings, jobs),
            }
        finally:
            engine.dispose()
    except DatabaseError as error:
        problems.append(f"database: {error}")
        unknown = ("jobs", "deliveries", "destinations", "recent", "patient_conflicts", "missing_files", "housekeeping")
        return {"type": dialect, "ok": False}, dict.fromkeys(unknown) | {
            "shadow": shadow_status(settings, None),
            "drift": drift_status(settings, None),
        }


def _queue(queue: SqlJobs) -> dict[str, Any]:
    counts, upkeep = queue.counts(), queue.upkeep_counts()
    return {
        "jobs": {str(state): counts.get((JobKind.ANALYSE, state), 0) for state in JobState},
        "deliveries": {str(state): counts.get((JobKind.DELIVER, state), 0) for state in JobState},
        "destinations": [_destination(state) for state in queue.destination_states()],
        "recent": [_study(study) for study in queue.studies_like(newest_first=True, limit=_RECENT)],
        "dead": _dead(queue),
        "patient_conflicts": upkeep.patient_conflicts,
        "missing_files": {"received": upkeep.missing_instances, "results": upkeep.missing_results},
        "housekeeping": [_run(run) for run in queue.task_runs()],
    }


def _dead(queue: SqlJobs) -> list[dict[str, Any]]:
    """The newest that wait for a person. Nobody waits for a look of the shadow's: `shadow report` counts those."""
    of_results = (JobKind.ANALYSE, JobKind.DELIVER)
    found = [job for kind in of_results for job in queue.find(state=JobState.DEAD, kind=kind, limit=_RECENT)]
    newest = sorted(found, key=lambda job: -job.id)[:_RECENT]
    return [{"id": job.id, "kind": str(job.kind), "reason": job.reason} for job in newest]


def _destination(state: DestinationState) -> dict[str, Any]:
    return {
        "name": state.name,
        "answers": state.down_since is None,
        "down_since": _time(state.down_since),
        "next_try": None if state.down_since is None else _time(state.probe_at),
        "reason": state.reason if state.down_since else None,
        "last_answer": _time(state.answered_at),
    }


def _study(study: PastStudy) -> dict[str, Any]:
    return {
        "study": study.study_instance_uid,
        "revision": study.revision,
        "received": _time(study.last_received_at),
        "finished": _time(study.finished_at),
        "urgency": None if study.urgency is None else str(study.urgency),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _run(run: TaskRun) -> dict[str, Any]:
    return {
        "task": run.task,
        "last_start": _time(run.started_at),
        "last_success": _time(run.succeeded_at),
        "seconds": round(run.seconds, 3),
        "outcome": "success" if run.succeeded else "failure",
        "note": run.note,
    }


def _store(settings: Settings, problems: list[str]) -> dict[str, Any]:
    unknown = dict.fromkeys(("bytes", "measured", "free_bytes", "put_aside"))
    if not settings.store.path.is_dir():
        problems.append(f"store: {settings.store.path} does not exist; the daemon makes it when it starts")
        return unknown
    try:
        files = Files(settings.store.path)
        usage, free, put_aside = last_measured(files), files.free_bytes(), files.put_aside_count()
    except StoreError as error:
        problems.append(f"store: {error}")
        return unknown
    if free < settings.store.min_free:
        problems.append("store: less than store.min_free is left; C-STORE answers 0xA700 until there is room")
    used, measured = (None, None) if usage is None else (usage.total, _time(usage.at))
    return {"bytes": used, "measured": measured, "free_bytes": free, "put_aside": put_aside}


def _bundle(settings: Settings, problems: list[str]) -> dict[str, Any] | None:
    manifest = None
    try:
        manifest = read_manifest(settings.model.bundle)
        manifest.require_trained(allow_untrained=settings.model.allow_untrained)
    except BundleError as error:
        problems.append(f"bundle: {error}")
    if manifest is None:
        return None
    return {"name": manifest.name, "digest": manifest.digest, "trained": manifest.trained}


def _listener(settings: Settings, problems: list[str]) -> None:
    """Ask our own port; with TLS, the secure one."""
    try:
        (ask_secure if settings.tls.enabled else ask_plain)(settings)
    except (DeliveryError, ConfigError) as error:
        problems.append(f"listener: {error}")
