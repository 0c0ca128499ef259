"""`listen`: the receiving role. Bytes to files and rows; complete studies to jobs. Loads neither torch nor OpenCV."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import systemd
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.process import Watchdog, announce_ready, stop_on_signals, utc_now
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.intake.scp import Listener, ListenerConfig
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.app.process import StopFlag
    from ocunet_pacs.settings import Settings

_PORT_PATIENCE = 20
"""Tries, half a second apart, for a port that the process before us has not let go of yet."""


def listen(settings: Settings) -> int:
    """Run until asked to stop; the exit status. ConfigError when the port cannot be had."""
    stop = stop_on_signals()
    engine = open_database(settings)
    jobs, files = SqlJobs(engine), Files(settings.store.path)
    # Other processes write there too: what is an hour old was begun by one that is gone.
    files.clean_incoming(utc_now() - timedelta(hours=1))
    listener = Listener(
        ListenerConfig(
            ae_title=settings.dicom.ae_title,
            host=settings.dicom.host,
            port=settings.dicom.port,
            min_free_bytes=settings.store.min_free,
            check_called_ae_title=settings.dicom.check_called_ae_title,
            max_associations=settings.dicom.max_associations,
            idle_timeout=settings.dicom.idle_timeout,
        ),
        files,
        jobs,
        read_header=read_header,
        now=utc_now,
        new_token=lambda: uuid.uuid4().hex,
    )
    if not _start(listener, stop):
        return 0
    housekeeping = Housekeeping()
    housekeeping.reap(jobs)
    housekeeping.close_studies(jobs, settings)
    housekeeping.start()
    announce_ready("listen")
    watchdog = Watchdog()
    while not stop.wait(1.0):
        watchdog.beat()
    systemd.notify("STOPPING=1")
    listener.stop()
    housekeeping.stop()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def _start(listener: Listener, stop: StopFlag) -> bool:
    """Bind the port, with patience: after a crash the kernel may hold it a moment longer. False when asked to stop."""
    for attempt in range(1, _PORT_PATIENCE + 1):
        try:
            listener.start()
        except ConfigError:
            if attempt == _PORT_PATIENCE:
                raise
            if stop.wait(0.5):
                return False
        else:
            return True
    return False
