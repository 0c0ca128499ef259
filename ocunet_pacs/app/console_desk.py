"""What the console's pages are made from, for the settings of a site."""

from __future__ import annotations

import os
import platform
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import make_url

from ocunet_pacs import __version__
from ocunet_pacs.app.audit import patient_numbers
from ocunet_pacs.app.drift import drift_report, drift_status
from ocunet_pacs.app.health import liveness, readiness
from ocunet_pacs.app.process import NEEDED_ROLES, utc_now
from ocunet_pacs.app.shadow_report import shadow_status
from ocunet_pacs.app.wake import Waker
from ocunet_pacs.console.desk import Bundle, Desk, Part, Person, Target, Threshold
from ocunet_pacs.domain.errors import BundleError, DatabaseError
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.jobs.sql_console import SqlConsole
from ocunet_pacs.model.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from ocunet_pacs.app.health import Liveness, Readiness
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.imaging.showing import Showing
    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.model.manifest import Manifest
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.store.files import Files

_TURNS = "loop_turn_timestamp_seconds"
_WORKS = {JobKind.ANALYSE: "work", JobKind.DELIVER: "deliver", JobKind.SHADOW: "shadow"}


def desk(
    in_force: Callable[[], Settings],
    *,
    reading: Engine,
    jobs: SqlJobs,
    files: Files,
    showing: Showing,
    metrics: Metrics,
    audit: Audit,
) -> Desk:
    """`reading` is an engine that cannot write; `jobs` takes up dead jobs again, and looks whether it can.

    `in_force` gives the settings that count when a page is made. What the console itself is set to needs a restart.
    """
    settings = in_force()
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    wakers = {kind: Waker(settings.store.path, role) for kind, role in _WORKS.items()}
    return Desk(
        reader=SqlConsole(reading),
        backlog=jobs,
        queue=jobs,
        destination_states=jobs.destination_states,
        upkeep_counts=jobs.upkeep_counts,
        task_runs=jobs.task_runs,
        look=parts(in_force, metrics, jobs, files),
        bundle=lambda: bundle(in_force()),
        drift_alerts=lambda: drift_alerts(in_force(), jobs),
        nights=lambda limit: drift_report(jobs, limit=limit) if in_force().drift.enabled else None,
        shadow=lambda: shadow_status(in_force(), jobs),
        targets=lambda: tuple(targets(in_force())),
        path=files.path,
        photograph=showing.picture,
        person=(lambda path: Person(**showing.words(path))) if settings.console.show_patient else None,
        wake=lambda kind: wakers[kind](),
        audit=audit,
        patient_number=patient_numbers(settings),
        now=lambda: _now(jobs),
        host=socket.gethostname(),
        version=__version__,
        facts=lambda: tuple(_facts(in_force(), jobs, since)),
    )


def parts(in_force: Callable[[], Settings], metrics: Metrics, jobs: SqlJobs, files: Files) -> Callable[[], list[Part]]:
    """What finds out how the parts are: of the roles those that `serve` named, elsewhere all that ever said so here."""
    known: dict[tuple[str, ...], tuple[Readiness, Liveness]] = {}

    def look() -> list[Part]:
        roles = tuple(role for role in os.environ.get(NEEDED_ROLES, "").split(",") if role)
        roles = roles or tuple(sorted(role for (role,) in metrics.gauge(_TURNS) if role != "console"))
        if roles not in known:
            known.clear()
            settings = in_force()
            known[roles] = readiness(settings, metrics, jobs, files, roles), liveness(settings, metrics, roles)
        ready, live = known[roles]
        found = [Part(name.capitalize(), check.ok, check.state) for name, check in ready.checks().items()]
        for role, loop in live()[1]["loops"].items():
            state = "its loops turn" if loop["ok"] else f"it stands still for {loop['still_for_seconds']:.0f} s"
            found.append(Part(f"Role {role}", loop["ok"], state))
        return found

    return look


def bundle(settings: Settings) -> Bundle:
    """The bundle as its manifest has it now; reads no weights."""
    folder, point = settings.model.bundle, settings.model.operating_point
    try:
        manifest = read_manifest(folder)
        thresholds = manifest.thresholds_at(point)
    except BundleError as error:
        return Bundle(str(folder), problem=str(error))
    temperatures = dict(zip(manifest.labels, manifest.temperatures, strict=True))
    return Bundle(
        str(folder),
        name=manifest.name,
        digest=manifest.digest,
        created_at=manifest.created_at,
        architecture=manifest.architecture,
        trained=manifest.trained,
        calibrated=manifest.calibrated,
        operating_point=point,
        operating_points=("default", *manifest.operating_points),
        thresholds=tuple(
            Threshold(label.name, label.display, label.caveat, thresholds.get(label.name), temperatures.get(label.name))
            for label in LABELS
        ),
        provenance=tuple(_provenance(manifest)),
    )


def drift_alerts(settings: Settings, jobs: SqlJobs) -> list[tuple[str, str]]:
    """The cameras of the last night that have changed, each with what of it."""
    found = drift_status(settings, jobs)
    return [] if found is None else [(alert["name"], alert["words"]) for alert in found["alerts"]]


def _now(jobs: SqlJobs) -> datetime:
    """The queue's time, or this machine's where the database is away: the page that says so has a time, too."""
    try:
        return jobs.clock()
    except DatabaseError:
        return utc_now()


def _provenance(manifest: Manifest) -> Iterator[tuple[str, str]]:
    came = manifest.provenance
    if came.source_sha256:
        yield "Weights taken from", came.source_sha256
    if came.epoch is not None:
        yield "Epoch", str(came.epoch)
    if came.temperature_from:
        yield "Temperature chosen by", came.temperature_from
    if came.thresholds_from:
        yield "Thresholds chosen by", came.thresholds_from
    for name, value in came.metrics.items():
        yield name, f"{value:g}"
    yield from came.notes.items()


def targets(settings: Settings) -> Iterator[Target]:
    """Everything that results may go to, in the order of the settings. Of an address no more than host and port."""
    for one in settings.destinations:
        dicom = one.url is None
        address = f"{one.host}:{one.port}, AE title {one.ae_title}" if dicom else _host(one.url)
        yield Target(one.name, "PACS, DICOM" if dicom else "PACS, web", address, ", ".join(one.results))
    for notified in settings.notifications:
        address = ", ".join(notified.mail_to) if notified.url is None else _host(notified.url)
        gets = f"notices, from {notified.minimum_urgency}"
        yield Target(notified.name, "e-mail" if notified.url is None else "webhook", address, gets)
    for record in settings.records:
        address = str(record.folder) if record.url is None else _host(record.url)
        yield Target(record.name, "record system", address, "FHIR documents")


def _host(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


def _facts(settings: Settings, jobs: SqlJobs, since: str) -> Iterator[tuple[str, str]]:
    database = make_url(settings.database.url)
    sqlite = database.get_backend_name() == "sqlite"
    yield "Version", __version__
    yield "Host", socket.gethostname()
    yield "System", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield "AE title", f"{settings.dicom.ae_title}, port {settings.dicom.port}"
    yield "Database", f"SQLite, {database.database}" if sqlite else f"PostgreSQL at {database.host or 'this machine'}"
    yield "Schema", jobs.schema_version or "none"
    yield "Store", str(settings.store.path)
    yield "Files are kept", f"{settings.retention.keep.days} days"
    yield "Console since", since
