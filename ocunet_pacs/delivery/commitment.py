"""Asking an archive to commit to what it stored (PS3.4 annex J): the `Committer` port.

The answer comes as an event of the archive's: on the association that asked, when it is quick and the archive does it
this way, or on one that it opens to our listener (`intake.commitment`).
"""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from ocunet_pacs.delivery.association import associated
from ocunet_pacs.delivery.wire import Provider
from ocunet_pacs.domain.errors import BadInput, PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.imaging.commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    SOP_CLASS,
    SOP_INSTANCE,
    TRANSFER_SYNTAXES,
    read_commitment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import DimseServiceType
    from pynetdicom.pdu_primitives import P_DATA

    from ocunet_pacs.delivery.association import Destination
    from ocunet_pacs.domain.result import Commitment

_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
_SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_EVENT_TYPE = 0x0113
_INVALID_ARGUMENT_VALUE = 0x0115
# PS3.7 annex C: what passes, what passes over, and what says that the service is not there.
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
_BUSY = frozenset({_PROCESSING_FAILURE, 0x0131, 0x0210, 0x0213})
_NO_SERVICE = frozenset({0x0112, 0x0118, 0x0119, 0x0122, 0x0123, 0x0211})
_LARGEST_COMMAND_SET = 1 << 16
_LARGEST_DATA_SET = 1 << 20
_MOST_EVENTS = 16
"""That wait to be read."""
_LONGEST_SLEEP = 0.2


class CommitmentRequestor:
    """Asks over one association for each request, and stays there for `wait` to hear the answer. Safe for threads."""

    def __init__(self, destination: Destination, calling_ae_title: str, wait: timedelta) -> None:
        self._destination = destination
        self._calling_ae_title = calling_ae_title
        self._wait = wait

    def request(self, transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Commitment | None:
        """Ask about (SOP class, SOP instance); what it said within the wait, None when its answer is to come later.

        We are the SCU, which is what who associates is where no roles are proposed (PS3.7 section D.3.3.4). What is
        heard here is acknowledged before the caller records it: what gets lost in between is to be asked for again.

        PeerUnavailable: nobody answered, and whether it heard the question is not known. PeerBusy: it cannot for now,
        ask again with another transaction. PeerRefused: it does not do this at all, or not for us.
        """
        with ExitStack() as stack:
            try:
                context = build_context(SOP_CLASS, list(TRANSFER_SYNTAXES))
                association = stack.enter_context(associated(self._destination, self._calling_ae_title, [context]))
            except PeerRefused as error:
                raise self._no_service() from error
            messages = association.dimse = _Messages(association)
            answer, _ = association.send_n_action(
                _question(transaction_uid, instances), _REQUEST_COMMITMENT, SOP_CLASS, SOP_INSTANCE
            )
            self._judge(answer)
            return self._hear(association, messages, transaction_uid)

    def _judge(self, answer: Dataset) -> None:
        name = self._destination.name
        if "Status" not in answer:
            timeout = self._destination.timeout
            raise PeerUnavailable(f"{name}: asked to commit, but no answer came within {timeout}")
        status = cast("int", answer.Status)
        if status == _SUCCESS or status in _WARNINGS:
            return
        if status in _BUSY or status >> 8 == 0xA7:
            raise PeerBusy(f"{name}: cannot take a request to commit for now (status 0x{status:04X})", status)
        if status in _NO_SERVICE:
            raise self._no_service(status)
        raise PeerRefused(f"{name}: refused a request to commit (status 0x{status:04X})", status)

    def _no_service(self, status: int | None = None) -> PeerRefused:
        said = "" if status is None else f" (status 0x{status:04X})"
        return PeerRefused(
            f"{self._destination.name}: does not commit{said}: take commitment out of its settings", status
        )

    def _hear(self, association: Association, messages: _Messages, transaction_uid: str) -> Commitment | None:
        """What it says of the transaction while the wait lasts and the association does."""
        over = time.monotonic() + self._wait.total_seconds()
        while (left := over - time.monotonic()) > 0:
            try:
                context_id, event = messages.events.get(timeout=min(left, _LONGEST_SLEEP))
            except queue.Empty:
                if not association.is_established:
                    return None
                continue
            status, commitment = _read(event, _transfer_syntax(association, context_id), transaction_uid)
            messages.send_msg(_acknowledgement(event, status), context_id)
            if commitment is not None:
                return commitment
        return None


def _question(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Action Information (PS3.4 table J.3-1)."""
    question = Dataset()
    question.TransactionUID = transaction_uid
    question.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        question.ReferencedSOPSequence.append(item)
    return question


def _transfer_syntax(association: Association, context_id: int) -> str:
    """Of the context that a message came in; "" where it is none that was accepted."""
    return next((str(c.transfer_syntax[0]) for c in association.accepted_contexts if c.context_id == context_id), "")


def _read(event: N_EVENT_REPORT, transfer_syntax_uid: str, transaction_uid: str) -> tuple[int, Commitment | None]:
    """How an event is answered, and what it says of the transaction.

    One about another transaction fails here, so that the archive reports it to the listener, which knows them all.
    """
    if event.EventTypeID not in {ALL_COMMITTED, FAILURES_EXIST}:
        return _NO_SUCH_EVENT_TYPE, None
    content = event.EventInformation
    try:
        commitment = read_commitment(b"" if content is None else content.getvalue(), transfer_syntax_uid)
    except BadInput:
        return _INVALID_ARGUMENT_VALUE, None
    if commitment.transaction_uid != transaction_uid:
        return _PROCESSING_FAILURE, None
    return _SUCCESS, commitment


def _acknowledgement(event: N_EVENT_REPORT, status: int) -> N_EVENT_REPORT:
    answer = N_EVENT_REPORT()
    answer.MessageIDBeingRespondedTo = event.MessageID
    answer.AffectedSOPClassUID = event.AffectedSOPClassUID
    answer.AffectedSOPInstanceUID = event.AffectedSOPInstanceUID
    answer.EventTypeID = event.EventTypeID
    answer.Status = status
    return answer


class _Messages(Provider):
    """What an archive says on an association that we asked for: events apart from answers, and nothing without end.

    pynetdicom answers an event in a thread of its own, whose end nobody knows: the association might be released
    before the answer is sent.
    """

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.events: queue.Queue[tuple[int, N_EVENT_REPORT]] = queue.Queue(_MOST_EVENTS)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process a piece of a message. One that breaks the protocol, or the limits, ends the association."""
        message = self.message = self.message or DIMSEMessage()
        try:
            if not message.decode_msg(primitive, self.assoc):
                if message.encoded_command_set.tell() > _LARGEST_COMMAND_SET or _size(message) > _LARGEST_DATA_SET:
                    raise ValueError("a message without end")  # noqa: TRY301 - it is handled as a broken one is
                return
            said, self.message = message.message_to_primitive(), None
            if isinstance(said, N_EVENT_REPORT) and said.is_valid_request:
                self.events.put_nowait((message.context_id or 0, said))
            else:
                self.msg_queue.put((message.context_id or 0, cast("DimseServiceType", said)))
        except Exception:  # noqa: BLE001 - the bytes are the archive's; broken ones raise a dozen kinds
            self.dul.event_queue.put("Evt19")


def _size(message: DIMSEMessage) -> int:
    return 0 if message.data_set is None else message.data_set.tell()
