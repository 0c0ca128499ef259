"""`stow`: the role that receives over the web, beside `listen` and like it. Loads neither torch nor OpenCV."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, telling_changes
from ocunet_pacs.app.binding import start_patiently
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import ABANDONED_AFTER, Housekeeping
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.process import Watchdog, stop_on_signals, utc_now
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.sources import listed_rule, source_rule
from ocunet_pacs.app.web import assert_running, server_of
from ocunet_pacs.domain.audit import Alert, Party, SecurityAlert, audit_nothing
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.intake.access import Pace
from ocunet_pacs.intake.arriving import Sender
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.reception import Reception
from ocunet_pacs.intake.stow import StowConfig, stow_app
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
    from ocunet_pacs.intake.web import WebServer
    from ocunet_pacs.settings import Settings

_DOING = "receiving over the web"


def stow(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError where it is not enabled, or the port cannot be had."""
    settings = reloading.settings
    if not settings.stow.enabled:
        raise ConfigError(["stow.enabled: is false, so there is nothing to run"])
    stop = stop_on_signals()
    engine = open_database(settings)
    jobs, files = SqlJobs(engine), Files(settings.store.path)
    files.clean_incoming(ABANDONED_AFTER)
    metrics = Metrics()
    audit = open_audit(settings, "stow", metrics.count)
    server = web_server(reloading.in_force, files, jobs, metrics.count, audit, clock=jobs.clock)
    if not start_patiently(server.start, stop):
        audit.close()
        return 0
    stop_metrics = be_observed(reloading.in_force, metrics, jobs, "stow")
    housekeeping = Housekeeping(clock=jobs.clock)
    housekeeping.reap(jobs)
    housekeeping.close_studies(jobs, reloading.in_force)
    housekeeping.start()
    reloading.ready(_DOING)
    watchdog = Watchdog("stow", metrics)

    def beat() -> None:
        assert_running(server)
        watchdog.beat()

    # Senders are looked up in the settings at each request: there is nothing else to do.
    reloading.until(stop, lambda _change: TakenUp(_DOING), changed=telling_changes(audit), beat=beat)
    server.stop()
    housekeeping.stop()
    audit.close()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def web_server(
    in_force: Callable[[], Settings],
    files: Files,
    ledger: Ledger,
    count: Count,
    audit: Audit = audit_nothing,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> WebServer:
    """The server that the settings describe, not yet started; who may send are always those in force.

    ConfigError where its certificates cannot be used.
    """
    settings = in_force()
    ours = settings.stow
    reception = Reception(
        files,
        ledger,
        read_header=read_identity,
        now=clock,
        new_token=lambda: uuid.uuid4().hex,
        min_free_bytes=settings.store.min_free,
        pace=Pace(time.monotonic),
        count=count,
        audit=audit,
    )
    config = StowConfig(
        token=ours.token or "",
        base=ours.base,
        max_request=ours.max_request,
        max_requests=ours.max_requests,
        silence=ours.idle_timeout,
    )
    app = stow_app(
        reception, config, sender_at=senders(in_force), count=count, released=ledger.hasten_studies, audit=audit
    )

    def on_bad_handshake(peer: str) -> None:
        count("security_events", kind="stow_handshake_failed")
        audit(SecurityAlert(Alert.NODE_AUTHENTICATION, "TLS handshake of STOW-RS failed", Party(address=peer)))
        structlog.get_logger().warning("stow_handshake_failed", peer=peer)

    return server_of(ours, app, name="stow", on_bad_handshake=on_bad_handshake, client_authority=ours.client_authority)


def senders(in_force: Callable[[], Settings]) -> Callable[[str], Sender]:
    """Who sends from an address: the first source without AE title that it fits, else just "stow"."""

    def sender_at(address: str) -> Sender:
        settings = in_force()
        known = (listed_rule(source, settings) for source in settings.sources if source.ae_title is None)
        other = source_rule(settings, "stow")
        return Sender("stow", next((rule for rule in known if rule.fits("", address)), other), "STOW", address)

    return sender_at
