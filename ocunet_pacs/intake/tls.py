"""TLS for the listener, by PS3.15 annex B's profile on BCP 195 (RFC 9325): nothing older than 1.2, nothing weaker."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - a field's type
from typing import Literal

from ocunet_pacs.domain.errors import ConfigError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
"""For TLS 1.2: forward secret and authenticated, as TLS 1.3's own all are."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The files of `tls` in the settings, all PEM."""

    certificate: Path
    key: Path
    client_certificate: Literal["none", "optional", "required"] = "none"
    client_authority: Path | None = None


def server_context(config: TlsConfig) -> ssl.SSLContext:
    """What accepted connections are wrapped in. ConfigError names the file and the setting, never what is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    problems = [
        *_unreadable("tls.certificate", config.certificate),
        *_unreadable("tls.key", config.key),
        *(_unreadable("tls.client_authority", config.client_authority) if config.client_authority else ()),
    ]
    if not problems:
        problems = [*_load_own(context, config), *_load_authority(context, config)]
    if problems:
        raise ConfigError(problems)
    return context


def _unreadable(setting: str, path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return [f"{setting}: {path} cannot be read: {error.strerror}"]
    return []


def _load_own(context: ssl.SSLContext, config: TlsConfig) -> list[str]:
    encrypted = False

    def no_passphrase() -> str:
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        context.load_cert_chain(config.certificate, config.key, no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        if encrypted:
            return [f"tls.key: {config.key} has a passphrase; give the key without one, readable by the daemon alone"]
        if "MISMATCH" in str(error):
            return [f"tls.key: {config.key} is not the key of tls.certificate {config.certificate}"]
        # OpenSSL does not say which of the two it is about.
        if not _holds_certificates(config.certificate):
            return [f"tls.certificate: {config.certificate} holds no PEM certificate that can be used"]
        return [f"tls.key: {config.key} holds no PEM key that can be used with tls.certificate"]
    return []


def _load_authority(context: ssl.SSLContext, config: TlsConfig) -> list[str]:
    if config.client_certificate == "none" or config.client_authority is None:
        return []
    required = config.client_certificate == "required"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(config.client_authority)
    except ssl.SSLError:
        return [f"tls.client_authority: {config.client_authority} holds no PEM certificate that can be used"]
    return []


def _holds_certificates(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True
