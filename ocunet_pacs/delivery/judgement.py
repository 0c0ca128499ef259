"""What a DICOM status says about an object that was sent (PS3.4 table B.2-1, PS3.7 annex C, PS3.18 annex I)."""

from __future__ import annotations

from ocunet_pacs.domain.errors import PeerBusy, PeerRefused
from ocunet_pacs.domain.ports import Receipt

_SUCCESS = 0x0000
_ALREADY = {0x0111, 0xB00E}
"""Duplicate SOP Instance; and 45070, by which some web archives say the same."""
_WARNINGS = {
    0xB000: "it changed elements",
    0xB006: "it discarded elements",
    0xB007: "it finds that the data set does not match its SOP class",
    0x0001: "with a warning",
    0x0107: "it does not know some attributes",
    0x0116: "it finds attribute values out of range",
}
_FOR_NOW = {
    0x0110: "processing failure",
    0x0213: "resource limitation",
    0xB00F: "it is storing the object already, or was interrupted while it did",
}
_REFUSALS = {
    0x0117: "invalid object instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0xC122: "transfer syntax not supported",
}


def judge(name: str, status: int, as_what: str = "") -> Receipt:
    """A receipt for success, warning and "I have it already"; `as_what` says how the object was converted.

    Our UIDs are derived from the content, and the answer to an earlier try may have been lost, so a duplicate is a
    success. PeerBusy: out of resources (0xA7xx) or failing for now. PeerRefused: anything else, a person looks. The
    peer's own comment is in none of them: it may hold patient data.
    """
    if status == _SUCCESS:
        return Receipt(f"stored{as_what}", status)
    if status in _ALREADY:
        return Receipt("it had it already", status)
    if status in _WARNINGS:
        return Receipt(f"stored{as_what}; {_WARNINGS[status]}", status)
    if status in _FOR_NOW or status >> 8 == 0xA7:
        words = _FOR_NOW.get(status, "out of resources")
        raise PeerBusy(f"{name}: refused for now, {words} (status 0x{status:04X})", status)
    raise PeerRefused(f"{name}: refused, {_meaning(status)} (status 0x{status:04X})", status)


def _meaning(status: int) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if status >> 8 == 0xA9:
        return "data set does not match SOP class"
    if status >> 12 == 0xC:
        return "cannot understand the object"
    return "failure"
