"""Certificates as `doctor` sees them: readable, in their time, with their key, in order."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.app.certificate_file import leads_upwards, read_certificates
from ocunet_pacs.app.doctor_checks import Check, fault, fault_of, ok, together, warning
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.intake.tls import TlsConfig, server_context
from ocunet_pacs.intake.web import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.app.certificate_file import Certificate
    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_SOON = timedelta(days=30)


def tls_checks(settings: Settings, now: Callable[[], datetime]) -> Iterator[Check]:
    """One for each certificate of ours, and one for each file of authorities."""
    tls, stow = settings.tls, settings.stow
    if tls.enabled and tls.certificate is not None and tls.key is not None:
        config = TlsConfig(tls.certificate, tls.key, tls.client_certificate, tls.client_authority)
        yield _own("tls.certificate", tls.certificate, tls.key, lambda: server_context(config), now)
        if tls.client_certificate != "none":
            yield from _authority("tls.client_authority", tls.client_authority, now)
    if stow.enabled and stow.certificate is not None and stow.key is not None:
        certificate, key, authority = stow.certificate, stow.key, stow.client_authority
        yield _own(
            "stow.certificate", certificate, key, lambda: tls_context(certificate, key, authority, section="stow"), now
        )
        yield from _authority("stow.client_authority", authority, now)
    console = settings.console
    if console.enabled and console.certificate is not None and console.key is not None:
        page, secret = console.certificate, console.key
        yield _own("console.certificate", page, secret, lambda: tls_context(page, secret, None, section="console"), now)
    for destination in settings.destinations:
        if destination.tls or (destination.url or "").startswith("https:"):
            yield from _authority(f"{destination.name}: tls_authority", destination.tls_authority, now)
            yield from _client(destination.name, destination.tls_certificate, destination.tls_key, now)
    for notified in settings.notifications:
        yield from _authority(f"{notified.name}: tls_authority", notified.tls_authority, now)
    for record in settings.records:
        yield from _authority(f"{record.name}: tls_authority", record.tls_authority, now)


def _client(name: str, certificate: Path | None, key: Path | None, now: Callable[[], datetime]) -> Iterator[Check]:
    if certificate is not None and key is not None:
        load = lambda: client_context(None, certificate, key)  # noqa: E731 - typed by its use
        yield _own(f"{name}: tls_certificate", certificate, key, load, now)


def _own(name: str, certificate: Path, key: Path, load: Callable[[], object], now: Callable[[], datetime]) -> Check:
    return Check(f"certificate {name}", lambda: look_at_own(certificate, key, load, now()))


def _authority(name: str, path: Path | None, now: Callable[[], datetime]) -> Iterator[Check]:
    if path is not None:
        yield Check(f"certificate {name}", lambda: look_at_authorities(path, now()))


def look_at_own(certificate: Path, key: Path, load: Callable[[], object], now: datetime) -> Verdict:
    """`load` makes the context that the daemon would make: ConfigError names the file that is wrong."""
    try:
        load()
        chain = _read(certificate)
    except ConfigError as error:
        return _wrong_file(error)
    return together([judge_chain(chain), judge_dates(chain, now), judge_key(key, key.stat().st_mode)])


def look_at_authorities(path: Path, now: datetime) -> Verdict:
    """What is trusted: a certificate that has expired vouches for nobody."""
    try:
        client_context(path)
        return together([judge_dates([one], now) for one in _read(path)])
    except ConfigError as error:
        return _wrong_file(error)


def _wrong_file(error: ConfigError) -> Verdict:
    said = fault_of(error)
    return fault(said.found, said.remedy or "put the right file there, readable by the daemon's user, or name another")


def _read(path: Path) -> list[Certificate]:
    try:
        return read_certificates(path)
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def judge_dates(chain: list[Certificate], now: datetime) -> Verdict:
    """The one that expires first counts."""
    first = min(chain, key=lambda one: one.not_after)
    if late := [one for one in chain if one.not_before > now]:
        return fault(f"not valid before {late[0].not_before:%Y-%m-%d %H:%M} UTC", "check the clock, or have it renewed")
    left = first.not_after - now
    until = f"{first.not_after:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return fault(f"expired at {until}", "have it renewed, put it in place and restart the daemon")
    if left <= _SOON:
        return warning(f"valid until {until}, {left.days} days from now", "have it renewed")
    return ok(f"valid until {until}")


def judge_chain(chain: list[Certificate]) -> Verdict:
    """In the file of our own certificate each one's issuer comes next; the last may be missing."""
    if not leads_upwards(chain):
        return fault(
            "the certificates in the file do not lead upwards from ours, each one's issuer being the next",
            "put our certificate first, then the one that signed it, and so on",
        )
    if len(chain) == 1:
        return ok("vouches for itself" if chain[0].vouches_for_itself else "without the authority above it")
    return ok(f"with {len(chain) - 1} above it")


def judge_key(path: Path, mode: int) -> Verdict:
    """`mode`: the key file's, as stat gives it."""
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        return warning(f"{os.fspath(path)}, its private key, is open to other users", f"chmod 600 {path}")
    return ok("its key fits")
