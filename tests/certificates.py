"""Certificates for tests, made by openssl: an authority, and what it signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import program

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, PEM files."""

    certificate: Path
    key: Path


def self_signed(folder: Path, name: str) -> Pair:
    """A certificate that vouches for itself; also good as an authority."""
    pair = _pair(folder, name)
    _openssl("req", "-x509", *_KEY, "-keyout", pair.key, "-out", pair.certificate, "-days", "2", "-subj", f"/CN={name}")
    return pair


def signed(folder: Path, name: str, authority: Pair, *, names: str = "", days: int = 2) -> Pair:
    """A certificate that the authority vouches for. `names`: subjectAltName; `days` below zero: it has expired."""
    pair, request = _pair(folder, name), folder / f"{name}.csr"
    _openssl("req", *_KEY, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\n" if names else "")
    _openssl(
        *("x509", "-req", "-in", request, "-out", pair.certificate, "-days", days, "-set_serial", "1"),
        *("-CA", authority.certificate, "-CAkey", authority.key),
        *(("-extfile", extensions) if names else ()),
    )
    return pair


def with_passphrase(pair: Pair, folder: Path) -> Path:
    """The pair's key, encrypted."""
    path = folder / "encrypted.key"
    _openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", path)
    return path


def _pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def _openssl(*arguments: object) -> None:
    subprocess.run([program("openssl"), *map(str, arguments)], check=True, capture_output=True, timeout=60)
