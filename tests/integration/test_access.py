"""Who may associate and how fast: what a peer is told, what is logged and counted, and that its place is free again."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.scp import ListenerConfig
from ocunet_pacs.metrics import COUNTERS
from tests.dcmtk import echoscu, storescu
from tests.integration.objects import OP_8_BIT, SECONDARY_CAPTURE, encoded, photograph, write
from tests.integration.raw_sender import association, send_bytes
from tests.integration.requests import associate_request, reply_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Receiver

HERE = ip_network("127.0.0.0/8")
ELSEWHERE = ip_network("192.0.2.0/24")


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it never happened")


def rejections(receiver: Receiver) -> list[tuple[str, str, str]]:
    lines = [line for line in receiver.logged if line["event"] == "association_rejected"]
    return [(line["calling_ae_title"], line["address"], line["reason"]) for line in lines]


def send_one(port: int) -> tuple[int, str]:
    ds = photograph()
    with association(port, OP_8_BIT) as peer:
        return send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))


# What A-ASSOCIATE-RJ holds behind its reserved byte: result, source, reason (PS3.8 table 9-21).
@pytest.mark.parametrize(
    ("request_", "codes", "word"),
    [
        (associate_request(called="OTHER", calling="CAMERA"), (1, 1, 7), "called_ae_title"),
        (associate_request(calling="STRANGER"), (1, 1, 3), "calling_ae_title"),
        (associate_request(calling="FAR"), (1, 1, 3), "address"),
        (associate_request(calling="CAMERA", application_context="1.2.3"), (1, 1, 2), "application_context"),
        (associate_request(calling="CAMERA", protocol_version=2), (1, 2, 2), "protocol_version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_sender_that_is_turned_away_is_told_why(
    start: Callable[..., Receiver], request_: bytes, codes: tuple[int, int, int], word: str
) -> None:
    receiver = start(sources=(SourceRule("camera", "CAMERA", HERE), SourceRule("far", "FAR", ELSEWHERE)), others=None)
    answer = reply_to(receiver.port, request_)
    assert (answer[0], *answer[7:10]) == (3, *codes)
    until(lambda: receiver.listener.active_associations == 0)
    ((_, address, reason),) = rejections(receiver)
    assert (address, reason) == ("127.0.0.1", word)
    assert receiver.counted["associations", "rejected", word] == 1
    assert receiver.counted["security_events", f"unknown_{word}"] == 1


@pytest.mark.peers
def test_dcmtk_understands_what_it_is_told(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("camera", "CAMERA", HERE), SourceRule("far", "FAR", ELSEWHERE)), others=None)
    assert echoscu(receiver.port).status == 0
    assert "Called AE Title Not Recognized" in echoscu(receiver.port, called="SOMEBODY").text
    assert "Calling AE Title Not Recognized" in echoscu(receiver.port, calling="STRANGER").text
    assert "Calling AE Title Not Recognized" in echoscu(receiver.port, calling="FAR").text
    assert receiver.counted["associations", "accepted", ""] == 1


def test_every_count_has_the_labels_that_the_metrics_have(start: Callable[..., Receiver]) -> None:
    receiver = start()
    assert send_one(receiver.port)[0] == 0x0000
    reply_to(receiver.port, associate_request(called="OTHER"))
    until(lambda: receiver.counted["associations", "rejected", "called_ae_title"] == 1)
    for name, *labels in receiver.counted:
        assert len(labels) == len(COUNTERS[name][1]), name


def test_beyond_the_limit_a_sender_is_rejected_for_now_and_let_in_later(start: Callable[..., Receiver]) -> None:
    receiver = start(max_associations=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(association(receiver.port, OP_8_BIT))
        assert reply_to(receiver.port, associate_request())[7:10] == bytes((2, 3, 2))
    until(lambda: receiver.listener.active_associations == 0)
    assert send_one(receiver.port)[0] == 0x0000
    assert ("security_events", "unknown_limit") not in receiver.counted


def test_connections_that_ask_for_nothing_take_nobodys_place(start: Callable[..., Receiver]) -> None:
    receiver = start(max_associations=1)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=20))
        until(lambda: receiver.listener.active_associations == 5)
        assert send_one(receiver.port)[0] == 0x0000


def test_a_crowd_that_asks_for_nothing_is_limited_itself(
    start: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocunet_pacs.intake.server.WAITING_ROOM", 2)
    receiver = start(max_associations=1)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=20))
        until(lambda: receiver.listener.active_associations == 3)
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as one_too_many:
            assert one_too_many.recv(1) == b""
    until(lambda: receiver.listener.active_associations == 0)
    assert send_one(receiver.port)[0] == 0x0000


def test_each_source_has_its_own_limit(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("raw", "RAW", max_associations=1),))
    with association(receiver.port, OP_8_BIT):
        assert reply_to(receiver.port, associate_request(calling="RAW"))[7:10] == bytes((2, 3, 2))
        assert reply_to(receiver.port, associate_request(calling="OTHER"))[0] == 2
    assert [reason for _, _, reason in rejections(receiver)] == ["source_limit"]


def test_new_rules_judge_who_comes_and_leave_who_is_there(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("raw", "RAW"),), others=None)
    before = ListenerConfig("OCUNET", "127.0.0.1", 0, 0, sources=(SourceRule("raw", "RAW"),), others=None)
    ds = photograph()
    with association(receiver.port, OP_8_BIT) as peer:
        receiver.listener.change(replace(before, sources=(SourceRule("camera", "CAMERA"),), max_associations=2))
        assert reply_to(receiver.port, associate_request(calling="RAW"))[7:10] == bytes((1, 1, 3))
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
        assert echoscu(receiver.port, calling="CAMERA").status == 0
        receiver.listener.change(replace(before, sources=(SourceRule("camera", "CAMERA"),), max_associations=1))
        assert reply_to(receiver.port, associate_request(calling="CAMERA"))[7:10] == bytes((2, 3, 2))
    # Whoever came under the old rules gives the place back that he took.
    until(lambda: receiver.listener.active_associations == 0)
    assert echoscu(receiver.port, calling="CAMERA").status == 0


def test_a_source_that_sends_too_fast_is_told_to_come_later(start: Callable[..., Receiver]) -> None:
    now = 0.0
    receiver = start(sources=(SourceRule("raw", "RAW", max_instances_per_minute=2),), monotonic=lambda: now)
    assert [send_one(receiver.port)[0] for _ in range(2)] == [0x0000, 0x0000]
    status, comment = send_one(receiver.port)
    assert (status, comment) == (0xA700, "More objects a minute than agreed; send again later")
    assert receiver.half_received() == []
    assert len(receiver.stored()) == 2
    assert receiver.counted["instances", "refused", comment, "raw", "dicom"] == 1
    now = 61.0
    assert send_one(receiver.port)[0] == 0x0000


def test_what_is_stored_names_its_source(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("raw", "RAW", HERE),))
    assert send_one(receiver.port)[0] == 0x0000
    (line,) = [line for line in receiver.logged if line["event"] == "instance_stored"]
    assert line["source"] == "raw"
    assert receiver.counted["instances", "stored", "", "raw", "dicom"] == 1


def test_who_may_only_ask_is_offered_no_storage(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule(ae_title="RAW", echo_only=True),), others=None)
    assert reply_to(receiver.port, associate_request(calling="RAW"))[0] == 2
    # One context for storage: result 3, abstract syntax not supported (PS3.8 section 9.3.3.2).
    answer = reply_to(receiver.port, associate_request(calling="RAW", abstract_syntax=OP_8_BIT))
    assert answer[answer.index(b"\x21\x00") + 4 :][:3] == b"\x01\x00\x03"


# --- the end of an association -------------------------------------------------------------------------------------


def test_a_release_tells_which_studies_the_association_brought(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("raw", "RAW", close_on_release=True),))
    objects = [photograph(study=f"1.2.{number // 2 + 1}") for number in range(4)]
    with association(receiver.port, OP_8_BIT) as peer:
        for ds in objects:
            assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
        assert receiver.released == []
    until(lambda: receiver.released == [frozenset({"1.2.1", "1.2.2"})])


def test_an_abort_a_sender_that_stays_open_and_our_own_results_tell_nothing(start: Callable[..., Receiver]) -> None:
    receiver = start(sources=(SourceRule("raw", "RAW", close_on_release=True),))
    ds = photograph()
    with association(receiver.port, OP_8_BIT) as peer:
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
        peer.abort()
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.Manufacturer, ds.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    with association(receiver.port, SECONDARY_CAPTURE) as peer:
        send_bytes(peer, SECONDARY_CAPTURE, ds.SOPInstanceUID, encoded(ds))
    until(lambda: receiver.listener.active_associations == 0)
    assert receiver.released == []
    usual = start(ledger=receiver.ledger)
    assert send_one(usual.port)[0] == 0x0000
    until(lambda: usual.listener.active_associations == 0)
    assert usual.released == []


@pytest.mark.peers
def test_free_space_that_comes_back_lets_the_sender_in_again(
    start: Callable[..., Receiver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start(min_free_bytes=1000)
    path = write(photograph(), tmp_path / "a.dcm")
    with monkeypatch.context() as patch:
        patch.setattr(receiver.files, "free_bytes", lambda: 999)
        refused = storescu(receiver.port, path)
        assert "0xa700" in refused.text
    assert receiver.half_received() == []
    assert storescu(receiver.port, path).status == 0
