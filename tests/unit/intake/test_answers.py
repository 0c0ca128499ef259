"""Answers made by hand are those that pynetdicom makes."""

from __future__ import annotations

from typing import Any

import pytest
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE

from ocunet_pacs.intake.answers import store_answer


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xC000])
@pytest.mark.parametrize("comment", [None, "odd", "even"])
@pytest.mark.parametrize("uids", [("1.2.840.10008.5.1.4.1.1.7", "1.2.34"), ("1.2", "1.2.3")])
def test_the_bytes_are_the_librarys(status: int, comment: str | None, uids: tuple[str, str]) -> None:
    answer: Any = C_STORE()
    answer.MessageIDBeingRespondedTo = 513
    answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID = uids
    answer.Status = status
    if comment is not None:
        answer.ErrorComment = comment
    message = C_STORE_RSP()
    message.primitive_to_message(answer)
    (pdu,) = message.encode_msg(1, 16384)
    ((_, fragment),) = pdu.presentation_data_value_list
    assert store_answer(answer) == fragment[1:]


def test_a_request_without_uids_is_answered_without() -> None:
    answer: Any = C_STORE()
    answer.MessageIDBeingRespondedTo, answer.Status = 1, 0xC000
    assert store_answer(answer)[:4] == bytes(4)
    assert b"\x02\x00" + bytes(6) not in store_answer(answer)
