"""`watch`: the role for cameras that only export files. Folders are looked through, pictures become DICOM objects.

By looking, every second or two, and not by waiting for events: a share on the network (SMB, NFS) tells nothing of what
another machine wrote there, and a look at a folder whose files have been moved away costs next to nothing.
"""

from __future__ import annotations

import signal
import time
import uuid
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, telling_changes
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import ABANDONED_AFTER, Housekeeping
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.process import Watchdog, stop_on_signals, utc_now
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.sources import source_rule
from ocunet_pacs.app.watch_folder import WatchedFolder
from ocunet_pacs.app.watch_take import Taker
from ocunet_pacs.domain.audit import audit_nothing
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.imaging.wrapping import Wrapping
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.reception import Reception
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.changing import Change

_SHORTEST_ROUND_S = 0.25
_LONGEST_ROUND_S = 2.0


def watch(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError where no folder is to be watched."""
    settings = reloading.settings
    if not settings.watch:
        raise ConfigError(["watch: names no folder, so there is nothing to run"])
    stop = stop_on_signals()
    # Who opens a file for writing while we ask whether anybody has it open makes the kernel send this.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    engine = open_database(settings)
    jobs, files = SqlJobs(engine), Files(settings.store.path)
    files.clean_incoming(ABANDONED_AFTER)
    metrics = Metrics()
    wrapping = _wrapping(settings)
    audit = open_audit(settings, "watch", metrics.count)
    folders = watched_folders(settings, files, jobs, wrapping, metrics.count, audit, clock=jobs.clock)
    stop_metrics = be_observed(reloading.in_force, metrics, jobs, "watch")
    housekeeping = Housekeeping(clock=jobs.clock)
    housekeeping.reap(jobs)
    housekeeping.close_studies(jobs, reloading.in_force)
    housekeeping.start()
    reloading.ready(_doing(settings))
    structlog.get_logger().info("watching", folders=[folder.name for folder in settings.watch])
    watchdog = Watchdog("watch", metrics)

    def go_on() -> bool:
        watchdog.beat()
        return not stop.is_set()

    def take_up(change: Change) -> TakenUp:
        nonlocal folders, wrapping
        if change.taken:
            # What was seen of files that are not complete yet is looked at anew; that costs them `settle` once more.
            wrapping.close()
            wrapping = _wrapping(change.settings)
            folders = watched_folders(change.settings, files, jobs, wrapping, metrics.count, audit, clock=jobs.clock)
        return TakenUp(_doing(change.settings))

    while not reloading.wait(stop, _interval(reloading.settings)):
        watchdog.beat()
        reloading.look(stop, take_up, changed=telling_changes(audit))
        for folder in folders:
            folder.round(go_on)
    wrapping.close()
    housekeeping.stop()
    audit.close()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def _wrapping(settings: Settings) -> Wrapping:
    return Wrapping(timeout=settings.model.decode_timeout, memory_bytes=settings.model.decode_memory)


def _doing(settings: Settings) -> str:
    number = len(settings.watch)
    return f"watching {number} folder{'s' * (number != 1)}"


def _interval(settings: Settings) -> float:
    """Seconds between two rounds."""
    shortest = min(folder.settle.total_seconds() for folder in settings.watch)
    return min(max(shortest / 3, _SHORTEST_ROUND_S), _LONGEST_ROUND_S)


def watched_folders(
    settings: Settings,
    files: Files,
    ledger: Ledger,
    wrapping: Wrapping,
    count: Count,
    audit: Audit = audit_nothing,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> list[WatchedFolder]:
    """What looks after each folder of the settings."""
    notes = settings.store.path / "watch"
    notes.mkdir(mode=0o700, exist_ok=True)
    reception = Reception(
        files,
        ledger,
        read_header=read_identity,
        now=clock,
        new_token=lambda: uuid.uuid4().hex,
        min_free_bytes=settings.store.min_free,
        count=count,
        audit=audit,
    )
    log = structlog.get_logger()
    return [
        WatchedFolder(
            folder,
            Taker(folder, reception, wrapping, source_rule(settings, folder.name), scratch=files.incoming),
            count,
            notes=notes,
            monotonic=time.monotonic,
            log=log,
        )
        for folder in settings.watch
    ]
