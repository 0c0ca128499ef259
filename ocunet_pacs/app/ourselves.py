"""Our own listener, asked as a sender would: is it there, and is it ours?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.echo import echo, shake_hands
from ocunet_pacs.delivery.tls import pinned
from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings

_TIMEOUT = timedelta(seconds=5)


def reached_at(host: str) -> str:
    """The address at which what listens on `host` is reached from this machine."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104


def ask_plain(settings: Settings) -> None:
    """Return when the listener answers C-ECHO at `dicom.port`. PeerUnavailable, PeerRefused."""
    echo(_ourselves(settings), settings.dicom.ae_title)


def ask_secure(settings: Settings) -> None:
    """Return when it answers at `tls.port`, with the certificate of the settings. As `ask_plain`, and ConfigError."""
    tls = settings.tls
    assert tls.certificate is not None
    try:
        ours = replace(_ourselves(settings), port=tls.port, tls=pinned(tls.certificate))
    except ConfigError:
        words = f"tls.certificate: {tls.certificate} cannot be read, or holds no PEM certificate"
        raise ConfigError([words]) from None
    if tls.client_certificate == "required":
        # A certificate that its own authority accepts is the senders' matter, and we may have none.
        shake_hands(ours)
    else:
        echo(ours, settings.dicom.ae_title)


def _ourselves(settings: Settings) -> Destination:
    return Destination(
        name="ourselves",
        ae_title=settings.dicom.ae_title,
        host=reached_at(settings.dicom.host),
        port=settings.dicom.port,
        timeout=min(settings.dicom.idle_timeout, _TIMEOUT),
    )
