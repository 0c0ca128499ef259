"""TLS as a client: the contexts, and what a handshake that failed asks a person to do.

What fails here is configuration, at one side or the other: it counts as a peer that is not there, and what waits goes
out once somebody has put it right.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
"""For TLS 1.2, by PS3.15 annex B's profile on BCP 195 (RFC 9325); TLS 1.3's own are all as good."""

# OpenSSL's numbers (x509_vfy.h) of what may be wrong with a certificate.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN = frozenset({2, 18, 19, 20, 21})
_NOT_A_SERVER = 26
_OTHER_NAME = frozenset({62, 64})

_BY_REASON = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours; set tls_certificate and tls_key",
    "UNKNOWN_CA": "it does not trust our certificate; give its administrators the authority that signed it",
    "BAD_CERTIFICATE": "it does not accept our certificate, or wants one; check tls_certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired; renew tls_certificate",
    "CERTIFICATE_REVOKED": "our certificate is revoked; renew tls_certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate; ask its administrators why",
    "HANDSHAKE_FAILURE": "it shares no cipher with us, or wants a certificate of ours; check tls_certificate",
    "PROTOCOL_VERSION": "it does not speak TLS 1.2 or newer; have it updated",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.2 or newer; have it updated",
    "WRONG_VERSION_NUMBER": "what answers at this port does not speak TLS; check the port",
    "HTTP_REQUEST": "what answers at this port does not speak TLS; check the port",
    "RECORD_LAYER_FAILURE": "what answers at this port does not speak TLS; check the port",
}


def client_context(
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    check_host: bool = True,
) -> ssl.SSLContext:
    """TLS 1.2 or newer with a peer for which `authority` vouches: PEM certificates, of authorities or the peer's own.

    None: the system's authorities. `certificate` and `key` show who we are; `key` None: in the same file. `check_host`:
    the peer's certificate must name the host that we connect to. ConfigError names the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.check_hostname = check_host
    problems = []
    if authority is None:
        context.load_default_certs()
    else:
        # What is in the file is trusted, whether or not it leads to an authority above it that is not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(authority)
        except OSError as error:
            problems.append(f"tls_authority: {authority} {_unusable(error, 'certificate')}")
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, _no_passphrase)
        except (OSError, ValueError) as error:
            problems.append(f"tls_certificate, tls_key: {certificate} {_unusable(error, 'certificate with its key')}")
    if problems:
        raise ConfigError(problems)
    return context


def pinned(certificate: Path) -> ssl.SSLContext:
    """TLS with the one peer whose certificate is in the PEM file, whatever host name it shows. ConfigError."""
    return client_context(certificate, check_host=False)


def trouble(error: Exception | None) -> str:
    """What a TLS connection that failed asks a person to do; "" when TLS is not why."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _doubt(error.verify_code)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        for name, words in _BY_REASON.items():
            if reason.endswith(name):
                return words
        if isinstance(error, ssl.SSLEOFError) or "EOF" in reason:
            return "it closed the connection in the TLS handshake; check the port, and whether it wants a certificate"
        return f"TLS failed ({reason or type(error).__name__}); check port and certificates"
    return ""


def _doubt(code: int) -> str:
    if code == _EXPIRED:
        return "its certificate has expired; have it renewed"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; check the clocks"
    if code in _UNKNOWN:
        return "no authority that we know vouches for its certificate; check tls_authority"
    if code in _OTHER_NAME:
        return "its certificate names another host; check host, or set tls_check_host to false"
    if code == _NOT_A_SERVER:
        return "its certificate is not meant for a server; have it replaced"
    return f"its certificate cannot be trusted (OpenSSL's reason {code}); check tls_authority"


def _no_passphrase() -> str:
    raise ValueError("has a passphrase; give the key without one, readable by the daemon alone")


def _unusable(error: Exception, wanted: str) -> str:
    if isinstance(error, ssl.SSLError):
        if "MISMATCH" in str(error):
            return "is not the certificate of this key"
        return f"holds no PEM {wanted} that can be used"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
