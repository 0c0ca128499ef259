"""Everything that results go to, from the settings: a sender for each name, and how to ask for commitment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from ocunet_pacs.app.process import utc_now
from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.commitment import CommitmentRequestor
from ocunet_pacs.delivery.cstore import CStoreSender
from ocunet_pacs.delivery.fhir_endpoint import FhirSender
from ocunet_pacs.delivery.folder import FolderSender
from ocunet_pacs.delivery.mail import MailSender
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.delivery.web import StowSender
from ocunet_pacs.delivery.webhook import WebhookSender
from ocunet_pacs.domain.ports import Sender
from ocunet_pacs.pipeline.delivering import CommitmentRule
from ocunet_pacs.settings.outgoing import Notification, RecordSystem

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.outgoing import Destination as DestinationSettings

_STAYS_FOR_AN_ANSWER = timedelta(seconds=2)
"""How long the association that asks for commitment stays open for archives that answer on it."""
_MOST_ASKS = 48


class ProbedSender(Sender, Protocol):
    """A sender that can also say whether anybody is there, without sending anything."""

    def probe(self) -> str:
        """What it answered, in words. PeerUnavailable, PeerBusy, PeerRefused: as if an object had been sent."""


def senders(settings: Settings) -> dict[str, Sender]:
    """A sender for every destination, notification and record system, by name. ConfigError for files that are not."""
    return {item.name: sender_to(item, settings.dicom.ae_title) for item in settings.outgoing}


def sender_to(item: DestinationSettings | Notification | RecordSystem, our_ae_title: str) -> ProbedSender:
    """The sender to one of them. ConfigError."""
    if isinstance(item, Notification):
        return _notifier(item)
    if isinstance(item, RecordSystem):
        return _record(item)
    return _sender(item, our_ae_title)


def commitment_rules(settings: Settings) -> dict[str, CommitmentRule]:
    """How those destinations are asked that commit to what they store, by name. ConfigError."""
    return {
        destination.name: CommitmentRule(
            CommitmentRequestor(dicom_destination(destination), settings.dicom.ae_title, _STAYS_FOR_AN_ANSWER),
            destination.commitment_timeout,
            _MOST_ASKS,
        )
        for destination in settings.destinations
        if destination.commitment
    }


def dicom_destination(destination: DestinationSettings) -> Destination:
    """A destination that is reached by DICOM, in the words of the delivery stage. ConfigError."""
    assert destination.ae_title is not None
    assert destination.host is not None
    assert destination.port is not None
    return Destination(
        name=destination.name,
        ae_title=destination.ae_title,
        host=destination.host,
        port=destination.port,
        timeout=destination.timeout,
        tls=_tls(destination) if destination.tls else None,
    )


def _tls(destination: DestinationSettings) -> ssl.SSLContext:
    return client_context(
        destination.tls_authority,
        destination.tls_certificate,
        destination.tls_key,
        check_host=destination.tls_check_host,
    )


def _sender(destination: DestinationSettings, our_ae_title: str) -> ProbedSender:
    if destination.url is None:
        return CStoreSender(dicom_destination(destination), our_ae_title)
    return StowSender(
        destination.name,
        destination.url,
        timeout=destination.timeout,
        token=destination.token,
        tls=_tls(destination) if destination.url.startswith("https:") else None,
    )


def _notifier(notification: Notification) -> ProbedSender:
    if notification.url is not None:
        assert notification.secret is not None
        return WebhookSender(
            notification.name,
            notification.url,
            notification.secret,
            timeout=notification.timeout,
            now=utc_now,
            tls=_trusting(notification.tls_authority),
        )
    return MailSender(
        notification.name,
        host=notification.mail_host,
        port=notification.mail_port,
        sender=notification.mail_from,
        recipients=notification.mail_to,
        timeout=notification.timeout,
        now=utc_now,
        security=notification.mail_security,
        user=notification.mail_user,
        password=notification.mail_password,
        tls=_trusting(notification.tls_authority),
    )


def _record(record: RecordSystem) -> ProbedSender:
    if record.folder is not None:
        return FolderSender(record.name, record.folder)
    assert record.url is not None
    return FhirSender(
        record.name, record.url, timeout=record.timeout, token=record.token, tls=_trusting(record.tls_authority)
    )


def _trusting(authority: Path | None) -> ssl.SSLContext | None:
    return None if authority is None else client_context(authority)
