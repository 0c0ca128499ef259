"""A DICOM file that arrives piece by piece by another way than C-STORE, and is received as C-STORE's objects are.

Its own head says what a C-STORE request says. The head is read and replaced by ours, as if the data set had come over
DICOM, so that nothing of a sender's preamble or private meta information is kept; the data set follows byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.intake import admission
from ocunet_pacs.intake.admission import Refusal
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from ocunet_pacs.intake.part10 import BadHead, Head, file_head, read_head, uids_of
from ocunet_pacs.intake.reception import StoreRequest

if TYPE_CHECKING:
    from ocunet_pacs.intake.access import SourceRule
    from ocunet_pacs.intake.reception import IncomingFile, Reception

_UID = re.compile(r"[0-9.]{1,64}")
_UNKNOWN = Head("", "", "", 0)
_ENOUGH = 1 << 13
"""Bytes of a data set in which its SOP Instance UID stands: few and short elements come before it."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where files come from: the way (stow, watch), the rule of the source, and what stands for its AE title."""

    way: str
    source: SourceRule
    ae_title: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What became of a file: taken where `refusal` is None. The UIDs are its head's, "" where that has no valid one."""

    sop_class_uid: str
    sop_instance_uid: str
    refusal: Refusal | None
    opened_study: str = ""
    """The study that must now be analysed, new or again; "" where it is refused or a result of ours."""


class ArrivingFile:
    """One file on its way in. Used by one thread at a time; ends with `finish` or `abandon`, never raises.

    Once it is refused it goes on swallowing bytes: the sender is at it, and what follows must still be found.
    """

    def __init__(self, reception: Reception, sender: Sender, *, only_study_uid: str = "") -> None:
        self._reception = reception
        self._sender = sender
        self._only_study_uid = only_study_uid
        self._start = bytearray()
        self._head: Head | None = None
        self._file: IncomingFile | None = None
        self._refusal: Refusal | None = None

    def write(self, data: bytes) -> None:
        """The next bytes of the file."""
        if self._refusal is not None:
            return
        try:
            if self._file is not None:
                self._file.write(data)
                return
            self._start += data
            head = read_head(self._start)
            if head is not None and (_names_object(head) or len(self._start) >= head.length + _ENOUGH):
                self._begin(head)
        except BadHead:
            self.refuse(admission.NOT_PART_10)
        except (StoreError, OSError) as error:
            self._refuse_for(error)

    def refuse(self, refusal: Refusal) -> None:
        """It is not wanted, whatever it holds."""
        self._start.clear()
        self._refusal = self._reception.turn_away(self._request(), refusal)

    def finish(self) -> Arrived:
        """The file is whole: take it, or say why not."""
        if self._refusal is None and self._file is None:
            self._begin_short()
        head, opened = self._head or _UNKNOWN, ""
        if self._refusal is None and self._file is None:
            self.refuse(admission.NOT_PART_10 if self._start else admission.NO_DATA_SET)
        if self._file is not None:
            file, self._file = self._file, None
            taken = self._reception.receive(self._request(), file)
            if isinstance(taken, Refusal):
                self._refusal = taken
            elif taken.opens_study:
                opened = taken.study_instance_uid
        return Arrived(_valid(head.sop_class_uid), _valid(head.sop_instance_uid), self._refusal, opened)

    def abandon(self) -> None:
        """The rest will never come: forget it, without a trace in the store."""
        self._start.clear()
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.discard()
            except (StoreError, OSError) as error:
                self._refuse_for(error)

    def _begin(self, head: Head) -> None:
        """Open the file and write our head, and what is there of the data set.

        Some writers leave the UIDs out of the file meta information: then the data set's own are taken.
        """
        data_set = bytes(self._start[head.length :])
        self._start.clear()
        if not _names_object(head):
            sop_class, instance = uids_of(data_set[:_ENOUGH], head.transfer_syntax_uid)
            head = Head(head.sop_class_uid or sop_class, head.sop_instance_uid or instance, head.transfer_syntax_uid, 0)
        self._head = head
        if head.sop_class_uid not in STORED_SOP_CLASSES:
            self.refuse(admission.SOP_CLASS)
            return
        if head.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            self.refuse(admission.TRANSFER_SYNTAX)
            return
        self._file = self._reception.open(self._sender.source)
        self._file.write(
            file_head(head.sop_class_uid, head.sop_instance_uid, head.transfer_syntax_uid, self._sender.ae_title)
        )
        self._file.write(data_set)

    def _begin_short(self) -> None:
        """Begin with a file that ended before there was enough of it to begin."""
        try:
            head = read_head(self._start)
            if head is not None:
                self._begin(head)
        except BadHead:
            self.refuse(admission.NOT_PART_10)
        except (StoreError, OSError) as error:
            self._refuse_for(error)

    def _refuse_for(self, error: Exception) -> None:
        self._refusal = self._reception.refuse(self._request(), error)
        self.abandon()

    def _request(self) -> StoreRequest:
        head = self._head or _UNKNOWN
        return StoreRequest(
            calling_ae_title=self._sender.ae_title,
            abstract_syntax_uid=_valid(head.sop_class_uid),
            transfer_syntax_uid=_valid(head.transfer_syntax_uid),
            affected_sop_class_uid=_valid(head.sop_class_uid),
            affected_sop_instance_uid=head.sop_instance_uid,
            source=self._sender.source,
            way=self._sender.way,
            address=self._sender.address,
            only_study_uid=self._only_study_uid,
        )


def _valid(uid: str) -> str:
    """The UID where it is one: what goes into logs and answers is never anything else."""
    return uid if _UID.fullmatch(uid) else ""


def _names_object(head: Head) -> bool:
    return bool(head.sop_class_uid and head.sop_instance_uid)
