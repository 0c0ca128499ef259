"""`deliver`: the sending role. A few threads, so that one destination that hangs does not hold up the others."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, parties, patient_numbers, telling_changes
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.lending import Lending
from ocunet_pacs.app.loops import start_loops
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.outgoing import commitment_rules, senders
from ocunet_pacs.app.process import stop_on_signals
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.wake import Waiting
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.pipeline.delivering import DeliveryTools
from ocunet_pacs.pipeline.delivering import deliver as deliver_step
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Thread

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.job import Job, Outcome
    from ocunet_pacs.domain.ports import Sender
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.changing import Change


def deliver(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError for a certificate that cannot be used."""
    stop, settings = stop_on_signals(), reloading.settings
    sending = senders(settings)
    engine = open_database(settings)
    jobs = SqlJobs(engine)
    metrics = Metrics()
    audit = open_audit(settings, "deliver", metrics.count)
    # A job keeps the tools that it began with; an association that waits for its next object ends with them.
    lending = Lending(_tools(settings, sending, jobs, metrics, audit), _close)

    def step(job: Job, alive: Callable[[], None]) -> Outcome:
        with lending.lent() as tools:
            return deliver_step(job, tools, alive)

    stop_metrics = be_observed(reloading.in_force, metrics, jobs, "deliver")
    housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
    housekeeping.reap(jobs)
    housekeeping.start()
    waiting = Waiting(stop, settings.store.path, "deliver")
    threads: list[Thread] = []

    def start_more(count: int) -> None:
        threads.extend(
            start_loops(
                settings,
                jobs,
                JobKind.DELIVER,
                step,
                role="deliver",
                count=count - len(threads),
                first=len(threads),
                stop=waiting,
                clock=jobs.clock,
                metrics=metrics,
            )
        )

    def take_up(change: Change) -> TakenUp:
        settings = change.settings
        sending = senders(settings)
        lending.replace(_tools(settings, sending, jobs, metrics, audit))
        start_more(_threads(sending))
        return TakenUp(_doing(sending))

    start_more(_threads(sending))
    reloading.ready(_doing(sending))
    structlog.get_logger().info("delivering", destinations=sorted(sending))
    reloading.until(stop, take_up, changed=telling_changes(audit))
    for thread in threads:
        thread.join()
    waiting.close()
    lending.retire()
    housekeeping.stop()
    audit.close()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def _tools(
    settings: Settings, sending: Mapping[str, Sender], jobs: SqlJobs, metrics: Metrics, audit: Audit
) -> DeliveryTools:
    return DeliveryTools(
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


def _close(tools: DeliveryTools) -> None:
    for sender in tools.senders.values():
        sender.close()


def _threads(sending: Mapping[str, Sender]) -> int:
    """One more than destinations: one that hangs in each leaves one for those that answer."""
    return max(2, len(sending) + 1)


def _doing(sending: Mapping[str, Sender]) -> str:
    return f"delivering to {len(sending)} destination{'s' * (len(sending) != 1)}"
