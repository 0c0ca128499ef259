"""Everybody whom the daemon talks to, as `doctor` sees them: is anybody there, and are we let in?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.app.doctor_checks import Check, fault, fault_of, ok, warning
from ocunet_pacs.app.outgoing import sender_to
from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.echo import echo
from ocunet_pacs.domain.errors import OcunetError, PeerBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.intake import Archive
    from ocunet_pacs.settings.outgoing import Destination as DestinationSettings
    from ocunet_pacs.settings.outgoing import Notification, RecordSystem

_PATIENCE = timedelta(seconds=5)
"""Less than the settings allow: who answers nobody within this is not well, and a person is waiting."""
_SECONDS = 25.0
"""Connecting, negotiating, asking and releasing may each take that long."""


def peer_checks(settings: Settings) -> Iterator[Check]:
    """One for each destination, notification, record system and archive."""
    ours = settings.dicom.ae_title
    for kind, items in (
        ("destination", settings.destinations),
        ("notification", settings.notifications),
        ("record", settings.records),
    ):
        for item in items:
            yield _check(kind, item.name, _probe(item, ours))
    for archive in settings.archives:
        yield _check("archive", archive.name, _echo(archive, ours))


def _check(kind: str, name: str, ask: Callable[[], str]) -> Check:
    return Check(f"{kind} {name}", lambda: look_at_peer(name, ask), seconds=_SECONDS)


def _probe(item: DestinationSettings | Notification | RecordSystem, ours: str) -> Callable[[], str]:
    def ask() -> str:
        sender = sender_to(item.model_copy(update={"timeout": min(item.timeout, _PATIENCE)}), ours)
        try:
            return sender.probe()
        finally:
            sender.close()

    return ask


def _echo(archive: Archive, ours: str) -> Callable[[], str]:
    timeout = min(archive.timeout, _PATIENCE)

    def ask() -> str:
        echo(Destination(archive.name, archive.ae_title, archive.host, archive.port, timeout), ours)
        return "answered C-ECHO"

    return ask


def look_at_peer(name: str, ask: Callable[[], str]) -> Verdict:
    """`ask` gives what the peer answered, or raises what keeps us from sending."""
    try:
        return ok(ask())
    except PeerBusy as error:
        said = fault_of(error, name)
        return warning(said.found, said.remedy or "look again in a while")
    except OcunetError as error:
        said = fault_of(error, name)
        return said if said.remedy else fault(said.found, "ask those who look after it")
