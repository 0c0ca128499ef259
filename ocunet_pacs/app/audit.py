"""The audit trail that the settings describe, for a role's process.

A process that cannot keep one (a folder that cannot be written, say) works without, and says so in its log: no image
waits for an audit trail. Settings that cannot be used, such as a certificate that is none, end it like all others.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.process import role_name, utc_now
from ocunet_pacs.audit.changes import changes
from ocunet_pacs.audit.message import Reporter
from ocunet_pacs.audit.spool import file_name, take_spools
from ocunet_pacs.audit.targets import FileTarget, TlsTarget, UdpTarget
from ocunet_pacs.audit.trail import Clocks, NoTrail, Trail
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.domain.audit import Alert, Party, no_patient_number
from ocunet_pacs.domain.errors import BadInput, StoreError
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocunet_pacs.audit.targets import Target
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.settings import Settings

_UDP_PORT, _TLS_PORT = 514, 6514
"""RFC 5426 section 3.3, RFC 5425 section 4.1."""
_SECTIONS = {
    Alert.NETWORK_CONFIGURATION: ("dicom", "stow", "watch", "archives", "destinations", "routes", "records"),
    Alert.SECURITY_CONFIGURATION: ("tls", "sources", "audit", "notifications", "console"),
    Alert.SOFTWARE_CONFIGURATION: ("database", "store", "retention", "model", "eligibility", "report"),
}
"""What is a change of which kind. Not in it: what says only how fast or how talkative we are."""
_DIFFERS_BY_ROLE = {"model": {"device"}}
"""What `serve` sets for one role and not for another."""


def open_audit(settings: Settings, role: str, count: Count) -> Trail | NoTrail:
    """Where the role tells its events, until it closes it; its start is told here. ConfigError.

    A role that ends without closing it is told, by whoever starts next, to have ended without saying so.
    """
    ours = settings.audit
    target = audit_target(settings)
    if target is None:
        return NoTrail()
    host = socket.gethostname()
    reporter = Reporter(
        ae_title=settings.dicom.ae_title,
        host=host,
        process=os.getpid(),
        role=role_name(role),
        source=ours.source or settings.dicom.ae_title,
        site=ours.site,
        patient_numbers=ours.patients == "id",
    )
    folder = settings.store.path / "audit"
    try:
        trail = Trail(
            reporter,
            target,
            take_spools(folder, host, ours.keep),
            clocks=Clocks(utc_now, time.monotonic),
            facility=ours.facility,
            count=count,
        )
        trail.start()
        tell_changes(settings, trail)
    except (OSError, StoreError) as error:
        structlog.get_logger().error("audit_not_kept", problem=str(error), folder=str(folder))
        return NoTrail()
    return trail


def tell_changes(settings: Settings, audit: Audit) -> None:
    """Tell what is different in settings that were just read, once on this host. OSError, StoreError."""
    noted = settings.store.path / "audit" / f"{file_name(socket.gethostname())}-settings.json"
    for alert in changes(noted, _digests(settings, Files(settings.store.path).pseudonym)):
        audit(alert)


def telling_changes(audit: Trail | NoTrail) -> Callable[[Settings], None]:
    """The same for settings that are read while the role runs, where there is an audit trail; never raises."""

    def tell(settings: Settings) -> None:
        try:
            tell_changes(settings, audit)
        except (OSError, StoreError) as error:
            structlog.get_logger().error("audit_not_kept", problem=str(error))

    return (lambda _settings: None) if isinstance(audit, NoTrail) else tell


def parties(settings: Settings) -> dict[str, Party]:
    """Who the destinations are, by name."""
    found = {}
    for destination in settings.destinations:
        address = destination.host if destination.url is None else destination.url
        found[destination.name] = Party(destination.name, destination.ae_title or "", address or "")
    for notified in settings.notifications:
        to = ";".join(f"mailto:{address}" for address in notified.mail_to)
        found[notified.name] = Party(notified.name, address=notified.url or to)
    for record in settings.records:
        folder = record.folder.as_uri() if record.folder is not None and record.folder.is_absolute() else ""
        found[record.name] = Party(record.name, address=record.url or folder)
    return found


def patient_numbers(settings: Settings) -> Callable[[Path], str]:
    """What reads the Patient ID of an object in the store, for sites that want it in the audit trail."""
    wanted = settings.audit.to != "none" and settings.audit.patients == "id"
    return _patient_number if wanted else no_patient_number


def _patient_number(path: Path) -> str:
    """ "" of what is no DICOM object, or is gone."""
    try:
        return read_identity(path).patient_number
    except (BadInput, StoreError, OSError):
        return ""


def audit_target(settings: Settings) -> Target | None:
    """Where messages go; None where there is no audit trail. ConfigError for a certificate that cannot be used."""
    ours = settings.audit
    if ours.to == "none":
        return None
    if ours.to == "file":
        return FileTarget(ours.file)
    assert ours.host is not None
    if ours.to == "udp":
        return UdpTarget(ours.host, ours.port or _UDP_PORT)
    context = client_context(ours.tls_authority, ours.tls_certificate, ours.tls_key, check_host=ours.tls_check_host)
    return TlsTarget(ours.host, ours.port or _TLS_PORT, context)


def _digests(settings: Settings, seal: Callable[[str], str]) -> dict[Alert, dict[str, str]]:
    """Of each section that counts; `seal` is keyed, because sections may hold passwords."""
    return {
        alert: {
            name: seal(settings.model_dump_json(include={name}, exclude={name: _DIFFERS_BY_ROLE.get(name, set())}))
            for name in names
        }
        for alert, names in _SECTIONS.items()
    }
