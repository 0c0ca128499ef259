"""The listener on pynetdicom, with and without TLS: C-ECHO and C-STORE SCP (PS3.4 annexes A and B).

And who hears what archives say of storage commitment (PS3.4 annex J).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from ocunet_pacs.domain.audit import audit_nothing
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.imaging.commitment import SOP_CLASS as COMMITMENT
from ocunet_pacs.intake.access import UNLISTED, AccessRules, Pace, Places, SourceRule
from ocunet_pacs.intake.admission import NO_DATA_SET, Refusal, Status
from ocunet_pacs.intake.commitment import CommitmentReports, EventStatus, refuse_to_commit, supported_context
from ocunet_pacs.intake.contexts import supported_contexts
from ocunet_pacs.intake.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ocunet_pacs.intake.reception import Reception, StoreRequest
from ocunet_pacs.intake.server import Acceptor, Entrance, Server
from ocunet_pacs.intake.tls import server_context
from ocunet_pacs.intake.wire import MAX_PDU, Spool, quiet_pynetdicom

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.intake.reception import IncomingStore, Receipt
    from ocunet_pacs.intake.tls import TlsConfig


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """Ports: 0 takes a free one, None opens none. TLS is on where `tls` says with which files."""

    ae_title: str
    host: str
    port: int | None
    min_free_bytes: int
    max_associations: int = 64
    idle_timeout: timedelta = timedelta(seconds=60)
    negotiation_timeout: timedelta = timedelta(seconds=30)
    check_called_ae_title: bool = True
    sources: tuple[SourceRule, ...] = ()
    others: SourceRule | None = UNLISTED
    """For senders that fit none of `sources`; None: they are turned away."""
    tls: TlsConfig | None = None
    tls_port: int = 0
    share_port: bool = False
    """Whether other processes listen on the same ports."""
    committers: Mapping[str, str] = field(default_factory=dict)
    """AE titles of the destinations that commit to what they store, with the destinations' names."""


class Listener:
    """Receives until it is stopped; `start` returns once the ports are bound, so it is READY then.

    `released` is told, by the association's own thread, which studies an association brought that was released (not
    aborted) by a sender whose source says close_on_release: their Study Instance UIDs, without our own results'.
    ConfigError when the TLS files cannot be used.
    """

    def __init__(
        self,
        config: ListenerConfig,
        files: IncomingStore,
        ledger: Ledger,
        *,
        read_header: Callable[[Path], ImageHeader],
        now: Callable[[], datetime],
        new_token: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
        count: Count = count_nothing,
        audit: Audit = audit_nothing,
        released: Callable[[frozenset[str]], object] | None = None,
    ) -> None:
        self._config = config
        self._context = server_context(config.tls) if config.tls is not None else None
        self._released = released
        self._reception = Reception(
            files,
            ledger,
            read_header=read_header,
            now=now,
            new_token=new_token,
            min_free_bytes=config.min_free_bytes,
            pace=Pace(monotonic),
            count=count,
            audit=audit,
        )
        self._commitment = CommitmentReports(ledger, now, count)
        self._entrance = Entrance(
            _rules(config),
            Places(config.max_associations),
            self._reception,
            count,
            audit,
            handshake_seconds=config.negotiation_timeout.total_seconds(),
        )
        self._servers: list[Server] = []
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """The port without TLS. RuntimeError before `start`, or where there is none."""
        return self._port(tls=False)

    @property
    def tls_port(self) -> int:
        """The port with TLS. RuntimeError before `start`, or where there is none."""
        return self._port(tls=True)

    def _port(self, *, tls: bool) -> int:
        for server in self._servers:
            if (server.ssl_context is not None) == tls:
                return int(server.server_address[1])
        raise RuntimeError("the listener is not started, or has no such port")

    @property
    def active_associations(self) -> int:
        """How many peers are connected."""
        return sum(len(server.active_associations) for server in self._servers)

    def start(self) -> None:
        """Bind the ports and accept in threads of their own. ConfigError when a port cannot be had."""
        quiet_pynetdicom()
        config = self._config
        servers: list[Server] = []
        try:
            if config.port is not None:
                servers.append(self._bind("dicom.port", config.port, None))
            if self._context is not None:
                servers.append(self._bind("tls.port", config.tls_port, self._context))
        except ConfigError:
            for server in servers:
                server.server_close()
            raise
        self._servers = servers
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.1,), name="listener", daemon=True)
            for server in servers
        ]
        for thread in self._threads:
            thread.start()
        for server in servers:
            structlog.get_logger().info(
                "listening",
                ae_title=config.ae_title,
                host=config.host,
                port=int(server.server_address[1]),
                tls=server.ssl_context is not None,
                called_ae_title="checked" if config.check_called_ae_title else "any",
                senders=[source.name for source in config.sources if source.name] or "any",
            )
        self._say_who_may_send()

    def change(self, config: ListenerConfig) -> None:
        """Judge new associations by this, and show them its certificate; those that are open stay as they are.

        Ports, AE title and time-outs stay too. ConfigError when the TLS files cannot be used: then nothing changes.
        """
        context = server_context(config.tls) if config.tls is not None and self._context is not None else self._context
        for server in self._servers:
            if server.ssl_context is not None:
                server.ssl_context = context
        self._context = context
        self._entrance.places.limit(config.max_associations)
        self._entrance.rules = _rules(config)
        self._config = config
        self._say_who_may_send()

    def _say_who_may_send(self) -> None:
        if self._config.others is not None:
            structlog.get_logger().warning(
                "anybody_may_send", hint="list the senders in `sources` and set dicom.only_listed_sources"
            )

    def _bind(self, setting: str, port: int, context: ssl.SSLContext | None) -> Server:
        config = self._config
        ae = AE(ae_title=config.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = MAX_PDU
        # Ours are in `access`; the library's own limit counts connections that never asked for an association.
        ae.maximum_associations = 1 << 20
        ae.network_timeout = config.idle_timeout.total_seconds()
        ae.dimse_timeout = config.idle_timeout.total_seconds()
        ae.acse_timeout = config.negotiation_timeout.total_seconds()
        try:
            server = ae.make_server(
                (config.host, port),
                # Not the AE's own: it forgets the roles.
                contexts=[*supported_contexts(), supported_context()],
                evt_handlers=[
                    (evt.EVT_C_ECHO, _on_echo),
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_N_EVENT_REPORT, self._on_event_report),
                    (evt.EVT_N_ACTION, refuse_to_commit),
                    (evt.EVT_RELEASED, self._on_released),
                    (evt.EVT_CONN_CLOSE, _on_close),
                ],
                ssl_context=context,
                server_class=Server.for_entrance(self._entrance, share_port=config.share_port),
            )
        except OSError as error:
            problem = f"{setting}: cannot listen on {config.host} port {port}: {error.strerror}"
            raise ConfigError([problem]) from error
        assert isinstance(server, Server)
        return server

    def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Accept nobody new, give open associations `grace` to end, abort the rest.

        What was acknowledged is durable anyway; a sender whose association is aborted sends again.
        """
        if not self._threads:
            return
        self._entrance.places.close()
        for server in self._servers:
            server.shutdown()
        for thread in self._threads:
            thread.join()
        deadline = time.monotonic() + grace.total_seconds()
        for server in self._servers:
            for association in server.active_associations:
                association.join(max(0.0, deadline - time.monotonic()))
            for association in server.active_associations:
                association.abort()
                association.join(1.0)
        self._threads = []
        structlog.get_logger().info("listener_stopped")

    def _on_store(self, event: evt.Event) -> Dataset:
        association = event.assoc
        assert isinstance(association, Acceptor)
        request = StoreRequest(
            calling_ae_title=association.requestor.ae_title.strip(),
            abstract_syntax_uid=str(event.context.abstract_syntax),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            affected_sop_class_uid=str(event.request.AffectedSOPClassUID),
            affected_sop_instance_uid=str(getattr(event.request, "AffectedSOPInstanceUID", "")),
            source=association.source,
            address=association.address,
        )
        spool = getattr(event.request, "DataSet", None)
        answer: Receipt | Refusal = NO_DATA_SET
        if isinstance(spool, Spool):
            file = spool.take()
            if spool.error is not None:
                answer = self._reception.refuse(request, spool.error)
            elif file is not None:
                answer = self._reception.receive(request, file)
        if isinstance(answer, Refusal):
            return _answer(answer)
        if answer.opens_study:
            association.studies.add(answer.study_instance_uid)
        return _answer(None)

    def _on_event_report(self, event: evt.Event) -> tuple[int, None]:
        association, request = event.assoc, event.request
        assert isinstance(association, Acceptor)
        assert isinstance(request, N_EVENT_REPORT)
        if str(event.context.abstract_syntax) != COMMITMENT or request.AffectedSOPClassUID != COMMITMENT:
            return int(EventStatus.NO_SUCH_SOP_CLASS), None
        content = request.EventInformation
        answer = self._commitment.receive(
            association.commits_for,
            request.EventTypeID or 0,
            b"" if content is None else content.getvalue(),
            str(event.context.transfer_syntax),
        )
        return int(answer), None

    def _on_released(self, event: evt.Event) -> None:
        association = event.assoc
        assert isinstance(association, Acceptor)
        if self._released is None or not association.studies or not association.source.close_on_release:
            return
        try:
            self._released(frozenset(association.studies))
        except Exception as error:  # noqa: BLE001 - the studies close after their quiet period instead
            structlog.get_logger().error("release_not_used", exc_info=error)


def _rules(config: ListenerConfig) -> AccessRules:
    return AccessRules(
        called_ae_title=config.ae_title if config.check_called_ae_title else None,
        sources=config.sources,
        others=config.others,
        max_associations=config.max_associations,
        committers=config.committers,
    )


def _answer(refusal: Refusal | None) -> Dataset:
    answer = Dataset()
    answer.Status = int(Status.SUCCESS if refusal is None else refusal.status)
    if refusal is not None:
        answer.ErrorComment = refusal.comment
    return answer


def _on_echo(_event: evt.Event) -> int:
    return int(Status.SUCCESS)


def _on_close(event: evt.Event) -> None:
    assert isinstance(event.assoc, Acceptor)
    event.assoc.provider.abandon()
