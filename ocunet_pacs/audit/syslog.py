"""Syslog messages (RFC 5424), as the transmission profiles of PS3.15 A.6 and A.7 want them: MSGID, BOM, UTF-8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocunet_pacs.domain.audit import AuditOutcome

if TYPE_CHECKING:
    from datetime import datetime

MESSAGE_ID = "DICOM+RFC3881"
APPLICATION = "ocunet-pacs"
_BOM = b"\xef\xbb\xbf"
_SEVERITIES = {
    AuditOutcome.SUCCESS: 5,
    AuditOutcome.MINOR_FAILURE: 4,
    AuditOutcome.SERIOUS_FAILURE: 3,
    AuditOutcome.MAJOR_FAILURE: 2,
}
"""Notice, warning, error, critical (RFC 5424 table 2)."""
_OUTCOME = re.compile(rb'EventOutcomeIndicator="(\d+)"')
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


def syslog_message(xml: bytes, at: datetime, *, facility: int, host: str, process: int) -> bytes:
    """The whole message. `at` is aware; `facility` 0 to 23; the severity follows the event's outcome."""
    found = _OUTCOME.search(xml)
    severity = _SEVERITIES[AuditOutcome(int(found[1]))] if found else _SEVERITIES[AuditOutcome.SUCCESS]
    name = _NOT_PRINTABLE.sub("?", host)[:255] or "-"
    when = at.isoformat(timespec="milliseconds")
    header = f"<{8 * facility + severity}>1 {when} {name} {APPLICATION} {process} {MESSAGE_ID} - "
    return header.encode("ascii") + _BOM + xml


def xml_of(message: bytes) -> bytes:
    """The XML of a message of ours."""
    return message.partition(_BOM)[2]


def framed(message: bytes) -> bytes:
    """With its length before it, as it goes over a stream (RFC 5425 section 4.3)."""
    return b"%d %b" % (len(message), message)
