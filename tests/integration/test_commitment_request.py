"""Asking archives to commit: those that answer at once, later, with a failure, in pieces, not at all."""

from __future__ import annotations

import time
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.commitment import CommitmentRequestor
from ocunet_pacs.domain.errors import PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.imaging.commitment import SOP_CLASS, SOP_INSTANCE
from tests.dcmtk import HOST, free_port
from tests.integration.committing import Archive, archive, commits, event_information, report

if TYPE_CHECKING:
    from pynetdicom.association import Association

REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
OBJECTS = [(REPORT, f"2.25.{n}") for n in (1, 2, 3)]
UIDS = frozenset(uid for _, uid in OBJECTS)


def ask(port: int, *, wait: float = 20, timeout: float = 20, transaction: str = "2.25.77") -> Commitment | None:
    destination = Destination("pacs", "ARCHIVE", HOST, port, timedelta(seconds=timeout))
    return CommitmentRequestor(destination, "OCUNET", timedelta(seconds=wait)).request(transaction, OBJECTS)


def test_what_an_archive_says_at_once_is_heard_and_acknowledged() -> None:
    with archive(commits) as peer:
        assert ask(peer.port) == Commitment("2.25.77", UIDS)
        assert peer.released.wait(20)
    (asked,) = peer.asked
    assert asked.TransactionUID == "2.25.77"
    found = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence]
    assert found == OBJECTS
    assert peer.answers == [0x0000]
    # Who asks is the user where no roles are proposed.
    assert peer.roles == [{}]


def test_an_archive_of_implicit_vr_only_is_asked_in_it() -> None:
    with archive(commits, syntaxes=[ImplicitVRLittleEndian]) as peer:
        assert ask(peer.port) == Commitment("2.25.77", UIDS)
    assert peer.contexts == [ImplicitVRLittleEndian]


def test_an_archive_that_reports_before_it_answers_the_request() -> None:
    def hurried(association: Association, asked: Dataset, found: Archive) -> None:
        event = N_EVENT_REPORT()
        event.MessageID, event.EventTypeID = 9, 1
        event.AffectedSOPClassUID, event.AffectedSOPInstanceUID = SOP_CLASS, SOP_INSTANCE
        event.EventInformation = BytesIO(encoded(event_information(asked.TransactionUID, UIDS), association))
        association.dimse.send_msg(event, 1)

    with archive(meanwhile=hurried) as peer:
        assert ask(peer.port) == Commitment("2.25.77", UIDS)


def encoded(ds: Dataset, association: Association) -> bytes:
    from pynetdicom.dsutils import encode

    content = encode(ds, association.accepted_contexts[0].transfer_syntax[0].is_implicit_VR, True)
    assert content is not None
    return content


def test_failures_come_with_their_reasons() -> None:
    def partly(association: Association, asked: Dataset, found: Archive) -> None:
        said = event_information(asked.TransactionUID, ["2.25.1"], {"2.25.2": 0x0112, "2.25.3": 0x0131})
        found.answers.append(report(association, said, event_type=2))

    with archive(partly) as peer:
        assert ask(peer.port) == Commitment("2.25.77", frozenset({"2.25.1"}), {"2.25.2": 0x0112, "2.25.3": 0x0131})
    assert peer.answers == [0x0000]


def test_events_that_say_nothing_of_the_request_are_refused_and_the_wait_goes_on() -> None:
    def rambling(association: Association, asked: Dataset, found: Archive) -> None:
        other, empty = event_information("2.25.78", UIDS), event_information(asked.TransactionUID)
        found.answers += [report(association, other), report(association, empty), report(association, other, 3)]
        commits(association, asked, found)

    with archive(rambling) as peer:
        assert ask(peer.port) == Commitment("2.25.77", UIDS)
    # Another transaction's report belongs to the listener: the archive is to say it there.
    assert peer.answers == [0x0110, 0x0115, 0x0113, 0x0000]


def test_an_archive_that_says_nothing_within_the_wait_says_it_later() -> None:
    with archive() as peer:
        assert ask(peer.port, wait=0.3) is None
        assert peer.released.wait(20)
    with archive() as peer:
        assert ask(peer.port, wait=0) is None


@pytest.mark.parametrize("way", ["abort", "release"])
def test_an_archive_that_leaves_after_it_took_the_request_says_it_later(way: str) -> None:
    def leaves(association: Association, asked: Dataset, found: Archive) -> None:
        getattr(association, way)()

    begun = time.monotonic()
    with archive(leaves) as peer:
        assert ask(peer.port, wait=60) is None
        assert time.monotonic() - begun < 50, "it waited for somebody who had left"


def test_an_archive_that_drops_the_association_before_it_answers() -> None:
    drops = archive(meanwhile=lambda association, _asked, _found: association.abort())
    with drops as peer, pytest.raises(PeerUnavailable, match="no answer came"):
        ask(peer.port)


def test_an_archive_that_takes_the_request_and_falls_silent() -> None:
    silent = archive(meanwhile=lambda _association, _asked, found: found.aborted.wait(20))
    with silent as peer, pytest.raises(PeerUnavailable, match="no answer came within"):
        ask(peer.port, timeout=1)


def test_refusals_are_told_apart_and_a_service_that_is_not_there_is_called_so() -> None:
    busy, not_there = (0x0110, 0x0131, 0x0213, 0xA700), (0x0112, 0x0122, 0x0211)
    kinds: list[tuple[tuple[int, ...], type[Exception], str]] = [
        (busy, PeerBusy, "for now"),
        (not_there, PeerRefused, "take commitment out of its settings"),
        ((0x0124, 0xC001), PeerRefused, "refused a request to commit"),
    ]
    with archive() as peer:
        for statuses, error, words in kinds:
            for peer.status in statuses:
                with pytest.raises(error, match=words) as caught:
                    ask(peer.port)
                assert getattr(caught.value, "status", None) == peer.status


def test_an_archive_that_only_stores() -> None:
    with archive(sop_class=REPORT) as peer, pytest.raises(PeerRefused, match="take commitment out of its settings"):
        ask(peer.port)


def test_nobody_there_and_nobody_who_knows_us() -> None:
    with pytest.raises(PeerUnavailable, match="check that the PACS runs"):
        ask(free_port())
    with archive(require_calling_aet=["SOMEBODY"]) as peer, pytest.raises(PeerUnavailable, match="OCUNET; add it"):
        ask(peer.port)


@pytest.mark.parametrize("what", ["garbage", "flood", "endless"])
def test_an_archive_that_breaks_the_protocol_harms_nobody(what: str) -> None:
    def breaks(association: Association, asked: Dataset, found: Archive) -> None:
        # A command set that is none; very many events; a data set that does not end.
        if what == "garbage":
            send(association, b"\x03" + b"\xff" * 400)
            return
        event = b"".join(
            number.to_bytes(4, "little") + len(value).to_bytes(4, "little") + value
            for number, value in (
                (0x00020000, SOP_CLASS.encode() + bytes(len(SOP_CLASS) % 2)),
                (0x01000000, b"\x00\x01"),
                (0x01100000, b"\x05\x00"),
                (0x08000000, b"\x01\x01" if what == "flood" else b"\x01\x00"),
                (0x10000000, SOP_INSTANCE.encode() + bytes(len(SOP_INSTANCE) % 2)),
                (0x10020000, b"\x01\x00"),
            )
        )
        for _ in range(400):
            if not association.is_established:
                return
            send(association, b"\x03" + event if what == "flood" or _ == 0 else b"\x00" + bytes(16000))

    with archive(breaks) as peer:
        assert ask(peer.port, wait=60, timeout=3) is None
    with archive(commits) as peer:
        assert ask(peer.port) is not None


def send(association: Association, fragment: bytes) -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[1, fragment]]  # type: ignore[list-item]
    association.dul.send_pdu(primitive)
    time.sleep(0.001)
