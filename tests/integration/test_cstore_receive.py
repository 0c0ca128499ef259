"""What peers send, what they are told, and what is on disk and in the ledger afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from ocunet_pacs.domain.errors import DatabaseError, StoreFull
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from ocunet_pacs.intake.eligibility import eligibility
from ocunet_pacs.store.files import Files
from tests.dcmtk import echoscu, storescu
from tests.integration.ledgers import FileLedger
from tests.integration.objects import OP_8_BIT, SECONDARY_CAPTURE, data_set_of, encoded, photograph, write
from tests.integration.raw_sender import association, send_beginning, send_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.integration.conftest import Receiver

# storescu's option for each transfer syntax that it can propose.
PROPOSALS = {
    "-xi": "1.2.840.10008.1.2",
    "-xe": "1.2.840.10008.1.2.1",
    "-xd": "1.2.840.10008.1.2.1.99",
    "-xb": "1.2.840.10008.1.2.2",
    "-xy": "1.2.840.10008.1.2.4.50",
    "-xx": "1.2.840.10008.1.2.4.51",
    "-xs": "1.2.840.10008.1.2.4.70",
    "-xt": "1.2.840.10008.1.2.4.80",
    "-xu": "1.2.840.10008.1.2.4.81",
    "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91",
    "-xr": "1.2.840.10008.1.2.5",
}


def compressed(ds: Dataset, transfer_syntax: str) -> Dataset:
    """The object with some encapsulated frame: receiving never looks into it."""
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    if UID(transfer_syntax).is_encapsulated:
        ds.PixelData = encapsulate([b"\xff\xd8 some code stream \xff\xd9"])
    return ds


def same_data_set(sent: Dataset, received: Dataset) -> bool:
    return [e for e in sent if e.tag.element] == [e for e in received if e.tag.element]


@pytest.mark.peers
@pytest.mark.parametrize("option", PROPOSALS)
def test_stores_each_transfer_syntax_that_dcmtk_sends(option: str, receiver: Receiver, tmp_path: Path) -> None:
    sent = write(compressed(photograph(), PROPOSALS[option]), tmp_path / "sent.dcm")
    done = storescu(receiver.port, sent, options=(option,))
    assert done.status == 0, done.text
    (stored,) = receiver.stored()
    received = pydicom.dcmread(stored)
    assert received.file_meta.TransferSyntaxUID == PROPOSALS[option]
    assert received.file_meta.SourceApplicationEntityTitle == "CAMERA"
    assert same_data_set(pydicom.dcmread(sent), received)
    (row,) = receiver.ledger.rows()
    assert receiver.files.path(row["file_key"]) == stored
    assert row["size_bytes"] == stored.stat().st_size
    assert receiver.half_received() == []


@pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("sop_class", [STORED_SOP_CLASSES[0], STORED_SOP_CLASSES[-1]])
def test_keeps_the_data_set_byte_for_byte(sop_class: str, transfer_syntax: str, receiver: Receiver) -> None:
    ds = compressed(photograph(), transfer_syntax)
    ds.SOPClassUID = sop_class
    content = data_set_of(ds)
    with association(receiver.port, sop_class, transfer_syntax) as peer:
        assert send_bytes(peer, sop_class, ds.SOPInstanceUID, content) == (0x0000, "")
    (stored,) = receiver.stored()
    assert stored.read_bytes().endswith(content)


def test_accepts_every_storage_class_of_the_conformance_statement(receiver: Receiver) -> None:
    for sop_class in STORED_SOP_CLASSES:
        ds = photograph()
        ds.SOPClassUID = sop_class
        with association(receiver.port, sop_class) as peer:
            assert send_bytes(peer, sop_class, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
    assert len(receiver.ledger.rows()) == len(STORED_SOP_CLASSES)


# --- refused: status and Error Comment -------------------------------------------------------------------------------


def without(ds: Dataset, *keywords: str) -> Dataset:
    for keyword in keywords:
        delattr(ds, keyword)
    return ds


def with_value(ds: Dataset, keyword: str, value: Any) -> Dataset:
    setattr(ds, keyword, value)
    return ds


def sent() -> Dataset:
    """A photograph with the UID that the request names."""
    return with_value(photograph(), "SOPInstanceUID", SENT)


SENT = "1.2.826.0.1.3680043.8.498.4711"
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "not DICOM": (b"This is a text, not a data set. " * 40, 0xC000, ""),
    "random bytes": (bytes(range(7, 256)) * 9, 0xC000, ""),
    "empty": (b"", 0xC000, ""),
    "truncated in Pixel Data": (encoded(sent())[:-700], 0xC000, "cut"),
    "truncated in the header": (encoded(sent())[:100], 0xC000, ""),
    "no Study Instance UID": (encoded(without(sent(), "StudyInstanceUID")), 0xC000, "Study Instance UID"),
    "no Series Instance UID": (encoded(without(sent(), "SeriesInstanceUID")), 0xC000, "Series Instance UID"),
    "no SOP Instance UID": (encoded(without(sent(), "SOPInstanceUID")), 0xC000, "SOP Instance UID"),
    "another SOP Class": (encoded(with_value(sent(), "SOPClassUID", SECONDARY_CAPTURE)), 0xA900, "SOP Class"),
    "another instance": (encoded(sent()), 0xA900, "SOP Instance UID"),
}


@pytest.mark.peers
@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_a_status_and_a_comment_and_keeps_nothing(case: str, receiver: Receiver) -> None:
    content, expected, words = REFUSED[case]
    affected = "1.2.3.4" if case == "another instance" else SENT
    with association(receiver.port, OP_8_BIT) as peer:
        status, comment = send_bytes(peer, OP_8_BIT, affected, content)
    assert (status, words in comment) == (expected, True), comment
    assert 0 < len(comment) <= 64
    assert receiver.stored() == []
    assert receiver.half_received() == []
    assert receiver.ledger.rows() == []
    assert echoscu(receiver.port).status == 0


def test_answers_a_request_without_its_mandatory_elements(receiver: Receiver) -> None:
    with association(receiver.port, OP_8_BIT) as peer:
        status, comment = send_bytes(peer, OP_8_BIT, None, encoded(photograph()))
        assert (status, comment) == (0xC000, "The request lacks a mandatory element of its command set")
        ds = photograph()
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
    assert receiver.half_received() == []


@pytest.mark.peers
def test_shows_the_sender_the_comment(receiver: Receiver, tmp_path: Path) -> None:
    ds = without(photograph(), "StudyInstanceUID")
    done = storescu(receiver.port, write(ds, tmp_path / "a.dcm"))
    assert "0xc000" in done.text
    assert "Study Instance UID is missing or empty" in done.text


@pytest.mark.peers
def test_does_not_negotiate_a_class_that_it_does_not_store(receiver: Receiver, tmp_path: Path) -> None:
    ds = photograph()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    done = storescu(receiver.port, write(ds, tmp_path / "ct.dcm"), options=("-R",))
    assert done.status != 0
    assert receiver.stored() == []
    assert echoscu(receiver.port).status == 0


# --- accepted, for a reason that is recorded later -------------------------------------------------------------------


def jpeg_that_is_none() -> Dataset:
    return compressed(photograph(), "1.2.840.10008.1.2.4.50")


def with_umlauts() -> Dataset:
    ds = photograph()
    ds.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    return ds


ACCEPTED: dict[str, tuple[Callable[[], Dataset], str]] = {
    "missing Pixel Data": (lambda: without(photograph(), "PixelData"), "no_pixel_data"),
    "unreadable JPEG": (jpeg_that_is_none, ""),
    "zero size": (lambda: photograph(rows=0, columns=0), "no_pixel_data"),
    "1 by 1": (lambda: photograph(rows=1, columns=1), ""),
    "monochrome": (lambda: photograph(samples=1), "not_colour"),
    "four samples": (lambda: photograph(samples=4), "unsupported_photometric_interpretation"),
    "no patient": (lambda: without(photograph(), "PatientName", "PatientID"), ""),
    "Japanese name": (with_umlauts, ""),
}


@pytest.mark.peers
@pytest.mark.parametrize("case", ACCEPTED)
def test_takes_what_is_odd_but_whole(case: str, receiver: Receiver, tmp_path: Path) -> None:
    make, reason = ACCEPTED[case]
    sent = write(make(), tmp_path / "sent.dcm")
    done = storescu(receiver.port, sent, options=("-xy",) if case == "unreadable JPEG" else ())
    assert done.status == 0, done.text
    (stored,) = receiver.stored()
    verdict = eligibility(read_header(stored))
    stopped = verdict.stop or verdict.afterwards
    assert (stopped.code if stopped else "") == reason
    assert echoscu(receiver.port).status == 0


# --- resends, our own objects, resources -----------------------------------------------------------------------------


@pytest.mark.peers
def test_a_resend_is_acknowledged_and_changes_nothing(receiver: Receiver, tmp_path: Path) -> None:
    path = write(photograph(), tmp_path / "a.dcm")
    assert storescu(receiver.port, path).status == 0
    before = (receiver.stored(), receiver.ledger.rows())
    assert storescu(receiver.port, path, calling="OTHER").status == 0
    assert (receiver.stored(), receiver.ledger.rows()) == before
    assert receiver.half_received() == []


def test_our_own_results_open_no_study(receiver: Receiver) -> None:
    ds = photograph()
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.Manufacturer, ds.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    with association(receiver.port, SECONDARY_CAPTURE) as peer:
        assert send_bytes(peer, SECONDARY_CAPTURE, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
    assert [row["opens_study"] for row in receiver.ledger.rows()] == [False]


def test_too_little_free_space_is_out_of_resources(start: Callable[..., Receiver]) -> None:
    receiver = start(min_free_bytes=1 << 60)
    ds = photograph()
    with association(receiver.port, OP_8_BIT) as peer:
        status, comment = send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))
        assert (status, comment) == (0xA700, "No space for another file; send again later")
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0xA700
    assert receiver.stored() == receiver.half_received() == []


class FillsUp(Files):
    """A store whose disk fills up while the second piece of an object is written."""

    def open_incoming(self, token: str) -> Any:
        file = super().open_incoming(token)
        write, pieces = file.write, []

        def once(data: bytes) -> None:
            pieces.append(data)
            if len(pieces) > 2:
                raise StoreFull("could not write an incoming file: No space left on device")
            write(data)

        file.write = once  # type: ignore[method-assign]
        return file


def test_a_disk_that_fills_up_in_the_middle_of_an_object(start: Callable[..., Receiver], tmp_path: Path) -> None:
    receiver = start(files=FillsUp(tmp_path / "full"))
    ds = photograph(rows=1024, columns=1024)
    with association(receiver.port, OP_8_BIT) as peer:
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0xA700
        small = photograph()
        assert send_bytes(peer, OP_8_BIT, small.SOPInstanceUID, encoded(small))[0] == 0x0000
    assert len(receiver.stored()) == 1
    assert receiver.half_received() == []


class Failing(FileLedger):
    """A database that goes away before, or after, it wrote the row."""

    after = False

    def record_instance(self, instance: Any, has_file: Any = None) -> Any:
        if self.after:
            super().record_instance(instance, has_file)
        raise DatabaseError("the database does not answer")


def test_without_a_row_there_is_no_success_and_no_file(start: Callable[..., Receiver], tmp_path: Path) -> None:
    receiver = start(ledger=Failing(tmp_path / "failing.db"))
    ds = photograph()
    with association(receiver.port, OP_8_BIT) as peer:
        status, comment = send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))
    assert (status, comment) == (0x0110, "The object could not be recorded; send again later")
    assert receiver.stored() == []


def test_a_row_that_was_written_in_spite_of_an_error_keeps_its_file(
    start: Callable[..., Receiver], tmp_path: Path
) -> None:
    ledger = Failing(tmp_path / "failing.db")
    ledger.after = True
    receiver = start(ledger=ledger)
    ds = photograph()
    with association(receiver.port, OP_8_BIT) as peer:
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0110
    (row,) = ledger.rows()
    assert receiver.stored() == [receiver.files.path(row["file_key"])]


# --- who may send, what is said about it -----------------------------------------------------------------------------


@pytest.mark.peers
def test_knows_its_own_name_and_its_senders(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("camera", "CAMERA"),), others=None)
    assert echoscu(receiver.port).status == 0
    assert "Called AE Title Not Recognized" in echoscu(receiver.port, called="SOMEBODY").text
    assert "Calling AE Title Not Recognized" in echoscu(receiver.port, calling="STRANGER").text


def test_logs_hold_one_line_an_object_and_no_patient_data(receiver: Receiver) -> None:
    good, bad = photograph(), without(photograph(), "StudyInstanceUID")
    with association(receiver.port, OP_8_BIT) as peer:
        for ds in (good, good, bad):
            send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))
    lines = [line for line in receiver.logged if line["event"].startswith("instance")]
    assert [line["event"] for line in lines] == ["instance_stored", "instance_repeated", "instance_refused"]
    assert lines[2]["status"] == "0xC000"
    text = repr(receiver.logged)
    for secret in ("Testperson", "T-4711", good.StudyInstanceUID, good.SOPInstanceUID, bad.SOPInstanceUID):
        assert secret not in text


def test_a_connection_that_breaks_leaves_nothing_behind(receiver: Receiver) -> None:
    ds = photograph(rows=1024, columns=1024)
    with association(receiver.port, OP_8_BIT) as peer:
        send_beginning(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds), pieces=8)
        _until(lambda: [p for p in receiver.half_received() if p.stat().st_size > 65536] != [])
        peer.abort()
    _until(lambda: receiver.listener.active_associations == 0)
    _until(lambda: receiver.half_received() == [])
    assert receiver.stored() == []


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it never happened")
