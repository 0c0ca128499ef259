"""What an archive says of storage commitment: read as pydicom reads it, and refused when it is no report."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.commitment import MAX_DEPTH, MAX_ELEMENTS, TRANSFER_SYNTAXES, read_commitment

UIDS = st.from_regex(r"2\.25\.[1-9][0-9]{0,30}", fullmatch=True)
REASONS = st.sampled_from((0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213))


def information(
    transaction: str, committed: list[str], failed: dict[str, int], *, undefined: bool = False, more: bool = False
) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.RetrieveAETitle = "ARCHIVE"
    ds.ReferencedSOPSequence = Sequence([_item(uid, None, undefined, more) for uid in committed])
    if failed:
        ds.FailedSOPSequence = Sequence([_item(uid, reason, undefined, more) for uid, reason in failed.items()])
    if undefined:
        for element in ds:
            element.is_undefined_length = element.VR == "SQ"
    return ds


def _item(uid: str, reason: int | None, undefined: bool, more: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", uid
    if reason is not None:
        item.FailureReason = reason
    if more:
        nested = Dataset()
        nested.ReferencedSOPInstanceUID = "2.25.999"
        item.ReferencedSOPSequence = [nested]
        item.add_new(0x00091001, "UN", b"\xff\xfe\xdd\xe0whatever")
        item[0x00081199].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return item


def encoded(ds: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == ImplicitVRLittleEndian, True
    write_dataset(buffer, ds)
    return buffer.getvalue()


@given(
    transaction=UIDS,
    committed=st.lists(UIDS, max_size=5, unique=True),
    failed=st.dictionaries(UIDS, REASONS, max_size=5),
    undefined=st.booleans(),
    more=st.booleans(),
    syntax=st.sampled_from(TRANSFER_SYNTAXES),
)
def test_everything_that_is_written_is_read(
    transaction: str, committed: list[str], failed: dict[str, int], undefined: bool, more: bool, syntax: str
) -> None:
    content = encoded(information(transaction, committed, failed, undefined=undefined, more=more), syntax)
    if not committed and not failed:
        with pytest.raises(BadInput, match="names no object"):
            read_commitment(content, syntax)
        return
    assert read_commitment(content, syntax) == Commitment(transaction, frozenset(committed) - failed.keys(), failed)


@given(content=st.binary(max_size=200), syntax=st.sampled_from(TRANSFER_SYNTAXES))
def test_whatever_the_bytes_are_they_are_read_or_refused(content: bytes, syntax: str) -> None:
    whole = encoded(information("2.25.1", ["2.25.2"], {"2.25.3": 0x0112}), syntax)
    for broken in (content, whole[: len(content)], whole + content, content + whole):
        with suppress(BadInput):
            assert read_commitment(broken, syntax).transaction_uid


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_what_is_cut_anywhere_says_nothing(syntax: str) -> None:
    whole = encoded(information("2.25.1", ["2.25.2", "2.25.3"], {}), syntax)
    for length in range(len(whole)):
        with pytest.raises(BadInput):
            read_commitment(whole[:length], syntax)
    assert len(read_commitment(whole, syntax).committed) == 2


def test_an_item_that_names_no_object_is_left_out() -> None:
    ds = information("2.25.1", ["2.25.2"], {"2.25.3": 0x0112})
    ds.ReferencedSOPSequence.append(Dataset())
    ds.FailedSOPSequence.append(Dataset())
    content = encoded(ds, ExplicitVRLittleEndian).replace(b"2.25.3", b"2.25\xe9!")
    assert read_commitment(content, ExplicitVRLittleEndian) == Commitment("2.25.1", frozenset({"2.25.2"}))


def test_a_failure_without_a_reason_is_one() -> None:
    ds = information("2.25.1", [], {"2.25.2": 0x0112})
    del ds.FailedSOPSequence[0].FailureReason
    assert read_commitment(encoded(ds, ExplicitVRLittleEndian), ExplicitVRLittleEndian).failed == {"2.25.2": 0x0110}


def test_sequences_that_are_called_unknown_are_read_all_the_same() -> None:
    """UN holds implicit VR (PS3.5 section 6.2.2); some archives relay what they do not know in this way."""
    inner = encoded(information("2.25.1", ["2.25.2"], {}), ImplicitVRLittleEndian)
    items = inner[inner.index(b"\xfe\xff\x00\xe0") :]
    head = encoded(information("2.25.1", [], {}), ExplicitVRLittleEndian)
    head = head[: head.index(b"\x08\x00\x99\x11")]
    content = head + struct.pack("<HH2sHL", 0x0008, 0x1199, b"UN", 0, len(items)) + items
    assert read_commitment(content, ExplicitVRLittleEndian) == Commitment("2.25.1", frozenset({"2.25.2"}))


@pytest.mark.parametrize("uid", ["", "not a UID", "2.25.1\\2.25.2", "1" * 65, "2.25.\u0661", "'; DROP"])
def test_a_transaction_that_is_no_uid_is_none(uid: str) -> None:
    value = uid.encode() + bytes(len(uid.encode()) % 2)
    content = encoded(information("2.25.1", ["2.25.2"], {}), ImplicitVRLittleEndian)
    start = content.index(b"\x08\x00\x95\x11")
    damaged = content[: start + 4] + struct.pack("<L", len(value)) + value + content[start + 14 :]
    with pytest.raises(BadInput, match="names no transaction"):
        read_commitment(damaged, ImplicitVRLittleEndian)


def test_a_thousand_objects_are_within_the_limits_and_fifty_thousand_elements_are_not() -> None:
    uids = [f"2.25.{n + 1}" for n in range(1000)]
    content = encoded(information("2.25.1", uids, {}), ExplicitVRLittleEndian)
    assert read_commitment(content, ExplicitVRLittleEndian).committed == set(uids)
    empty = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * MAX_ELEMENTS
    with pytest.raises(BadInput) as caught:
        read_commitment(struct.pack("<HHL", 0x0008, 0x1199, len(empty)) + empty, ImplicitVRLittleEndian)
    assert caught.value.reason.code is ReasonCode.TOO_LARGE
    deep = struct.pack("<HHLHHL", 0x0008, 0x1199, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * (MAX_DEPTH + 1)
    with pytest.raises(BadInput, match="broken"):
        read_commitment(deep, ImplicitVRLittleEndian)
