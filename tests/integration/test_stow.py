"""STOW-RS from outside: stored as by C-STORE, answered as PS3.18 wants it, and no sender harms another."""

from __future__ import annotations

import io
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from ocunet_pacs.domain.errors import ConfigError, StoreFull
from ocunet_pacs.settings import from_tree
from ocunet_pacs.store.files import Files
from tests.daemon import wait_until
from tests.integration.ledgers import FileLedger
from tests.integration.objects import OP_8_BIT, data_set_of, photograph
from tests.integration.web import HOST, MULTIPART, TOKEN, Web, make_certificates, multipart, raw, request_head, web

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Web]:
    with web(tmp_path) as running:
        yield running


def file_of(ds: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def module(answer: httpx.Response) -> pydicom.Dataset:
    assert answer.headers["content-type"] == "application/dicom+json"
    return pydicom.Dataset.from_json(answer.text)


def test_a_study_is_stored_as_by_c_store(service: Web) -> None:
    study = generate_uid()
    sent = [photograph(study=study) for _ in range(3)]
    answer = service.post(multipart(*map(file_of, sent)))
    assert answer.status_code == 200
    said = module(answer)
    assert [item.ReferencedSOPInstanceUID for item in said.ReferencedSOPSequence] == [ds.SOPInstanceUID for ds in sent]
    assert [item.ReferencedSOPClassUID for item in said.ReferencedSOPSequence] == [OP_8_BIT] * 3
    assert "FailedSOPSequence" not in said
    rows = service.ledger.rows()
    assert [row["sop_instance_uid"] for row in rows] == [ds.SOPInstanceUID for ds in sent]
    for ds, row in zip(sent, rows, strict=True):
        kept = (service.files.root / row["file_key"]).read_bytes()
        assert kept.endswith(data_set_of(ds))
        assert pydicom.dcmread(io.BytesIO(kept)).PatientID == ds.PatientID
        assert len(kept) == row["size_bytes"]
    assert not service.half_received()
    assert service.counted[("instances", "stow", "stow", "stored", "")] == 3


def test_what_is_there_already_is_acknowledged_and_stored_once(service: Web) -> None:
    body = multipart(file_of(photograph()))
    for _ in range(2):
        assert service.post(body).status_code == 200
    assert len(service.stored()) == len(service.ledger.rows()) == 1


def test_a_single_file_without_multipart(service: Web) -> None:
    ds = photograph()
    answer = service.post(file_of(ds), path=f"/{ds.StudyInstanceUID}", content_type="application/dicom")
    assert answer.status_code == 200
    assert len(service.stored()) == 1


def test_some_stored_and_some_not(service: Web) -> None:
    good, foreign_class, foreign_syntax, unlike = photograph(), photograph(), photograph(), photograph()
    foreign_class.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    other = file_of(unlike).replace(unlike.SOPInstanceUID.encode(), b"9" * len(unlike.SOPInstanceUID), 1)
    syntax = file_of(foreign_syntax).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.1\0", 1)
    cut = file_of(photograph())[:-100]
    answer = service.post(multipart(file_of(good), file_of(foreign_class), syntax, other, cut, b"no DICOM" * 40, b""))
    assert answer.status_code == 202
    said = module(answer)
    assert [item.ReferencedSOPInstanceUID for item in said.ReferencedSOPSequence] == [good.SOPInstanceUID]
    assert [int(item.FailureReason) for item in said.FailedSOPSequence] == [0x0122, 0xC122, 0xA900, 0xC000]
    assert [int(item.FailureReason) for item in said.OtherFailuresSequence] == [0xC000, 0xC000]
    assert len(service.stored()) == 1
    assert not service.half_received()
    answer = service.post(multipart(file_of(foreign_class)))
    assert answer.status_code == 409


def test_the_study_in_the_path_is_the_only_one_that_is_taken(service: Web) -> None:
    good, other = photograph(), photograph()
    answer = service.post(multipart(file_of(good), file_of(other)), path=f"/{good.StudyInstanceUID}")
    assert answer.status_code == 202
    failed = module(answer).FailedSOPSequence
    assert [(item.ReferencedSOPInstanceUID, int(item.FailureReason)) for item in failed] == [
        (other.SOPInstanceUID, 0xA900)
    ]
    assert service.post(multipart(file_of(good)), path="/1.2.x").status_code == 400
    assert service.post(multipart(file_of(good)), path="/" + "1" * 65).status_code == 400


def test_the_answer_comes_as_json_or_xml(service: Web) -> None:
    ds = photograph()
    body = multipart(file_of(ds), b"")
    assert service.post(body, accept="application/dicom+xml;q=0.5, application/json").json()["00081199"]["vr"] == "SQ"
    answer = service.post(body, accept="application/dicom+xml")
    assert answer.headers["content-type"] == "application/dicom+xml"
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    root = ET.fromstring(answer.content)
    assert root.tag == f"{space}NativeDicomModel"
    stored = root.find(f"{space}DicomAttribute[@keyword='ReferencedSOPSequence']/{space}Item")
    assert stored is not None
    values = {a.get("keyword"): a.findtext(f"{space}Value") for a in stored}
    assert values == {
        "ReferencedSOPClassUID": OP_8_BIT,
        "ReferencedSOPInstanceUID": ds.SOPInstanceUID,
        "RetrieveURL": None,
    }
    assert service.post(body, accept="text/html").status_code == 406
    assert service.post(body, accept="application/dicom+json;q=0").status_code == 406


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; type=application/dicom+json; boundary=x",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "",
    ],
)
def test_other_media_types_are_415(service: Web, content_type: str) -> None:
    assert service.post(multipart(file_of(photograph())), content_type=content_type).status_code == 415
    assert not service.stored()


def test_compressed_bodies_are_415_and_never_inflated(service: Web) -> None:
    assert service.post(multipart(file_of(photograph())), content_encoding="gzip").status_code == 415


def test_nobody_gets_another_answer_than_401_without_the_token(service: Web) -> None:
    body = multipart(file_of(photograph()))
    answers = [
        service.post(body, token="wrong"),
        service.post(body, authorization="Bearer"),
        service.post(body, token=TOKEN + "x"),
        service.post(body, authorization=f"Basic {TOKEN}"),
        httpx.post(service.url, content=body, headers={"Content-Type": MULTIPART}),
        httpx.get(service.url),
        httpx.get(f"http://{HOST}:{service.server.port}/"),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert service.counted[("security_events", "stow_unauthorised")] == len(answers)
    assert [line["peer"] for line in service.logged if line["event"] == "stow_unauthorised"] == [HOST] * len(answers)
    assert not service.stored()
    assert httpx.get(service.url, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405
    assert service.post(body, path="/1.2/series").status_code == 404


def test_a_large_unwanted_body_does_not_keep_the_sender_from_seeing_the_answer(service: Web) -> None:
    assert service.post(bytes(12 << 20), token="wrong").status_code == 401


def test_requests_that_are_too_large_are_413(tmp_path: Path) -> None:
    with web(tmp_path, stow={"max_request": "100 KiB"}) as service:
        small, large = file_of(photograph()), file_of(photograph(rows=256, columns=256))
        assert service.post(multipart(large)).status_code == 413
        assert service.post(iter([multipart(small), large])).status_code == 413  # chunked: no length beforehand
        assert service.post(multipart(small)).status_code == 200
        assert not service.half_received()


class FullFiles(Files):
    """A store whose disk is full after `room` files."""

    room = 0

    def open_incoming(self, token: str):
        if self.room == 0:
            raise StoreFull("no room")
        self.room -= 1
        return super().open_incoming(token)


class HastenedLedger(FileLedger):
    """Remembers which studies are to be closed."""

    def hasten_studies(self, study_instance_uids: Any) -> int:
        self.hastened = set(study_instance_uids)
        return super().hasten_studies(study_instance_uids)


def test_the_end_of_a_request_may_close_its_studies(tmp_path: Path) -> None:
    source = {"name": "gateway", "address": "127.0.0.0/8", "close_on_release": True}
    ledger = HastenedLedger(tmp_path / "rows.db")
    with web(tmp_path, ledger=ledger, sources=[{"name": "camera", "ae_title": "CAMERA"}, source]) as service:
        sent = [photograph(), photograph()]
        assert service.post(multipart(*map(file_of, sent))).status_code == 200
        assert ledger.hastened == {ds.StudyInstanceUID for ds in sent}
        assert {row["source"] for row in ledger.rows()} == {"gateway"}


def test_no_space_is_503_with_a_time_to_come_again(tmp_path: Path) -> None:
    files = FullFiles(tmp_path / "store")
    body = multipart(file_of(photograph()), file_of(photograph()))
    with web(tmp_path, files=files) as service:
        answer = service.post(body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert [int(item.FailureReason) for item in module(answer).FailedSOPSequence] == [0xA700, 0xA700]
        files.room = 1
        answer = service.post(body)
        assert answer.status_code == 202
        assert [int(item.FailureReason) for item in module(answer).FailedSOPSequence] == [0xA700]
    with web(tmp_path / "other", store={"path": str(tmp_path), "min_free": "1000 TiB"}) as service:
        answer = service.post(body)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


def test_a_broken_body_keeps_what_was_whole_and_says_so(service: Web) -> None:
    whole = multipart(file_of(photograph()))
    end = whole.rindex(b"\r\n--") + 2
    answer = service.post(whole[:end] + multipart(file_of(photograph()))[:-400])
    assert answer.status_code == 202
    assert [int(item.FailureReason) for item in module(answer).OtherFailuresSequence] == [0xC000]
    assert service.post(whole[:300]).status_code == 400
    assert service.post(b"").status_code == 400
    assert service.post(multipart()).status_code == 400
    assert service.post(whole, content_type="multipart/related; type=application/dicom").status_code == 400
    assert len(service.stored()) == 1
    assert not service.half_received()


def test_parts_that_are_no_dicom_files(service: Web) -> None:
    good = file_of(photograph())
    assert service.post(multipart(good, headers=b"Content-Type: text/plain\r\n")).status_code == 409
    assert service.post(multipart(good, headers=b"Content-Transfer-Encoding: base64\r\n")).status_code == 409
    nested = multipart(good).replace(b"the-edge-of-a-part", b"the-inner-edge")
    headers = b"Content-Type: multipart/related; boundary=the-inner-edge\r\n"
    assert service.post(multipart(nested, headers=headers)).status_code == 409
    endless_head = bytes(128) + b"DICM" + (struct.pack("<HH2sH", 2, 0x16, b"AE", 65000) + bytes(65000)) * 3
    assert service.post(multipart(endless_head)).status_code == 409
    assert service.post(multipart(good, headers=b"X: " + b"y" * 20_000 + b"\r\n")).status_code == 400
    assert service.post(multipart(good, headers=b"")).status_code == 200
    assert not service.half_received()


def test_ten_thousand_tiny_parts(service: Web) -> None:
    answer = service.post(multipart(*[b"tiny"] * 10_000))
    assert answer.status_code == 409
    assert len(module(answer).OtherFailuresSequence) == 10_000
    assert not service.half_received()


def test_a_sender_that_goes_away_leaves_nothing_half_written(service: Web) -> None:
    body = multipart(file_of(photograph()), file_of(photograph(rows=1024, columns=1024)))
    connections = [raw(service, request_head(len(body)) + body[: len(body) // 2]) for _ in range(4)]
    wait_until(lambda: len(service.half_received()) == 4, "the bodies to arrive in part", 30)
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    wait_until(lambda: not service.half_received(), "the rest to be forgotten", 30)
    assert service.post(multipart(file_of(photograph()))).status_code == 200
    assert service.counted[("instances", "stow", "stow", "stored", "")] == 2
    assert service.counted[("instances", "stow", "stow", "repeated", "")] == 3
    assert len(service.stored()) == 2


def test_more_requests_than_are_served_at_once_are_503(tmp_path: Path) -> None:
    with web(tmp_path, stow={"max_requests": 1}) as service:
        body = multipart(file_of(photograph(rows=1024, columns=1024)))
        with raw(service, request_head(len(body)) + body[: len(body) // 2]) as connection:
            wait_until(service.half_received, "the first request to be under way", 30)
            assert service.post(multipart(file_of(photograph()))).status_code == 503
            connection.sendall(body[len(body) // 2 :])
            assert b" 200 " in connection.recv(100)
        assert service.post(multipart(file_of(photograph()))).status_code == 200


def test_a_silent_sender_is_cut_off(tmp_path: Path) -> None:
    with web(tmp_path, stow={"idle_timeout": "300ms"}) as service:
        body = multipart(file_of(photograph(rows=1024, columns=1024)))
        with raw(service, request_head(len(body)) + body[:-100]) as connection:
            assert b" 408 " in connection.recv(100)
        wait_until(lambda: not service.half_received(), "the part to be forgotten", 30)
        assert service.post(body).status_code == 200


def test_memory_does_not_grow_with_the_request(service: Web) -> None:
    ds = photograph(rows=4000, columns=4000)
    body = multipart(file_of(ds))
    Path("/proc/self/clear_refs").write_text("5")  # from here on
    before = peak_memory()

    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            # The second body onwards is epilogue, which is read and dropped.
            for start in range(0, len(body), 1 << 16):
                yield body[start : start + (1 << 16)]

    answer = service.post(pieces())
    assert answer.status_code == 200
    assert peak_memory() - before < 32 << 20


def peak_memory() -> int:
    """Bytes that this process had resident at most."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) << 10


def test_broken_http_is_answered_or_cut_and_nobody_else_notices(service: Web) -> None:
    for text in (
        b"\x16\x03\x01 no TLS here\r\n\r\n",
        b"GET / HTTQ/1.1\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000,
        request_head(10).replace(b"Content-Length: 10", b"Content-Length: 10\r\nContent-Length: 11"),
        request_head(10).replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"zz\r\n",
    ):
        with raw(service, text) as connection:
            assert b" 400 " in connection.recv(200)
    assert service.post(multipart(file_of(photograph()))).status_code == 200


def test_https_with_certificates_of_senders(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates")
    settings = {"certificate": made.server, "key": made.server_key, "client_authority": made.authority, "token": None}
    body = multipart(file_of(photograph()))
    headers = {"Content-Type": MULTIPART}
    with web(tmp_path, stow=settings) as service:
        trust = ssl.create_default_context(cafile=made.authority)
        known = ssl.create_default_context(cafile=made.authority)
        known.load_cert_chain(made.client, made.client_key)
        stranger = ssl.create_default_context(cafile=made.authority)
        stranger.load_cert_chain(made.stranger, made.stranger_key)
        old = ssl.create_default_context(cafile=made.authority)
        old.load_cert_chain(made.client, made.client_key)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        assert httpx.post(service.url, content=body, headers=headers, verify=known, timeout=60).status_code == 200
        for context in (trust, stranger, old):
            with pytest.raises(httpx.TransportError):
                httpx.post(service.url, content=body, headers=headers, verify=context, timeout=60)
        with raw(service, b"POST / HTTP/1.1\r\n\r\n") as plain:
            plain.settimeout(30)
            assert b"HTTP" not in plain.recv(100)
        wait_until(lambda: service.counted[("security_events", "stow_handshake_failed")] == 4, "the count", 30)
        failed = [line["peer"] for line in service.logged if line["event"] == "stow_handshake_failed"]
        assert failed == [HOST] * 4
        assert httpx.post(service.url, content=body, headers=headers, verify=known, timeout=60).status_code == 200


def test_settings_that_would_leave_it_unguarded_are_refused(tmp_path: Path) -> None:
    for wrong, what in (
        ({}, "token"),
        ({"token": TOKEN, "host": "0.0.0.0"}, "plain"),
        ({"token": TOKEN, "base": "studies/"}, "stow.base"),
        ({"token": TOKEN, "certificate": "/a.pem"}, "stow.key"),
    ):
        with pytest.raises(ConfigError, match=what):
            from_tree({"stow": {"enabled": True} | wrong})
    (tmp_path / "not.pem").write_text("nothing")
    settings = {"certificate": str(tmp_path / "not.pem"), "key": str(tmp_path / "not.pem")}
    with pytest.raises(ConfigError, match=r"stow\.certificate"), web(tmp_path, stow=settings):
        pass


def test_nothing_of_the_patient_in_logs_and_answers(service: Web) -> None:
    ds, other = file_of(photograph()), file_of(photograph())
    meta = other.replace(OP_8_BIT.encode(), b"Testperson^Erika ".ljust(len(OP_8_BIT)))
    answer = service.post(multipart(ds, other[:-50], meta, b"Testperson^Erika T-4711" * 20))
    assert answer.status_code == 202
    text = answer.text + json.dumps(service.logged, default=str)
    assert "Testperson" not in text
    assert "T-4711" not in text
