"""What the stages tell the audit trail: once for each event, with who it was and nothing of the data set's contents."""

from __future__ import annotations

import socket
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import decode

from ocunet_pacs.domain.audit import Alert, AuditEvent, AuditOutcome, Party, Queried, Received, SecurityAlert
from ocunet_pacs.intake.access import SourceRule
from ocunet_pacs.intake.archive import ArchivePeer
from ocunet_pacs.intake.tls import TlsConfig
from tests.certificates import self_signed
from tests.daemon import wait_until
from tests.dcmtk import HOST, echoscu, storescu
from tests.integration.faulty_archive import FaultyArchive, served
from tests.integration.objects import OP_8_BIT, photograph, write
from tests.integration.past_studies import Site, past_study
from tests.integration.web import multipart, web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Receiver

pytestmark = pytest.mark.peers
CAMERA = Party("", "CAMERA", "127.0.0.1")


def alerts(told: list[AuditEvent]) -> list[SecurityAlert]:
    return [event for event in told if isinstance(event, SecurityAlert)]


def test_an_instance_is_told_when_it_is_kept_and_told_again_as_no_new_one(
    start: Callable[..., Receiver], tmp_path: Path
) -> None:
    receiver = start(sources=(SourceRule("camera", "CAMERA"),))
    ds = photograph()
    ds.PatientID = "PAT-4711"
    sent = write(ds, tmp_path / "sent.dcm")
    for _ in range(2):
        assert storescu(receiver.port, sent).status == 0
    first, second = receiver.told
    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert first.sender == Party("camera", "CAMERA", "127.0.0.1")
    assert (first.study_instance_uid, first.sop_class_uid) == (str(ds.StudyInstanceUID), OP_8_BIT)
    assert first.patient.number == "PAT-4711"
    assert len(first.patient.pseudonym) == 64
    assert (first.is_new, second.is_new) == (True, False)
    assert (first.patient, first.asked_for) == (second.patient, False)


def test_what_was_refused_is_no_transfer(start: Callable[..., Receiver], tmp_path: Path) -> None:
    receiver = start(min_free_bytes=1 << 60)
    assert storescu(receiver.port, write(photograph(), tmp_path / "sent.dcm")).status != 0
    assert receiver.told == []


@pytest.mark.parametrize(
    ("settings", "called", "word"),
    [
        ({}, "SOMEBODY", "called_ae_title"),
        ({"others": None}, "OCUNET", "calling_ae_title"),
        ({"others": None, "sources": (SourceRule("other", "OTHER"),)}, "OCUNET", "calling_ae_title"),
    ],
)
def test_who_is_turned_away_is_an_alert(
    settings: dict[str, object], called: str, word: str, start: Callable[..., Receiver]
) -> None:
    receiver = start(**settings)
    assert echoscu(receiver.port, called=called).status != 0
    (alert,) = receiver.told
    assert alert == SecurityAlert(Alert.NODE_AUTHENTICATION, f"association rejected: {word}", CAMERA)


def test_a_full_house_is_no_alert(start: Callable[..., Receiver]) -> None:
    receiver = start(max_associations=1, sources=(SourceRule("camera", "CAMERA", max_associations=0),))
    assert echoscu(receiver.port).status != 0
    wait_until(lambda: receiver.counted["associations", "rejected", "source_limit"], "it to be counted", 10)
    assert receiver.told == []


def test_a_tls_handshake_that_fails_is_an_alert(start: Callable[..., Receiver], tmp_path: Path) -> None:
    pair = self_signed(tmp_path, "localhost")
    receiver = start(port=None, tls=TlsConfig(pair.certificate, pair.key))
    with socket.create_connection(("127.0.0.1", receiver.listener.tls_port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wait_until(lambda: receiver.told, "the alert", 10)
    (alert,) = alerts(receiver.told)
    assert (alert.alert, alert.party) == (Alert.NODE_AUTHENTICATION, Party(address="127.0.0.1"))
    assert alert.description.startswith("TLS handshake failed: ")


def test_a_backfill_tells_what_it_asked_and_what_it_fetched(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    try:
        with served(FaultyArchive([past_study("20240305", images=2)])) as port:
            site.run(ArchivePeer("archive", "FAULTY", HOST, port))
    finally:
        site.close()
    archive = Party("archive", "FAULTY", HOST)
    asked = [event for event in site.told if isinstance(event, Queried)]
    assert {event.archive for event in asked} == {archive}
    assert {event.outcome for event in asked} == {AuditOutcome.SUCCESS}
    levels = []
    for event in asked:
        implicit = event.transfer_syntax_uid == ImplicitVRLittleEndian
        levels.append(decode(BytesIO(event.identifier), implicit, True).QueryRetrieveLevel)
    assert set(levels) == {"STUDY", "SERIES", "IMAGE"}
    came = [event for event in site.told if isinstance(event, Received)]
    assert [(event.sender, event.asked_for) for event in came] == [(archive, True)] * 2


def test_a_query_that_is_refused_is_told_as_one_that_failed(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    try:
        with served(FaultyArchive([past_study("20240305")], modalities="refuse")) as port:
            site.run(ArchivePeer("archive", "FAULTY", HOST, port))
    finally:
        site.close()
    first, *others = [event.outcome for event in site.told if isinstance(event, Queried)]
    assert first is AuditOutcome.MINOR_FAILURE
    assert set(others) == {AuditOutcome.SUCCESS}


def test_the_web_tells_who_brought_something_and_who_had_no_token(tmp_path: Path) -> None:
    with web(tmp_path / "site") as service:
        body = multipart(write(photograph(), tmp_path / "sent.dcm").read_bytes())
        assert service.post(body, token="wrong").status_code == 401
        assert service.post(body).status_code == 200
        told = list(service.told)
    alert, came = told
    assert isinstance(alert, SecurityAlert)
    assert (alert.alert, alert.party) == (Alert.NODE_AUTHENTICATION, Party(address=HOST))
    assert isinstance(came, Received)
    assert came.sender == Party("stow", "", HOST), "what stands for an AE title is none"
