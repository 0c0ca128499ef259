"""`deliver`: the sending role. A few threads, so that one destination that hangs does not hold up the others."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, parties, patient_numbers
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import start_loops
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.outgoing import commitment_rules, senders
from ocunet_pacs.app.process import announce_ready, stop_on_signals
from ocunet_pacs.app.wake import Waiting
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.pipeline.delivering import DeliveryTools
from ocunet_pacs.pipeline.delivering import deliver as deliver_step
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings


def deliver(settings: Settings) -> int:
    """Run until asked to stop; the exit status. ConfigError for a certificate that cannot be used."""
    stop = stop_on_signals()
    sending = senders(settings)
    engine = open_database(settings)
    jobs = SqlJobs(engine)
    metrics = Metrics()
    audit = open_audit(settings, "deliver", metrics.count)
    tools = DeliveryTools(
        ledger=jobs,
        files=Files(settings.store.path),
        senders=sending,
        commitment=commitment_rules(settings),
        pause=max((one.timeout for one in settings.outgoing), default=settings.jobs.unavailable_delay),
        longest_pause=settings.jobs.unavailable_delay,
        clock=jobs.clock,
        new_uid=lambda: derive_uid("transaction", uuid.uuid4().hex),
        count=metrics.count,
        audit=audit,
        parties=parties(settings),
        patient_number=patient_numbers(settings),
        observe=metrics.observe,
    )
    stop_metrics = be_observed(settings, metrics, jobs, "deliver")
    housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
    housekeeping.reap(jobs)
    housekeeping.start()
    waiting = Waiting(stop, settings.store.path, "deliver")
    threads = start_loops(
        settings,
        jobs,
        JobKind.DELIVER,
        lambda job, alive: deliver_step(job, tools, alive),
        role="deliver",
        count=max(2, len(sending) + 1),
        stop=waiting,
        clock=jobs.clock,
        metrics=metrics,
    )
    announce_ready("deliver", f"delivering to {len(sending)} destination{'s' * (len(sending) != 1)}")
    structlog.get_logger().info("delivering", destinations=sorted(sending))
    for thread in threads:
        thread.join()
    waiting.close()
    for sender in sending.values():
        sender.close()
    housekeeping.stop()
    audit.close()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0
