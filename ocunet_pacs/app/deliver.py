"""`deliver`: the sending role. A few threads, so that one destination that hangs does not hold up the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import systemd
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import start_loops
from ocunet_pacs.app.process import announce_ready, stop_on_signals, utc_now
from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.pipeline.steps import DeliveryTools
from ocunet_pacs.pipeline.steps import deliver as deliver_step
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings


def destinations(settings: Settings) -> tuple[Destination, ...]:
    """The settings' destinations in the words of the delivery stage."""
    return tuple(
        Destination(name=d.name, ae_title=d.ae_title, host=d.host, port=d.port, timeout=d.timeout)
        for d in settings.destinations
    )


def deliver(settings: Settings) -> int:
    """Run until asked to stop; the exit status."""
    stop = stop_on_signals()
    engine = open_database(settings)
    jobs = SqlJobs(engine)
    tools = DeliveryTools(
        ledger=jobs,
        files=Files(settings.store.path),
        sender=CStoreSender(destinations(settings), calling_ae_title=settings.dicom.ae_title),
        unavailable_delay=settings.jobs.unavailable_delay,
        clock=utc_now,
    )
    metrics = Metrics()
    stop_metrics = metrics.serve(settings.metrics.host, settings.metrics.port)
    housekeeping = Housekeeping(jobs, metrics)
    housekeeping.reap(jobs)
    housekeeping.start()
    threads = start_loops(
        settings,
        jobs,
        JobKind.DELIVER,
        lambda job, alive: deliver_step(job, tools, alive),
        role="deliver",
        count=max(2, len(settings.destinations) + 1),
        stop=stop,
    )
    announce_ready("deliver")
    structlog.get_logger().info("delivering", destinations=[d.name for d in settings.destinations])
    for thread in threads:
        thread.join()
    systemd.notify("STOPPING=1")
    housekeeping.stop()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0
