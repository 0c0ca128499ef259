"""`listen`: the receiving role. Bytes to files and rows; complete studies to jobs. Loads neither torch nor OpenCV."""

from __future__ import annotations

import uuid
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, telling_changes
from ocunet_pacs.app.binding import start_patiently
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.process import FIRST_LISTENER, Watchdog, role_name, stop_on_signals
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.sources import listed_rule, source_rule
from ocunet_pacs.app.wake import Waker
from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.scp import Listener, ListenerConfig
from ocunet_pacs.intake.tls import TlsConfig
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.changing import Change

_DOING = "receiving by C-STORE"


def listen(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError when a port or the TLS files cannot be used."""
    stop, settings = stop_on_signals(), reloading.settings
    engine = open_database(settings)
    jobs, files = SqlJobs(engine), Files(settings.store.path)
    metrics = Metrics()
    audit = open_audit(settings, "listen", metrics.count)
    listener = Listener(
        listener_config(settings),
        files,
        jobs,
        read_header=read_identity,
        now=jobs.clock,
        new_token=lambda: uuid.uuid4().hex,
        count=metrics.count,
        audit=audit,
        released=lambda study_instance_uids: _hasten(jobs, study_instance_uids),
    )
    if not start_patiently(listener.start, stop):
        audit.close()
        return 0
    stop_metrics = be_observed(reloading.in_force, metrics, jobs, "listen")
    housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
    if role_name("listen") in {"listen", FIRST_LISTENER}:
        housekeeping.reap(jobs)
        housekeeping.close_studies(jobs, reloading.in_force, Waker(settings.store.path, "work"))
        housekeeping.mend_times(jobs, reloading.in_force)
        housekeeping.clean_incoming(files)
        housekeeping.remove_files(files, jobs, reloading.in_force)
        housekeeping.measure_store(files)
        housekeeping.check_store(files, jobs, read_identity)
        housekeeping.remove_looks(jobs, reloading.in_force)
        housekeeping.watch_drift(jobs, reloading.in_force)
    housekeeping.start()
    reloading.ready(_DOING)

    def take_up(change: Change) -> TakenUp:
        listener.change(listener_config(change.settings))
        return TakenUp(_DOING)

    reloading.until(stop, take_up, changed=telling_changes(audit), beat=Watchdog("listen", metrics).beat)
    listener.stop()
    housekeeping.stop()
    audit.close()
    stop_metrics()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def _hasten(ledger: Ledger, study_instance_uids: frozenset[str]) -> None:
    """What a source sent was the whole of it: close its studies at the next look."""
    hastened = ledger.hasten_studies(study_instance_uids)
    structlog.get_logger().info("studies_hastened", studies=hastened)


def listener_config(settings: Settings) -> ListenerConfig:
    """The settings in the words of the intake stage."""
    dicom, tls = settings.dicom, settings.tls
    files = None
    if tls.enabled:
        assert tls.certificate is not None
        assert tls.key is not None
        files = TlsConfig(tls.certificate, tls.key, tls.client_certificate, tls.client_authority)
    return ListenerConfig(
        ae_title=dicom.ae_title,
        host=dicom.host,
        port=dicom.port if tls.plain or not tls.enabled else None,
        min_free_bytes=settings.store.min_free,
        check_called_ae_title=dicom.check_called_ae_title,
        max_associations=dicom.max_associations,
        idle_timeout=dicom.idle_timeout,
        sources=(*(listed_rule(source, settings) for source in settings.sources), *_ourselves(settings)),
        others=None if dicom.only_listed_sources else source_rule(settings),
        tls=files,
        tls_port=tls.port,
        share_port=dicom.processes > 1,
        committers={d.ae_title: d.name for d in settings.destinations if d.commitment and d.ae_title is not None},
    )


def _ourselves(settings: Settings) -> Iterator[SourceRule]:
    """`status` asks whether we answer, by our own name and from this machine, where only listed senders may."""
    if settings.dicom.only_listed_sources:
        networks = ["127.0.0.0/8", "::1/128"]
        with suppress(ValueError):  # a host name
            networks.append(str(ip_address(settings.dicom.host)))
        for network in networks:
            yield SourceRule(ae_title=settings.dicom.ae_title, network=ip_network(network), echo_only=True)
