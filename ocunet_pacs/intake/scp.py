"""The listener: C-ECHO and C-STORE SCP (PS3.4 annexes A and B) on pynetdicom."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.intake.admission import NO_DATA_SET, Status
from ocunet_pacs.intake.contexts import supported_contexts
from ocunet_pacs.intake.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ocunet_pacs.intake.reception import Reception, StoreRequest
from ocunet_pacs.intake.wire import MAX_PDU, Handler, Server, Spool, SpoolingProvider, quiet_pynetdicom

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.ports import Ledger
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.intake.admission import Refusal
    from ocunet_pacs.intake.reception import IncomingStore


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """`port` 0 takes a free one. No `calling_ae_titles` means that anybody may send."""

    ae_title: str
    host: str
    port: int
    min_free_bytes: int
    max_associations: int = 32
    idle_timeout: timedelta = timedelta(seconds=60)
    negotiation_timeout: timedelta = timedelta(seconds=30)
    check_called_ae_title: bool = True
    calling_ae_titles: tuple[str, ...] = ()


class Listener:
    """Receives until it is stopped; `start` returns once the port is bound, so it is READY then."""

    def __init__(
        self,
        config: ListenerConfig,
        files: IncomingStore,
        ledger: Ledger,
        *,
        read_header: Callable[[Path], ImageHeader],
        now: Callable[[], datetime],
        new_token: Callable[[], str],
    ) -> None:
        self._config = config
        self._reception = Reception(
            files,
            ledger,
            read_header=read_header,
            now=now,
            new_token=new_token,
            min_free_bytes=config.min_free_bytes,
        )
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on. RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the listener is not started")
        return int(self._server.server_address[1])

    @property
    def active_associations(self) -> int:
        """How many peers are connected."""
        return len(self._server.active_associations) if self._server is not None else 0

    def start(self) -> None:
        """Bind the port and accept in a thread of its own. ConfigError when the port cannot be bound."""
        quiet_pynetdicom()
        config = self._config
        ae = AE(ae_title=config.ae_title)
        ae.supported_contexts = supported_contexts()
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = MAX_PDU
        ae.maximum_associations = config.max_associations
        ae.network_timeout = config.idle_timeout.total_seconds()
        ae.dimse_timeout = config.idle_timeout.total_seconds()
        ae.acse_timeout = config.negotiation_timeout.total_seconds()
        ae.require_called_aet = config.check_called_ae_title
        ae.require_calling_aet = list(config.calling_ae_titles)
        try:
            server = ae.make_server(
                (config.host, config.port),
                evt_handlers=[
                    (evt.EVT_C_ECHO, _on_echo),
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_CONN_CLOSE, _on_close),
                ],
                server_class=Server.receiving(self._reception),
                request_handler=Handler,
            )
        except OSError as error:
            problem = f"dicom.port: cannot listen on {config.host} port {config.port}: {error.strerror}"
            raise ConfigError([problem]) from error
        assert isinstance(server, Server)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="listener", daemon=True)
        self._thread.start()
        structlog.get_logger().info("listening", ae_title=config.ae_title, host=config.host, port=self.port)

    def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Accept nobody new, give open associations `grace` to end, abort the rest.

        What was acknowledged is durable anyway; a sender whose association is aborted sends again.
        """
        if self._server is None or self._thread is None:
            return
        server = self._server
        server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + grace.total_seconds()
        for association in server.active_associations:
            association.join(max(0.0, deadline - time.monotonic()))
        for association in server.active_associations:
            association.abort()
            association.join(1.0)
        self._thread = None
        structlog.get_logger().info("listener_stopped")

    def _on_store(self, event: evt.Event) -> Dataset:
        request = StoreRequest(
            calling_ae_title=event.assoc.requestor.ae_title.strip(),
            abstract_syntax_uid=str(event.context.abstract_syntax),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            affected_sop_class_uid=str(event.request.AffectedSOPClassUID),
            affected_sop_instance_uid=str(getattr(event.request, "AffectedSOPInstanceUID", "")),
        )
        spool = getattr(event.request, "DataSet", None)
        refusal: Refusal | None = NO_DATA_SET
        if isinstance(spool, Spool):
            file = spool.take()
            if spool.error is not None:
                refusal = self._reception.refuse(request, spool.error)
            elif file is not None:
                refusal = self._reception.receive(request, file)
        return _answer(refusal)


def _answer(refusal: Refusal | None) -> Dataset:
    answer = Dataset()
    answer.Status = int(Status.SUCCESS if refusal is None else refusal.status)
    if refusal is not None:
        answer.ErrorComment = refusal.comment
    return answer


def _on_echo(_event: evt.Event) -> int:
    return int(Status.SUCCESS)


def _on_close(event: evt.Event) -> None:
    association = event.assoc
    if isinstance(association.dimse, SpoolingProvider):
        association.dimse.abandon()
    if association.requestor.primitive is None:
        # Gone before it asked for an association, as the probes of load balancers are. pynetdicom would go on waiting
        # for the request, and count the association among the limited number, until the negotiation times out; nothing
        # in the queue is what it takes for that time-out.
        association.dul.to_user_queue.put(None)
