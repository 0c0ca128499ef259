"""A sender that says what it likes: pynetdicom's association with hand-made requests."""

from __future__ import annotations

import time
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from ocunet_pacs.delivery.wire import Requestor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.association import Association

EXPLICIT = "1.2.840.10008.1.2.1"


@contextmanager
def association(port: int, sop_class: str, transfer_syntax: str = EXPLICIT) -> Iterator[Association]:
    """An established association with one storage context."""
    ae = Requestor(ae_title="RAW")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    established = ae.associate(
        "127.0.0.1", port, contexts=[build_context(sop_class, transfer_syntax)], ae_title="OCUNET"
    )
    assert established.is_established
    try:
        yield established
    finally:
        if established.is_established:
            established.release()


def send_bytes(
    established: Association, sop_class: str | None, sop_instance: str | None, content: bytes
) -> tuple[int, str]:
    """A C-STORE request with any bytes as its data set: (status, Error Comment) of the answer."""
    context_id = _context_id(established)
    established._reactor_checkpoint.clear()
    while not established._is_paused:
        time.sleep(0.001)
    established.dimse.send_msg(_request(sop_class, sop_instance, content), context_id)
    _, answer = established.dimse.get_msg(block=True)
    established._reactor_checkpoint.set()
    assert isinstance(answer, C_STORE), "no answer came"
    assert answer.Status is not None
    return answer.Status, str(answer.ErrorComment or "")


def send_beginning(established: Association, sop_class: str, sop_instance: str, content: bytes, pieces: int) -> None:
    """The command and the first `pieces` - 1 pieces of 64 KiB of a C-STORE request, and then nothing more."""
    message = C_STORE_RQ()
    message.primitive_to_message(_request(sop_class, sop_instance, content))
    encoded = message.encode_msg(_context_id(established), 65536)
    for _ in range(pieces):
        established.dul.send_pdu(next(encoded))


def _request(sop_class: str | None, sop_instance: str | None, content: bytes) -> C_STORE:
    request: Any = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance
    request.DataSet = BytesIO(content) if content else None
    return request  # type: ignore[no-any-return]


def _context_id(established: Association) -> int:
    context_id = established.accepted_contexts[0].context_id
    assert context_id is not None
    return context_id
