"""`doctor`: is this installation well, and if not, what is to be done? Looks at everything, changes nothing.

    doctor_checks.py      what a check is; all of them at once, each with its time
    doctor_settings.py    the settings file
    doctor_ports.py       the ports
    doctor_database.py    the database
    doctor_folders.py     the store and the watched folders
    doctor_model.py       the bundles; doctor_load.py is the process that loads one
    doctor_machine.py     graphics cards and clock
    doctor_tls.py         certificates
    doctor_peers.py       destinations, notifications, record systems, archives
    doctor_audit.py       the audit trail's server or file

In each, functions that `look_at` something ask the system and give what they heard to those that `judge` it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs import settings as settings_package
from ocunet_pacs.app.doctor_audit import audit_checks
from ocunet_pacs.app.doctor_checks import Check, Finding, examine
from ocunet_pacs.app.doctor_database import database_checks
from ocunet_pacs.app.doctor_folders import folder_checks
from ocunet_pacs.app.doctor_machine import machine_checks
from ocunet_pacs.app.doctor_model import model_checks
from ocunet_pacs.app.doctor_peers import peer_checks
from ocunet_pacs.app.doctor_ports import port_checks
from ocunet_pacs.app.doctor_settings import look_at_settings, mistakes, settings_path
from ocunet_pacs.app.doctor_tls import tls_checks
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.settings import Settings


def doctor(config: Path | None, now: Callable[[], datetime] = utc_now) -> list[Finding]:
    """A finding for each check, in the order of `checks`; where the settings cannot be read, one for each mistake."""
    try:
        loaded = settings_package.load(config)
    except ConfigError as error:
        return [Finding("settings", verdict) for verdict in mistakes(error)]
    return examine(list(checks(settings_path(config), loaded, now)))


def checks(path: Path, settings: Settings, now: Callable[[], datetime]) -> Iterator[Check]:
    """Every check that these settings call for. `path`: the file that they were read from."""
    yield Check("settings", lambda: look_at_settings(path, settings))
    yield from machine_checks(settings, now)
    yield from database_checks(settings.database.url)
    yield from folder_checks(settings)
    yield from model_checks(settings)
    yield from port_checks(settings)
    yield from tls_checks(settings, now)
    yield from peer_checks(settings)
    yield from audit_checks(settings)
