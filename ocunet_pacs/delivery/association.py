"""An association as requestor, with every way in which it can fail said in our words."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pynetdicom import _config

from ocunet_pacs.delivery import tls
from ocunet_pacs.delivery.wire import Requestor
from ocunet_pacs.domain.errors import OcunetError, PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.result import derive_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ssl import SSLContext

    from pynetdicom import evt
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext


@dataclass(frozen=True, slots=True)
class Destination:
    """One PACS. `timeout` is how long it may stay silent: when connecting, negotiating, and answering a request."""

    name: str
    ae_title: str
    host: str
    port: int
    timeout: timedelta = timedelta(seconds=30)
    tls: SSLContext | None = None
    """How to speak TLS with it; None: without."""


class Congested(PeerUnavailable):
    """It takes no more associations for now."""


def configure_pynetdicom() -> None:
    """Settings that pynetdicom has for the whole process, set here and nowhere else in this stage.

    A file is sent as the bytes that were checked and stored, not decoded and encoded again; and messages are not
    logged, because they may hold patient data.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False


@contextmanager
def associated(
    destination: Destination, calling_ae_title: str, contexts: Sequence[PresentationContext]
) -> Iterator[Association]:
    """An established association, released afterwards; several messages may go over it.

    PeerUnavailable when nobody answers or the association is rejected, PeerRefused when none of `contexts` is
    accepted. Our own errors pass through; what the library raises in the body becomes PeerUnavailable when the
    connection broke, and PeerBusy (tried again, but not for ever) when it did not.
    """
    association = associate(destination, calling_ae_title, contexts)
    try:
        with in_our_words(destination, association):
            yield association
    finally:
        if association.is_established:
            association.release()


@contextmanager
def in_our_words(destination: Destination, association: Association) -> Iterator[None]:
    """What the library raises in the body becomes PeerUnavailable or PeerBusy; our own errors pass through."""
    try:
        yield
    except OcunetError:
        raise
    except Exception as error:
        if not association.is_established:
            raise PeerUnavailable(f"{destination.name}: the association ended early") from error
        raise PeerBusy(f"{destination.name}: unexpected {type(error).__name__} while talking to it") from error


def associate(
    destination: Destination,
    calling_ae_title: str,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[tuple[evt.EventType, Callable[[evt.Event], None]]] = (),
) -> Association:
    """An established association, for the caller to release. PeerUnavailable or PeerRefused, as `associated`."""
    configure_pynetdicom()
    seconds = destination.timeout.total_seconds()
    where = f"{destination.host} port {destination.port}"
    ae = Requestor(ae_title=calling_ae_title)
    ae.implementation_class_uid = derive_uid("implementation")
    ae.implementation_version_name = "OCUNET_PACS"
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = seconds
    try:
        association = ae.associate(
            destination.host,
            destination.port,
            contexts=list(contexts),
            ae_title=destination.ae_title,
            tls_args=None if destination.tls is None else (destination.tls, destination.host),
            evt_handlers=list(handlers),
        )
    except OSError as error:
        # Names are resolved before anything else is tried.
        raise PeerUnavailable(f"{destination.name}: {where} cannot be reached; check host and network") from error
    if association.is_established:
        return association
    if association.is_rejected:
        words = f"{destination.name}: {_rejection(association, destination, calling_ae_title)}"
        raise (Congested if _source_and_diagnostic(association)[0] == 3 else PeerUnavailable)(words)
    if association.rejected_contexts:
        raise PeerRefused(
            f"{destination.name}: it accepts none of the offered SOP classes and transfer syntaxes; "
            "configure it to store them"
        )
    raise PeerUnavailable(f"{destination.name}: {_silence(association, destination, where)}")


def _silence(association: Association, destination: Destination, where: str) -> str:
    """Why there is no association, where the peer did not say it in DICOM."""
    why = getattr(association.dul.socket, "trouble", None)
    if destination.tls is None:
        return f"no answer from {where}; check that the PACS runs, and host, port and firewall"
    if words := tls.trouble(why):
        return f"{where}: {words}"
    if isinstance(why, (ConnectionRefusedError, TimeoutError)):
        return f"no answer from {where}; check that the PACS runs, and host, port and firewall"
    return (
        f"{where} closed the connection; check that it speaks DICOM over TLS there, and whether it wants a certificate "
        "of ours (tls_certificate)"
    )


def _rejection(association: Association, destination: Destination, calling_ae_title: str) -> str:
    """What a rejection (PS3.8 table 9-21) asks a person to do.

    A rejected association counts as unavailable even when the PACS calls it permanent: an AE title that it does not
    know is configuration, at its side or ours, that a person puts right, after which the waiting objects go out by
    themselves. Counted as a refusal it would use up the attempts of every object overnight.
    """
    source, diagnostic = _source_and_diagnostic(association)
    if (source, diagnostic) == (1, 3):
        return f"it does not know our AE title {calling_ae_title}; add it there"
    if (source, diagnostic) == (1, 7):
        return f"it is not called {destination.ae_title}; check the AE title"
    if source == 3:
        return "it rejects associations for now (too many, or congested)"
    return "it rejected the association"


def _source_and_diagnostic(association: Association) -> tuple[int | None, int | None]:
    answer = association.acceptor.primitive
    return getattr(answer, "result_source", None), getattr(answer, "diagnostic", None)
