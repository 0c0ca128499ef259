"""The audit trail as `doctor` sees it: would its messages go where the settings send them?"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from ocunet_pacs.app.audit import audit_target
from ocunet_pacs.app.doctor_checks import Check, fault, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_SECONDS = 25.0
"""Connecting and shaking hands take five seconds each at most, and a name server may take its time."""


def audit_checks(settings: Settings) -> Iterator[Check]:
    """One, where there is an audit trail."""
    if settings.audit.to != "none":
        yield Check("audit", lambda: look_at_target(settings), seconds=_SECONDS)


def look_at_target(settings: Settings) -> Verdict:
    """File, UDP or TLS. No message is sent. ConfigError for a certificate of ours that cannot be used."""
    target = audit_target(settings)
    assert target is not None
    ours = settings.audit
    place = str(ours.file) if ours.to == "file" else f"{ours.host} over {ours.to.upper()}"
    try:
        found = target.probe()
    except OSError as error:
        return judge_error(place, error, to_file=ours.to == "file")
    finally:
        target.close()
    return ok(f"{place}: {found}")


def judge_error(place: str, error: OSError, *, to_file: bool) -> Verdict:
    """What keeps messages from going there. They wait in the store meanwhile, up to `audit.keep`."""
    if to_file:
        return fault(f"{place}: {error.strerror}", "check audit.file, its folder and the rights of the daemon's user")
    if isinstance(error, ssl.SSLCertVerificationError):
        return fault(
            f"{place}: its certificate is not accepted ({error.verify_message})",
            "check audit.tls_authority, and that the certificate names audit.host",
        )
    if isinstance(error, socket.gaierror):
        return fault(f"{place}: no such host", "check audit.host, and the name server")
    if isinstance(error, ssl.SSLError):
        return fault(f"{place}: TLS failed ({error.reason})", "check audit.port, and audit.tls_certificate")
    why = error.strerror or "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return fault(f"{place}: {why}", "check that the server runs, audit.host and audit.port")
