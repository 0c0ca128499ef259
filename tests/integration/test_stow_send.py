"""Results to web archives with STOW-RS: to Orthanc, to our own service, and to archives that answer all sorts."""

from __future__ import annotations

import email
import socket
import ssl
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.delivery.web import StowSender
from ocunet_pacs.domain.errors import ConfigError, PeerBusy, PeerRefused, PeerUnavailable, StoreError
from ocunet_pacs.domain.ports import Receipt
from tests.certificates import Pair, self_signed, signed
from tests.conftest import plugin
from tests.dcmtk import HOST, free_port
from tests.faulty_web import FaultyWeb, Reply, Request, faulty_web
from tests.integration.objects import photograph, write
from tests.integration.results import heatmap, jpeg_heatmap, report
from tests.integration.web import TOKEN, web
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILED, STORED, OTHERS = "00081198", "00081199", "0008119A"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(report(), tmp_path / "report.dcm")


def uid(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def send(url: str, path: Path, *, seconds: float = 20.0, **settings: Any) -> Receipt:
    sender = StowSender("archive", url, timeout=timedelta(seconds=seconds), **settings)
    try:
        return sender.send(path)
    finally:
        sender.close()


def item(uid: str, *, failure: int | None = None, warning: int | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if failure is not None:
        said["00081197"] = {"vr": "US", "Value": [failure]}
    if warning is not None:
        said["00081196"] = {"vr": "US", "Value": [warning]}
    return said


def module(tag: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {tag: {"vr": "SQ", "Value": list(items)}}


@pytest.mark.peers
def test_orthanc_has_it_once_however_often_it_is_sent(tmp_path: Path) -> None:
    paths = [write(made(), tmp_path / f"{made.__name__}.dcm") for made in (report, heatmap, jpeg_heatmap)]
    settings = {
        "Plugins": [plugin("libOrthancDicomWeb.so")],
        "DicomWeb": {"Enable": True},
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"ocunet": "secret"},
    }
    with orthanc(tmp_path / "orthanc", user=("ocunet", "secret"), **settings) as peer:
        url = f"http://{HOST}:{peer.http_port}/dicom-web"
        for _ in range(2):
            for path in paths:
                assert send(url, path, basic=("ocunet", "secret")).note.startswith("stored")
        kept = {}
        for instance in peer.instances():
            ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(peer.file(instance)))
            kept[ds.SOPInstanceUID] = ds
        assert len(kept) == 3
        for sent in map(pydicom.dcmread, paths):
            assert kept[sent.SOPInstanceUID] == sent
            assert kept[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        with pytest.raises(PeerUnavailable, match=r"check token, user and password \(HTTP status 401\)"):
            send(url, paths[0], basic=("ocunet", "wrong"))
        with pytest.raises(PeerUnavailable, match=r"check url \(HTTP status 404\)"):
            send(url + "/nowhere", paths[0], basic=("ocunet", "secret"))


def test_our_own_service_takes_it_by_token(tmp_path: Path) -> None:
    path = write(photograph(), tmp_path / "photograph.dcm")
    with web(tmp_path) as service:
        # The address may be given with or without the resource.
        for url in (service.url, service.url.removesuffix("/studies")):
            assert send(url, path, token=TOKEN).note.startswith(("stored", "it had it"))
        with pytest.raises(PeerUnavailable, match="check token"):
            send(service.url, path, token="another")
    assert len(service.stored()) == 1


def test_what_goes_over_the_wire(path: Path) -> None:
    with faulty_web(lambda request: Reply.json(200, module(STORED, item(uid(path))))) as service:
        assert send(service.url, path, token="t-1", headers={"X-Site": "eye clinic"}) == Receipt("stored")
    (request,) = service.requests
    assert (request.method, request.path) == ("POST", "/web/studies")
    assert request.headers["authorization"] == "Bearer t-1"
    assert request.headers["x-site"] == "eye clinic"
    assert request.headers["accept"] == "application/dicom+json"
    assert "transfer-encoding" not in request.headers
    message = email.message_from_bytes(
        b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.content
    )
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    (part,) = message.get_payload()
    assert part.get_content_type() == "application/dicom"
    assert path.read_bytes() in request.content


XML = (
    '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
    '<DicomAttribute tag="{tag}" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI">'
    '<Value number="1">{uid}</Value></DicomAttribute><DicomAttribute tag="00081197" vr="US"><Value number="1">{reason}'
    "</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
)


def xml(status: int, tag: str, uid: str, reason: int, encloses: str = "{}") -> Reply:
    text = encloses.format(XML.format(tag=tag, uid=uid, reason=reason))
    return Reply(status, text.encode(), (("Content-Type", "application/dicom+xml"),))


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (lambda uid: Reply.json(200, module(STORED, item(uid))), "stored"),
        (lambda uid: Reply.json(200, [module(STORED, item(uid))]), "stored"),
        (lambda uid: Reply.json(202, module(STORED, item(uid, warning=0xB000))), "stored; with a warning"),
        (lambda uid: Reply(200), "stored"),
        (lambda uid: Reply(201, b"what a nice object"), "stored"),
        (lambda uid: Reply.json(409, module(FAILED, item(uid, failure=45070))), "it had it already"),
        (lambda uid: Reply.json(202, module(FAILED, item(uid, failure=45070))), "it had it already"),
        (lambda uid: Reply.json(409, module(FAILED, item(uid, warning=45070))), "it had it already"),
        (lambda uid: Reply.json(200, module(STORED, item(uid, warning=45070))), "stored; with a warning"),
        (lambda uid: Reply.json(409, module(FAILED, item(uid, failure=0x0111))), "it had it already"),
        (lambda uid: xml(409, FAILED, uid, 45070), "it had it already"),
        (lambda uid: xml(200, STORED, uid, 0), "stored"),
    ],
)
def test_what_counts_as_stored(reply: Callable[[str], Reply], note: str, path: Path) -> None:
    with faulty_web(lambda request: reply(uid(path))) as service:
        assert send(service.url, path).note == note


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (409, 0xA700, PeerBusy),
        (409, 0xA7FF, PeerBusy),
        (202, 0xA701, PeerBusy),
        (409, 0x0110, PeerBusy),
        (409, 45071, PeerBusy),
        (409, 0xA900, PeerRefused),
        (200, 0xA900, PeerRefused),
        (400, 0xC000, PeerRefused),
        (409, 0xC123, PeerRefused),
        (409, 0x0122, PeerRefused),
        (409, 0x0124, PeerRefused),
    ],
)
def test_reasons_are_judged_as_statuses_of_c_store_are(
    status: int, reason: int, error: type[Exception], path: Path
) -> None:
    for reply in (
        Reply.json(status, module(FAILED, item(uid(path), failure=reason))),
        Reply.json(status, module(OTHERS, {"00081197": {"vr": "US", "Value": [reason]}})),
        xml(status, FAILED, uid(path), reason),
    ):
        with faulty_web(lambda request, reply=reply: reply) as service, pytest.raises(error) as caught:
            send(service.url, path)
        assert getattr(caught.value, "status", None) == reason


def test_a_failure_without_a_reason_is_tried_again(path: Path) -> None:
    reply = Reply.json(200, module(FAILED, item(uid(path))))
    with faulty_web(lambda request: reply) as service, pytest.raises(PeerBusy):
        send(service.url, path)


def test_what_is_said_of_another_object_is_not_said_of_ours(path: Path) -> None:
    other = module(STORED, item("1.2.3"))
    with faulty_web(lambda request: Reply.json(202, other)) as service, pytest.raises(PeerBusy, match="became of"):
        send(service.url, path)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (Reply.json(200, "ours"), "it had it already"),
        (Reply.json(200, []), PeerBusy),
        (Reply(204), PeerBusy),
        (Reply(404), "it had it already"),
        (Reply(501), "it had it already"),
        (None, "it had it already"),
    ],
)
def test_a_conflict_without_a_reason_is_looked_into(
    listed: Reply | None, expected: str | type[Exception], path: Path
) -> None:
    def answer(request: Request) -> Reply | None:
        if request.method == "POST":
            return Reply(409)
        assert request.path == f"/web/instances?SOPInstanceUID={uid(path)}"
        if listed is not None and listed.content == b'"ours"':
            return Reply.json(200, [{"00080018": {"vr": "UI", "Value": [uid(path)]}}])
        return listed

    with faulty_web(answer) as service:
        if isinstance(expected, str):
            assert send(service.url, path).note == expected
        else:
            with pytest.raises(expected, match="does not list the object"):
                send(service.url, path)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (301, PeerUnavailable, "give the final address as url"),
        (307, PeerUnavailable, "give the final address as url"),
        (400, PeerRefused, "refused"),
        (401, PeerUnavailable, "check token"),
        (403, PeerUnavailable, "check our rights"),
        (404, PeerUnavailable, "check url"),
        (405, PeerUnavailable, "check url"),
        (406, PeerRefused, "refused"),
        (408, PeerBusy, "for now"),
        (410, PeerRefused, "refused"),
        (413, PeerBusy, "raise its limit"),
        (415, PeerRefused, "refused"),
        (422, PeerRefused, "refused"),
        (429, PeerBusy, "too many requests"),
        (500, PeerBusy, "for now"),
        (502, PeerBusy, "gateway"),
        (503, PeerBusy, "overloaded"),
        (504, PeerBusy, "for now"),
        (507, PeerBusy, "no room"),
    ],
)
def test_http_statuses(status: int, error: type[Exception], words: str, path: Path) -> None:
    reply = Reply(status, b"Testperson^Erika", (("Location", "http://127.0.0.1:1/elsewhere"), ("Retry-After", "60")))
    with faulty_web(lambda request: reply) as service, pytest.raises(error, match=words) as caught:
        send(service.url, path)
    assert f"HTTP status {status}" in str(caught.value)
    assert "Testperson" not in str(caught.value)
    assert len(service.requests) == 1


@pytest.mark.parametrize("reason", [Reply.json(409, "no transfer syntax"), Reply(415)])
def test_an_archive_that_takes_pictures_only_uncompressed(reason: Reply, tmp_path: Path) -> None:
    path = write(jpeg_heatmap(), tmp_path / "jpeg.dcm")

    def syntax(request: Request) -> str:
        edge = request.headers["content-type"].rpartition("boundary=")[2].encode()
        content = request.content.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--" + edge)[0]
        return str(pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)).file_meta.TransferSyntaxUID)

    def answer(request: Request) -> Reply:
        if syntax(request) == ExplicitVRLittleEndian:
            return Reply.json(200, module(STORED, item(uid(path))))
        return reason if reason.status == 415 else Reply.json(409, module(FAILED, item(uid(path), failure=0xC122)))

    with faulty_web(answer) as service:
        assert send(service.url, path).note == "stored as Explicit VR Little Endian"
    assert [syntax(request) for request in service.requests] == [JPEGBaseline8Bit, ExplicitVRLittleEndian]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"{", (("Content-Type", "application/dicom+json"),)),
        Reply(200, b"\xff\xfe", (("Content-Type", "application/dicom+json"),)),
        Reply.json(200, {"00081198": {"Value": "nonsense"}, "00081199": []}),
        Reply.json(200, {"00081198": {"Value": [1, None, {"00081155": {"Value": [None]}}]}}),
        Reply(200, b"<unfinished", (("Content-Type", "application/dicom+xml"),)),
        xml(200, FAILED, "&laugh;", 0, '<!DOCTYPE x [<!ENTITY laugh "ha">]>{}'),
    ],
)
def test_a_success_in_words_that_cannot_be_read_is_a_success(reply: Reply, path: Path) -> None:
    with faulty_web(lambda request: reply) as service:
        assert send(service.url, path).note == "stored"


def test_nobody_there_or_nobody_who_answers(path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="no answer; check that it runs"):
        send(f"http://{HOST}:{free_port()}/web", path)
    with faulty_web(lambda request: None) as service, pytest.raises(PeerUnavailable, match="no answer"):
        send(service.url, path)
    with pytest.raises(PeerUnavailable):
        send("http://nowhere.invalid/web", path, seconds=5)


def test_a_service_that_stays_silent(path: Path) -> None:
    over = threading.Event()

    def wait(request: Request) -> Reply:
        over.wait(20)
        return Reply()

    with faulty_web(wait) as service:
        try:
            with pytest.raises(PeerUnavailable, match="did not answer within 0:00:01"):
                send(service.url, path, seconds=1)
        finally:
            over.set()


def test_a_service_that_drops_the_connection_in_the_middle(tmp_path: Path) -> None:
    path = write(heatmap(), tmp_path / "heatmap.dcm")
    with socket.create_server((HOST, 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(PeerUnavailable):
            send(f"http://{HOST}:{server.getsockname()[1]}", path)
        thread.join(10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return self_signed(tmp_path_factory.mktemp("authority"), "authority")


def serving(pair: Pair, client_authority: Pair | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority.certificate)
    return context


@pytest.mark.peers
def test_over_tls_with_certificates_on_both_sides(authority: Pair, path: Path, tmp_path: Path) -> None:
    server = signed(tmp_path, "server", authority, names=f"IP:{HOST}")
    client = signed(tmp_path, "client", authority)
    with faulty_web(lambda request: Reply(), tls=serving(server, authority)) as service:
        tls = client_context(authority.certificate, client.certificate, client.key)
        assert send(service.url, path, tls=tls) == Receipt("stored")
        with pytest.raises(PeerUnavailable, match=r"certificate|no answer"):
            send(service.url, path, tls=client_context(authority.certificate))
        with pytest.raises(PeerUnavailable, match="no authority that we know vouches"):
            send(service.url, path)
    plain: FaultyWeb
    with faulty_web(lambda request: Reply()) as plain, pytest.raises(PeerUnavailable, match="does not speak TLS"):
        send(plain.url.replace("http:", "https:"), path, tls=client_context(authority.certificate))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with faulty_web(lambda request: Reply()) as service, pytest.raises(StoreError):
        send(service.url, tmp_path / "gone.dcm")
    assert service.requests == []


@pytest.mark.parametrize("url", ["ftp://x/y", "nonsense", "http://", "http://[::1"])
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigError, match="archive: url"):
        StowSender("archive", url, timeout=timedelta(seconds=1))
