"""What archives tell the listener of commitment: kept, failed, unknown, garbage, and from whom."""

from __future__ import annotations

import struct
import threading
from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynetdicom.dsutils import encode

from ocunet_pacs.delivery.tls import pinned
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.imaging.commitment import SOP_CLASS, SOP_INSTANCE
from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.tls import TlsConfig
from ocunet_pacs.metrics import COUNTERS
from tests.certificates import self_signed
from tests.dcmtk import HOST, echoscu, storescu
from tests.integration.committing import CommittedLedger, archive, event_information, report, reporting
from tests.integration.objects import OP_8_BIT, photograph, write
from tests.integration.test_access import until
from tests.integration.test_commitment_request import ask
from tests.integration.upper_layer import EXPLICIT, IMPLICIT, ConnectionLost, Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Receiver

KNOWN = "2.25.77"
PAIRS = [(SOP_CLASS, EXPLICIT), (SOP_CLASS, IMPLICIT)]
COMMITTERS = {"ARCHIVE": "pacs", "HOSTILE": "other"}
HERE, ELSEWHERE = ip_network("127.0.0.0/8"), ip_network("192.0.2.0/24")


@pytest.fixture
def ledger(tmp_path: Path) -> CommittedLedger:
    return CommittedLedger(tmp_path / "rows.db", KNOWN)


@pytest.fixture
def receiver(start: Callable[..., Receiver], ledger: CommittedLedger) -> Receiver:
    return start(ledger=ledger, committers=COMMITTERS)


def said(transaction: str = KNOWN, *, implicit: bool = False, failed: dict[str, int] | None = None) -> bytes:
    content = encode(event_information(transaction, ["2.25.1", "2.25.2"], failed), implicit, True)
    assert content is not None
    return content


def outcomes(receiver: Receiver) -> dict[tuple[str, str], int]:
    return {(labels[0], labels[1]): n for (name, *labels), n in receiver.counted.items() if name == "commitments"}


@pytest.mark.parametrize(
    ("roles", "answered"),
    [((False, True), (False, True)), ((True, True), (False, True)), (None, None)],
    ids=["provider", "both", "none proposed"],
)
def test_what_an_archive_keeps_is_recorded_before_it_is_acknowledged(
    receiver: Receiver,
    ledger: CommittedLedger,
    roles: tuple[bool, bool] | None,
    answered: tuple[bool, bool] | None,
) -> None:
    with reporting(receiver.port, roles=roles) as association:
        # PS3.7 section D.3.3.4: whoever associates is the user, unless both agree on something else.
        agreed = {uid: (role.scu_role, role.scp_role) for uid, role in association.acceptor.role_selection.items()}
        assert agreed == ({} if answered is None else {SOP_CLASS: answered})
        assert report(association, event_information(KNOWN, ["2.25.1", "2.25.2"])) == 0x0000
        assert ledger.said == [Commitment(KNOWN, frozenset({"2.25.1", "2.25.2"}))]
    assert outcomes(receiver) == {("pacs", "committed"): 1}
    (line,) = (line for line in receiver.logged if line["event"] == "commitment_reported")
    assert (line["destination"], line["committed"], line["failed"], line["deliveries"]) == ("pacs", 2, 0, 2)


def test_failures_come_with_their_reasons(receiver: Receiver, ledger: CommittedLedger) -> None:
    with reporting(receiver.port) as association:
        partly = event_information(KNOWN, ["2.25.1"], {"2.25.2": 0x0112, "2.25.3": 0x0213})
        assert report(association, partly, event_type=2) == 0x0000
        # Named as kept and as failed: failed.
        assert report(association, event_information(KNOWN, ["2.25.1"], {"2.25.1": 0x0110})) == 0x0000
    assert ledger.said == [
        Commitment(KNOWN, frozenset({"2.25.1"}), {"2.25.2": 0x0112, "2.25.3": 0x0213}),
        Commitment(KNOWN, frozenset(), {"2.25.1": 0x0110}),
    ]
    assert outcomes(receiver) == {("pacs", "failed"): 2}


def test_a_transaction_that_nobody_waits_for_is_acknowledged_and_noted(receiver: Receiver) -> None:
    with reporting(receiver.port) as association:
        for _ in range(2):
            assert report(association, event_information("2.25.1234", ["2.25.1"])) == 0x0000
    assert outcomes(receiver) == {("pacs", "unknown"): 2}
    assert sum(line["event"] == "commitment_unknown" for line in receiver.logged) == 2


def test_while_the_database_is_away_the_archive_is_asked_to_say_it_again(
    receiver: Receiver, ledger: CommittedLedger
) -> None:
    with reporting(receiver.port) as association:
        for trouble in (DatabaseError("away"), RuntimeError("a bug")):
            ledger.trouble = trouble
            assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0110
        assert ledger.said == []
        ledger.trouble = None
        assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0000
    assert len(ledger.said) == 1
    assert outcomes(receiver) == {("pacs", "not_recorded"): 2, ("pacs", "committed"): 1}


@pytest.mark.parametrize("pair", PAIRS)
def test_reports_that_say_nothing_are_refused(receiver: Receiver, pair: tuple[str, str]) -> None:
    implicit = pair[1] == IMPLICIT
    with Peer(receiver.port, [pair]) as peer:
        assert peer.report(pair, None) == 0x0115
        assert peer.report(pair, b"") == 0x0115
        assert peer.report(pair, said(implicit=implicit)[:-3]) == 0x0115
        assert peer.report(pair, said(implicit=implicit).replace(b"2.25.77", b"no UID!")) == 0x0115
        for event_type in (0, 3, 0xFFFF):
            assert peer.report(pair, said(implicit=implicit), event_type=event_type) == 0x0113
        assert peer.report(pair, said(implicit=implicit)) == 0x0000
        peer.release()
    assert outcomes(receiver) == {("other", "refused"): 7, ("other", "committed"): 1}


def test_a_report_of_another_service_is_none_of_ours(receiver: Receiver, ledger: CommittedLedger) -> None:
    printing = "1.2.840.10008.5.1.1.9"
    with Peer(receiver.port, PAIRS) as peer:
        assert peer.report(PAIRS[0], said(), sop_class=printing) == 0x0118
        assert peer.report(("1.2.840.10008.1.1", IMPLICIT), said(implicit=True), sop_class=SOP_CLASS) == 0x0118
    assert ledger.said == []


def test_nobody_gets_a_commitment_from_us(receiver: Receiver) -> None:
    with reporting(receiver.port, roles=(True, False)) as association:
        assert association.accepted_contexts == []
    with reporting(receiver.port, roles=None) as association:
        answer, _ = association.send_n_action(event_information(KNOWN, ["2.25.1"]), 1, SOP_CLASS, SOP_INSTANCE)
        assert answer.Status == 0x0211


# --- who may ---------------------------------------------------------------------------------------------------------


def test_a_stranger_may_not_report(receiver: Receiver, ledger: CommittedLedger) -> None:
    with reporting(receiver.port, calling="STRANGER", contexts=["1.2.840.10008.1.1"]) as association:
        assert [cx.abstract_syntax for cx in association.accepted_contexts] == ["1.2.840.10008.1.1"]
        with pytest.raises(ValueError, match="presentation context"):
            report(association, event_information(KNOWN, ["2.25.1"]))
    # Nor in a context of another service.
    with Peer(receiver.port, [(OP_8_BIT, EXPLICIT)], calling="STRANGER") as peer:
        peer.send(peer.report_request((OP_8_BIT, EXPLICIT), said(), sop_class=SOP_CLASS))
        assert peer.answer()[0] == 0x0118
    assert ledger.said == []
    (line,) = (line for line in receiver.logged if line["event"] == "commitment_not_taken")
    assert line["calling_ae_title"] == "STRANGER"
    assert receiver.counted["security_events", "unknown_committer"] == 1


def test_where_only_listed_senders_may_an_archive_reports_and_does_not_send(
    start: Callable[..., Receiver], ledger: CommittedLedger, tmp_path: Path
) -> None:
    receiver = start(ledger=ledger, committers=COMMITTERS, others=None, sources=(SourceRule("camera", "CAMERA", HERE),))
    photo = write(photograph(), tmp_path / "a.dcm")
    assert storescu(receiver.port, photo, calling="ARCHIVE").status != 0
    assert receiver.stored() == []
    assert echoscu(receiver.port, calling="ARCHIVE").status == 0
    with reporting(receiver.port, contexts=[OP_8_BIT]) as association:
        assert [cx.abstract_syntax for cx in association.accepted_contexts] == [SOP_CLASS]
        assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0000
    assert storescu(receiver.port, photo, calling="CAMERA").status == 0
    with reporting(receiver.port, calling="STRANGER") as association:
        assert association.is_rejected
    assert len(ledger.said) == len(receiver.stored()) == 1


@pytest.mark.parametrize("others", [None, SourceRule()])
def test_an_archive_that_is_listed_with_an_address_reports_from_there_only(
    start: Callable[..., Receiver], ledger: CommittedLedger, others: SourceRule | None
) -> None:
    far = (SourceRule("pacs", "ARCHIVE", ELSEWHERE),)
    receiver = start(ledger=ledger, committers=COMMITTERS, others=others, sources=far)
    with reporting(receiver.port, contexts=["1.2.840.10008.1.1"]) as association:
        assert not [cx for cx in association.accepted_contexts if cx.abstract_syntax == SOP_CLASS]
        assert association.is_rejected == (others is None)
    near = start(ledger=ledger, committers=COMMITTERS, others=None, sources=(SourceRule("pacs", "ARCHIVE", HERE),))
    with reporting(near.port, contexts=[OP_8_BIT]) as association:
        # Listed, it may send too.
        assert len(association.accepted_contexts) == 2
        assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0000


def test_an_archive_reports_over_tls(start: Callable[..., Receiver], ledger: CommittedLedger, tmp_path: Path) -> None:
    pair = self_signed(tmp_path, "localhost")
    receiver = start(ledger=ledger, committers=COMMITTERS, tls=TlsConfig(pair.certificate, pair.key))
    for port, tls in ((receiver.port, None), (receiver.listener.tls_port, (pinned(pair.certificate), HOST))):
        with reporting(port, tls_args=tls) as association:
            assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0000
    assert len(ledger.said) == 2


# --- hostile ---------------------------------------------------------------------------------------------------------


def test_a_report_without_end_ends_the_association(receiver: Receiver, ledger: CommittedLedger) -> None:
    with Peer(receiver.port, PAIRS) as peer:
        request = peer.report_request(PAIRS[0], bytes(5 << 20))
        with suppress(OSError):
            peer.send(request)
        with pytest.raises((ConnectionLost, OSError)):
            peer.answer()
    until(lambda: receiver.listener.active_associations == 0)
    assert ledger.said == []
    with reporting(receiver.port) as association:
        assert report(association, event_information(KNOWN, ["2.25.1"])) == 0x0000


@pytest.mark.parametrize("missing", [0x0002, 0x0110, 0x0800, 0x1000, 0x1002])
def test_a_report_that_lacks_an_element_is_no_report(receiver: Receiver, ledger: CommittedLedger, missing: int) -> None:
    with Peer(receiver.port, PAIRS) as peer:
        whole = peer.report_request(PAIRS[0], said())
        start = whole.index(struct.pack("<HH", 0, missing))
        # An element that nobody knows in its place.
        peer.send(whole[:start] + struct.pack("<HH", 0, 0x7777) + whole[start + 4 :])
        with suppress(ConnectionLost, OSError):
            peer.report(PAIRS[0], said())
    for commitment in ledger.said:
        assert commitment == Commitment(KNOWN, frozenset({"2.25.1", "2.25.2"}))
    with Peer(receiver.port, PAIRS) as peer:
        assert peer.report(PAIRS[0], said()) == 0x0000


def _sequence(tag: int, content: bytes) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(content)) + content


ITEM, UNDEFINED = struct.pack("<HHL", 0xFFFE, 0xE000, 0), struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
HOSTILE = {
    "a hundred thousand empty items": _sequence(0x00081199, ITEM * 100_000),
    "deep, open": (struct.pack("<HHL", 0x0008, 0x1199, 0xFFFFFFFF) + UNDEFINED) * 50_000,
    "deep, elsewhere": (struct.pack("<HHL", 0x0009, 0x1001, 0xFFFFFFFF) + UNDEFINED) * 50_000,
    "items only": ITEM * 1000,
    "a hundred thousand elements": struct.pack("<HHL", 0x0009, 0x1001, 0) * 100_000,
    "past the end": struct.pack("<HHL", 0x0008, 0x1195, 0x7FFFFFFE) + b"2.25.77\0",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_large_and_deep_reports_are_refused_in_a_moment(receiver: Receiver, name: str) -> None:
    with Peer(receiver.port, PAIRS) as peer:
        assert peer.report(PAIRS[1], HOSTILE[name]) == 0x0115
        assert peer.report(PAIRS[1], said(implicit=True)) == 0x0000


def test_a_crowd_of_reports_is_served_one_after_the_other(receiver: Receiver, ledger: CommittedLedger) -> None:
    before, most = threading.active_count(), 0
    with Peer(receiver.port, PAIRS) as peer:
        for _ in range(10):
            peer.send(peer.report_request(PAIRS[0], said()) * 50)
            for _ in range(50):
                assert peer.answer()[0] == 0x0000
                most = max(most, threading.active_count())
    assert len(ledger.said) == 500
    assert most - before < 10


@pytest.fixture(scope="module")
def mutable() -> dict[str, bytes]:
    return {EXPLICIT: said(failed={"2.25.3": 0x0112}), IMPLICIT: said(implicit=True, failed={"2.25.3": 0x0112})}


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_reports_are_answered_and_the_listener_goes_on(
    receiver: Receiver, ledger: CommittedLedger, mutable: dict[str, bytes], data: st.DataObject
) -> None:
    pair = data.draw(st.sampled_from(PAIRS))
    whole = mutable[pair[1]]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                content[place] = data.draw(st.integers(0, 255))
            case 1:
                del content[place : place + data.draw(st.integers(1, 40))]
            case 2:
                content[place:place] = data.draw(st.binary(min_size=1, max_size=40))
            case _:
                content[place : place + 4] = b"\xff\xff\xff\xff"
        content = content or bytearray(whole)
    ledger.said.clear()
    with Peer(receiver.port, [pair]) as peer:
        assert peer.report(pair, bytes(content)) in {0x0000, 0x0115}
        assert peer.report(pair, whole) == 0x0000
        peer.release()
    for commitment in ledger.said:
        for uid in (*commitment.committed, *commitment.failed):
            assert set(uid) <= set("0123456789."), "what is no UID may not reach the database"


def test_images_are_received_meanwhile(receiver: Receiver, ledger: CommittedLedger, tmp_path: Path) -> None:
    over = threading.Event()
    answers: list[Any] = []

    def report_on() -> None:
        with Peer(receiver.port, PAIRS) as peer:
            while not over.is_set():
                answers.append(peer.report(PAIRS[1], HOSTILE["a hundred thousand empty items"]))
                answers.append(peer.report(PAIRS[0], said()))

    reporter = threading.Thread(target=report_on)
    reporter.start()
    try:
        until(lambda: len(answers) > 2)
        paths = [write(photograph(), tmp_path / f"{n}.dcm") for n in range(5)]
        assert storescu(receiver.port, *paths).status == 0
    finally:
        over.set()
        reporter.join(60)
    assert len(receiver.stored()) == 5
    assert set(answers) == {0x0115, 0x0000}


# --- both ends -------------------------------------------------------------------------------------------------------


def test_an_archive_that_answers_later_answers_at_the_listener(receiver: Receiver, ledger: CommittedLedger) -> None:
    def later(_association: Any, asked: Any, found: Any) -> None:
        found.released.wait(20)
        with reporting(receiver.port) as association:
            uids = [item.ReferencedSOPInstanceUID for item in asked.ReferencedSOPSequence]
            found.answers.append(report(association, event_information(asked.TransactionUID, uids)))

    with archive(later) as peer:
        assert ask(peer.port, wait=0.2) is None
        until(lambda: peer.answers == [0x0000])
    assert ledger.said == [Commitment(KNOWN, frozenset({"2.25.1", "2.25.2", "2.25.3"}))]


def test_every_count_has_the_labels_that_the_metrics_have(receiver: Receiver) -> None:
    with reporting(receiver.port) as association:
        report(association, event_information(KNOWN, ["2.25.1"]))
    for name, *labels in receiver.counted:
        assert len(labels) == len(COUNTERS[name][1]), name
