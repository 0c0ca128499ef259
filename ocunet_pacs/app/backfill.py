"""`backfill`: past studies of an archive come here, as if they had been sent; the daemon's roles do the rest."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tzlocal

from ocunet_pacs.app.answering import answer
from ocunet_pacs.app.audit import open_audit
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.audit import audit_nothing
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.intake.archive import ArchivePeer, DicomArchive
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.reception import Reception
from ocunet_pacs.jobs.reaper import is_gone, owner_name
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.jobs.sql_backfill import SqlBackfill
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.pipeline.backfill import BackfillRule, BackfillTools, Run
from ocunet_pacs.pipeline.pace import OpenHours
from ocunet_pacs.pipeline.survey import survey
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from ocunet_pacs.app.process import StopFlag
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.dates import DateRange
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.pipeline.backfill import Result, Watcher
    from ocunet_pacs.pipeline.survey import Survey
    from ocunet_pacs.settings import Settings


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What a person asks for. `dates` None: what earlier runs found and did not fetch."""

    archive: str
    dates: DateRange | None
    modalities: tuple[str, ...] = ("OP",)
    limit: int | None = None
    newest_first: bool = True
    retry_failed: bool = False
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class _Parts:
    archive: DicomArchive
    ledger: SqlBackfill
    jobs: SqlJobs
    reception: Reception


def today() -> date:
    """The day on the local calendar."""
    return utc_now().astimezone(tzlocal.get_localzone()).date()


def archive_peer(settings: Settings, name: str) -> ArchivePeer:
    """The archive of that name, in the words of the intake. ConfigError that lists the names that there are."""
    for archive in settings.archives:
        if archive.name == name:
            return ArchivePeer(
                name=name,
                ae_title=archive.ae_title,
                host=archive.host,
                port=archive.port,
                timeout=archive.timeout,
                by_move=archive.retrieve == "move",
                match_modalities=archive.match_modalities,
                quiet_period=settings.assembly.quiet_period,
            )
    known = ", ".join(archive.name for archive in settings.archives) or "none"
    raise ConfigError([f"archives: there is none named {name!r} (known: {known})"])


def backfill(settings: Settings, request: BackfillRequest, watcher: Watcher, stop: StopFlag) -> Result:
    """Fetch until everything asked for is here, or something ends the run. ConfigError, DatabaseError, StoreError."""
    metrics = Metrics()
    audit = open_audit(settings, "backfill", metrics.count)
    stop_serving = answer(metrics.registry(), settings.metrics.host, request.metrics_port, {})
    try:
        with _parts(settings, request.archive, metrics.count, audit) as parts:
            if request.retry_failed:
                parts.ledger.retry_failed(request.archive, parts.jobs.clock())
            tools = BackfillTools(
                archive=parts.archive,
                ledger=parts.ledger,
                hours=OpenHours(settings.backfill.hours, tzlocal.get_localzone()),
                require_room=parts.reception.require_room,
                complete=parts.jobs.hasten_studies,
                owner=owner_name("backfill"),
                is_gone=is_gone,
                clock=parts.jobs.clock,
                wait=stop.wait,
                sleep=time.sleep,
                watcher=watcher,
                count=metrics.count,
            )
            rule = BackfillRule(
                modalities=request.modalities,
                studies_per_minute=settings.backfill.studies_per_minute,
                max_waiting=settings.backfill.max_waiting,
                attempts=settings.backfill.attempts,
                limit=request.limit,
                newest_first=request.newest_first,
            )
            run = Run(tools, rule)
            return run.found_before() if request.dates is None else run.dates(request.dates)
    finally:
        audit.close()
        stop_serving()


def preview(settings: Settings, request: BackfillRequest, stop: StopFlag) -> Survey:
    """What `backfill` would fetch. ConfigError, DatabaseError, ArchiveError."""
    assert request.dates is not None
    audit = open_audit(settings, "backfill", count_nothing)
    try:
        with _parts(settings, request.archive, audit=audit) as parts:
            return survey(
                parts.archive,
                parts.ledger,
                request.dates,
                request.modalities,
                newest_first=request.newest_first,
                stopping=stop.is_set,
            )
    finally:
        audit.close()


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[SqlBackfill]:
    """Where the fetching stands, for looking at. SchemaMismatch, DatabaseError."""
    engine = open_database(settings)
    try:
        yield SqlBackfill(engine)
    finally:
        engine.dispose()


@contextmanager
def _parts(
    settings: Settings, name: str, count: Count = count_nothing, audit: Audit = audit_nothing
) -> Iterator[_Parts]:
    peer = archive_peer(settings, name)
    engine = open_database(settings)
    try:
        jobs, files = SqlJobs(engine), Files(settings.store.path)
        reception = Reception(
            files,
            jobs,
            read_header=read_identity,
            now=jobs.clock,
            new_token=lambda: uuid.uuid4().hex,
            min_free_bytes=settings.store.min_free,
            count=count,
            audit=audit,
        )
        archive = DicomArchive(peer, settings.dicom.ae_title, reception, audit)
        yield _Parts(archive, SqlBackfill(engine), jobs, reception)
    finally:
        engine.dispose()
