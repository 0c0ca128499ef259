"""Which status answers, and that comments fit into Error Comment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ocunet_pacs.domain.errors import DatabaseError, StoreError, StoreFull
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.intake import admission
from ocunet_pacs.intake.admission import Refusal, Status, admit, unreadable
from ocunet_pacs.intake.reception import refusal_for

OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
HEADER = ImageHeader(
    study_instance_uid="1.2.1",
    series_instance_uid="1.2.2",
    sop_instance_uid="1.2.3",
    sop_class_uid=OP,
    transfer_syntax_uid="1.2.840.10008.1.2.1",
)


def answer(header: ImageHeader = HEADER, affected_class: str = OP, context: str = OP) -> Refusal | None:
    return admit(affected_class, "1.2.3", context, header)


def test_takes_what_matches() -> None:
    assert answer() is None


@pytest.mark.parametrize("uid", ["1.02.3", "1.2.3.", "2.25." + "9" * 38])
def test_tolerates_uids_that_are_only_badly_formed(uid: str) -> None:
    assert answer(replace(HEADER, study_instance_uid=uid)) is None


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"study_instance_uid": ""}, Status.CANNOT_UNDERSTAND, "Study Instance UID is missing"),
        ({"series_instance_uid": ""}, Status.CANNOT_UNDERSTAND, "Series Instance UID is missing"),
        ({"sop_instance_uid": ""}, Status.CANNOT_UNDERSTAND, "SOP Instance UID is missing"),
        ({"study_instance_uid": "1.2." + "9" * 61}, Status.CANNOT_UNDERSTAND, "not a valid UID"),
        ({"study_instance_uid": "TESTPERSON"}, Status.CANNOT_UNDERSTAND, "not a valid UID"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, Status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs"),
        ({"sop_instance_uid": "1.2.4"}, Status.DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs"),
    ],
)
def test_refuses(change: dict[str, Any], status: Status, words: str) -> None:
    refusal = answer(replace(HEADER, **change))
    assert refusal is not None
    assert refusal.status == status
    assert words in refusal.comment
    assert "TESTPERSON" not in refusal.comment


def test_refuses_a_class_under_the_context_of_another() -> None:
    refusal = answer(context="1.2.840.10008.5.1.4.1.1.7")
    assert refusal is not None
    assert refusal.status == Status.DATA_SET_DOES_NOT_MATCH


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreFull("x"), 0xA700),
        (StoreError("x"), 0xA700),
        (DatabaseError("x"), 0x0110),
        (ValueError("x"), 0x0110),
    ],
)
def test_errors_have_a_status(error: Exception, status: int) -> None:
    assert refusal_for(error).status == status


def test_every_comment_fits() -> None:
    refusals = [value for value in vars(admission).values() if isinstance(value, Refusal)]
    refusals += [unreadable(Reason(code, "x")) for code in (ReasonCode.NOT_DICOM, ReasonCode.UNREADABLE_DATASET)]
    for field in ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid"):
        for value in ("", "x", "1.9"):
            refusal = answer(replace(HEADER, **{field: value}))
            if refusal is not None:
                refusals.append(refusal)
    assert len(refusals) > 12
    for refusal in refusals:
        assert 0 < len(refusal.comment) <= 64
        assert refusal.comment.isascii()
        assert "\\" not in refusal.comment
