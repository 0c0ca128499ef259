"""When the certificates of a PEM file are valid, and whether each vouches for the one before it.

The standard library's ssl tells the dates of authorities and of peers, not of a file. What is needed of X.509 (RFC 5280
section 4.1, DER) is six elements in a fixed order.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17


@dataclass(frozen=True, slots=True)
class Certificate:
    """Issuer and subject are the names' DER, to be compared; the times are aware."""

    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime

    @property
    def vouches_for_itself(self) -> bool:
        """Whether it is its own issuer."""
        return self.issuer == self.subject


def read_certificates(path: Path) -> list[Certificate]:
    """The certificates in the order of the file, at least one. OSError; ValueError where there is none or it is broken.

    Text between them is left out, as OpenSSL does.
    """
    blocks = _BLOCK.findall(path.read_text(encoding="latin-1"))
    if not blocks:
        raise ValueError("there is no PEM certificate in it")
    try:
        return [_parsed(ssl.PEM_cert_to_DER_cert(block)) for block in blocks]
    except IndexError:
        raise ValueError("a certificate in it is cut off") from None


def leads_upwards(chain: list[Certificate]) -> bool:
    """Whether each certificate's issuer is the next one's subject: the order in which a TLS server shows them."""
    return all(below.issuer == above.subject for below, above in pairwise(chain))


def _parsed(der: bytes) -> Certificate:
    start, _ = _content(der, 0)
    at, _ = _content(der, start)
    if der[at] == _VERSION:
        at = _end(der, at)
    at = _end(der, _end(der, at))  # serial number, signature algorithm
    issuer, at = der[at : _end(der, at)], _end(der, at)
    first, after = _content(der, at)
    second = _end(der, first)
    subject = der[after : _end(der, after)]
    return Certificate(issuer, subject, _time(der, first), _time(der, second))


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins, and where it ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        start += size
        length = int.from_bytes(der[start - size : start], "big")
    if start + length > len(der):
        raise IndexError
    return start, start + length


def _end(der: bytes, at: int) -> int:
    return _content(der, at)[1]


def _time(der: bytes, at: int) -> datetime:
    start, end = _content(der, at)
    text = der[start:end].decode("ascii")
    if der[at] == _UTC_TIME:
        # RFC 5280 section 4.1.2.5.1: from 50 on it is the last century.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
