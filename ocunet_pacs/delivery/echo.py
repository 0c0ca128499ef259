"""Is anybody there? C-ECHO (PS3.4 annex A) to a destination."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from ocunet_pacs.delivery.association import associated
from ocunet_pacs.delivery.tls import trouble
from ocunet_pacs.domain.errors import PeerRefused, PeerUnavailable

if TYPE_CHECKING:
    from ocunet_pacs.delivery.association import Destination

_VERIFICATION = "1.2.840.10008.1.1"


def echo(destination: Destination, calling_ae_title: str) -> None:
    """Return when the destination answers a C-ECHO with success.

    PeerUnavailable or PeerRefused otherwise, with a sentence that says what to check.
    """
    context = build_context(_VERIFICATION, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    with associated(destination, calling_ae_title, [context]) as association:
        answer = association.send_c_echo()
    if "Status" not in answer:
        raise PeerUnavailable(f"{destination.name}: connected, but no answer to C-ECHO within {destination.timeout}")
    if answer.Status != 0x0000:
        raise PeerRefused(f"{destination.name}: C-ECHO answered with status 0x{answer.Status:04X}", answer.Status)


def shake_hands(destination: Destination) -> None:
    """Return when the destination shows its certificate in a TLS handshake; PeerUnavailable otherwise.

    For a peer that would want a certificate of ours before it answers a C-ECHO.
    """
    assert destination.tls is not None
    where = (destination.host, destination.port)
    try:
        with (
            socket.create_connection(where, destination.timeout.total_seconds()) as connection,
            destination.tls.wrap_socket(connection, server_hostname=destination.host),
        ):
            return
    except ssl.SSLError as error:
        raise PeerUnavailable(f"{destination.name}: the TLS handshake failed: {trouble(error)}") from error
    except OSError as error:
        raise PeerUnavailable(
            f"{destination.name}: no answer from {destination.host} port {destination.port}"
        ) from error
