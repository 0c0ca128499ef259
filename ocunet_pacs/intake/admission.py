"""Which DICOM status answers a C-STORE request (PS3.4 table B.2-1), from what was read of it. Pure.

Tolerant where it does not matter: an object is refused only when it is not what the request says, cannot be read, or
could not be referred to in a report. Whether it can be analysed is another question (`eligibility`), asked later and
answered in the report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import ReasonCode

if TYPE_CHECKING:
    from ocunet_pacs.domain.study import ImageHeader, Reason


class Status(IntEnum):
    """The statuses that a sender is answered with (PS3.7 annex C, PS3.4 table B.2-1, PS3.18 section I.2.2)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: the status and an Error Comment, (0000,0902) LO: at most 64 ASCII characters.

    The comment goes over the wire and into logs: it holds no value of the data set.
    """

    status: Status
    comment: str


NO_DATA_SET = Refusal(Status.CANNOT_UNDERSTAND, "The request holds no data set")
INCOMPLETE_REQUEST = Refusal(Status.CANNOT_UNDERSTAND, "The request lacks a mandatory element of its command set")
TRUNCATED = Refusal(Status.CANNOT_UNDERSTAND, "The data set is cut: it ends in the middle of an element")
OUT_OF_SPACE = Refusal(Status.OUT_OF_RESOURCES, "No space for another file; send again later")
TOO_FAST = Refusal(Status.OUT_OF_RESOURCES, "More objects a minute than agreed; send again later")
STORE_FAILED = Refusal(Status.OUT_OF_RESOURCES, "The store does not take files now; send again later")
LEDGER_FAILED = Refusal(Status.PROCESSING_FAILURE, "The object could not be recorded; send again later")
NOT_PART_10 = Refusal(Status.CANNOT_UNDERSTAND, "The file is not a DICOM file with file meta information")
SOP_CLASS = Refusal(Status.SOP_CLASS_NOT_SUPPORTED, "Objects of this SOP class are not stored here")
TRANSFER_SYNTAX = Refusal(Status.TRANSFER_SYNTAX_NOT_SUPPORTED, "The transfer syntax is not supported")
OTHER_STUDY = Refusal(Status.DATA_SET_DOES_NOT_MATCH, "Study Instance UID is not that of the request")
UNEXPECTED = Refusal(Status.PROCESSING_FAILURE, "Unexpected error; the receiver's log has the details")

_UID = re.compile(r"[0-9.]{1,64}")
_MUST_BE_PRESENT = (
    ("study_instance_uid", "Study Instance UID"),
    ("series_instance_uid", "Series Instance UID"),
    ("sop_instance_uid", "SOP Instance UID"),
    ("sop_class_uid", "SOP Class UID"),
)


def admit(
    affected_sop_class_uid: str, affected_sop_instance_uid: str, abstract_syntax_uid: str, header: ImageHeader
) -> Refusal | None:
    """Compare the request with the data set; None when it is taken.

    `abstract_syntax_uid` is the SOP class that was negotiated for the presentation context of the request.
    """
    for field, name in _MUST_BE_PRESENT:
        value: str = getattr(header, field)
        if not value:
            return Refusal(Status.CANNOT_UNDERSTAND, f"{name} is missing or empty")
        if _UID.fullmatch(value) is None:
            return Refusal(Status.CANNOT_UNDERSTAND, f"{name} is not a valid UID")
    if affected_sop_class_uid != abstract_syntax_uid:
        return Refusal(Status.DATA_SET_DOES_NOT_MATCH, "Affected SOP Class UID is not the negotiated one")
    if header.sop_class_uid != affected_sop_class_uid:
        return Refusal(Status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs between request and data set")
    if header.sop_instance_uid != affected_sop_instance_uid:
        return Refusal(Status.DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs between request and data set")
    return None


def unreadable(reason: Reason) -> Refusal:
    """The answer when the header could not be read at all."""
    if reason.code is ReasonCode.NOT_DICOM:
        return Refusal(Status.CANNOT_UNDERSTAND, "The data set is not DICOM")
    return Refusal(Status.CANNOT_UNDERSTAND, "The data set cannot be parsed")
