"""DICOM over TLS: who gets through, who does not, and that a handshake that hangs holds up nobody else."""

from __future__ import annotations

import json
import socket
import ssl
import time
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from ocunet_pacs.delivery.cstore import Destination
from ocunet_pacs.delivery.echo import echo, shake_hands
from ocunet_pacs.delivery.tls import pinned
from ocunet_pacs.domain.errors import ConfigError, PeerUnavailable
from ocunet_pacs.intake.scp import ListenerConfig
from ocunet_pacs.intake.tls import TlsConfig
from tests.certificates import Pair, self_signed, signed
from tests.dcmtk import echoscu, storescu
from tests.integration.objects import photograph, write
from tests.integration.requests import associate_request, read_pdu
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Receiver

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Pair:
    return self_signed(folder, "localhost")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Pair:
    return self_signed(folder, "authority")


@pytest.fixture(scope="module")
def camera(folder: Path, authority: Pair) -> Pair:
    return signed(folder, "camera", authority)


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Pair:
    return self_signed(folder, "stranger")


@pytest.fixture
def listen(start: Callable[..., Receiver], ours: Pair, authority: Pair) -> Callable[..., Receiver]:
    def begin(client_certificate: str = "none", *, plain: bool = False, **settings: object) -> Receiver:
        tls = TlsConfig(ours.certificate, ours.key, client_certificate, authority.certificate)  # type: ignore[arg-type]
        return start(**{"tls": tls, "port": 0 if plain else None} | settings)

    return begin


def trusting(ours: Pair, mine: Pair) -> tuple[str, ...]:
    """storescu's options: show this certificate, and trust ours."""
    return ("+tls", str(mine.key), str(mine.certificate), "+cf", str(ours.certificate))


def failures(receiver: Receiver) -> list[str]:
    return [line["reason"] for line in receiver.logged if line["event"] == "tls_handshake_failed"]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it never happened")


def test_dcmtk_sends_over_tls(listen: Callable[..., Receiver], ours: Pair, camera: Pair, tmp_path: Path) -> None:
    receiver = listen()
    sent = write(photograph(rows=700, columns=900), tmp_path / "a.dcm")
    done = storescu(receiver.listener.tls_port, sent, options=trusting(ours, camera))
    assert done.status == 0, done.text
    assert len(receiver.stored()) == 1
    with pytest.raises(RuntimeError):
        _ = receiver.port


@pytest.mark.parametrize(
    ("wanted", "shown", "passes"),
    [
        ("required", "camera", True),
        ("required", "stranger", False),
        ("required", "", False),
        ("optional", "camera", True),
        ("optional", "stranger", False),
        ("optional", "", True),
        ("none", "stranger", True),
    ],
)
def test_client_certificates(
    listen: Callable[..., Receiver],
    ours: Pair,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    wanted: str,
    shown: str,
    passes: bool,
) -> None:
    receiver = listen(wanted)
    sent = write(photograph(), tmp_path / "a.dcm")
    options = trusting(ours, request.getfixturevalue(shown)) if shown else ("+tla", "+cf", str(ours.certificate))
    done = storescu(receiver.listener.tls_port, sent, options=options)
    assert (done.status == 0) == passes, done.text
    assert len(receiver.stored()) == passes
    until(lambda: len(failures(receiver)) == (not passes))
    assert receiver.counted["security_events", "tls_handshake"] == (not passes)
    until(lambda: receiver.listener.active_associations == 0)


def test_a_sender_that_does_not_trust_us_does_not_send(
    listen: Callable[..., Receiver], stranger: Pair, camera: Pair, tmp_path: Path
) -> None:
    receiver = listen()
    sent = write(photograph(), tmp_path / "a.dcm")
    assert storescu(receiver.listener.tls_port, sent, options=trusting(stranger, camera)).status != 0
    until(lambda: len(failures(receiver)) == 1)
    assert receiver.stored() == []


def test_plain_dicom_at_the_tls_port_is_turned_away(listen: Callable[..., Receiver]) -> None:
    receiver = listen()
    assert echoscu(receiver.listener.tls_port).status != 0
    until(lambda: len(failures(receiver)) == 1)
    until(lambda: receiver.listener.active_associations == 0)


def test_the_plain_port_stays_open_where_it_is_asked_for(
    listen: Callable[..., Receiver], ours: Pair, tmp_path: Path, camera: Pair
) -> None:
    receiver = listen(plain=True)
    assert echoscu(receiver.port).status == 0
    sent = write(photograph(), tmp_path / "a.dcm")
    assert storescu(receiver.listener.tls_port, sent, options=trusting(ours, camera)).status == 0


def client(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # whatever the system forbids: it is the listener that must refuse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(listen: Callable[..., Receiver], version: ssl.TLSVersion) -> None:
    receiver = listen()
    with (
        socket.create_connection(("127.0.0.1", receiver.listener.tls_port), timeout=20) as connection,
        pytest.raises(ssl.SSLError),
    ):
        client(version).wrap_socket(connection)
    until(lambda: failures(receiver) == ["UNSUPPORTED_PROTOCOL"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_are_not(listen: Callable[..., Receiver], version: ssl.TLSVersion) -> None:
    receiver = listen()
    with (
        socket.create_connection(("127.0.0.1", receiver.listener.tls_port), timeout=20) as connection,
        client(version).wrap_socket(connection) as secured,
    ):
        secured.sendall(associate_request())
        assert read_pdu(secured)[:1] == b"\x02"  # type: ignore[arg-type]


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"])
def test_ciphers_without_forward_secrecy_or_authenticated_encryption_are_refused(
    listen: Callable[..., Receiver], cipher: str
) -> None:
    receiver = listen()
    context = client(ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    with (
        socket.create_connection(("127.0.0.1", receiver.listener.tls_port), timeout=20) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection)
    until(lambda: failures(receiver) == ["NO_SHARED_CIPHER"])


def test_a_handshake_that_hangs_holds_up_nobody_and_ends(listen: Callable[..., Receiver], ours: Pair) -> None:
    receiver = listen(negotiation_timeout=timedelta(seconds=3), max_associations=1)
    where = ("127.0.0.1", receiver.listener.tls_port)
    with socket.create_connection(where, timeout=20) as silent, socket.create_connection(where, timeout=20) as slow:
        until(lambda: receiver.listener.active_associations == 2)
        # The beginning of a ClientHello, and then a byte now and then: each comes in time, the whole never does.
        slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        peer = Destination("self", "OCUNET", *where, timedelta(seconds=20), pinned(ours.certificate))
        echo(peer, "TEST")
        assert receiver.listener.active_associations >= 2
        for _ in range(100):
            try:
                slow.sendall(b"\x00")
            except OSError:
                break
            time.sleep(0.1)
        until(lambda: receiver.listener.active_associations == 0)
        silent.settimeout(20)
        assert silent.recv(1) == b""
    assert failures(receiver) == ["timeout", "timeout"]


def test_a_probe_of_the_port_is_no_event_of_security(listen: Callable[..., Receiver]) -> None:
    receiver = listen()
    socket.create_connection(("127.0.0.1", receiver.listener.tls_port), timeout=20).close()
    until(lambda: receiver.listener.active_associations == 0)
    assert failures(receiver) == []


def test_our_own_port_is_asked_by_our_own_certificate(
    listen: Callable[..., Receiver], ours: Pair, stranger: Pair
) -> None:
    def peer(receiver: Receiver, pair: Pair) -> Destination:
        timeout, port = timedelta(seconds=20), receiver.listener.tls_port
        return Destination("ourselves", "OCUNET", "127.0.0.1", port, timeout, pinned(pair.certificate))

    usual, strict = listen(), listen("required")
    echo(peer(usual, ours), "OCUNET")
    shake_hands(peer(strict, ours))
    with pytest.raises(PeerUnavailable):
        echo(peer(usual, stranger), "OCUNET")
    with pytest.raises(PeerUnavailable, match="TLS handshake"):
        shake_hands(peer(strict, stranger))


def test_files_that_cannot_be_used_keep_the_port_closed(start: Callable[..., Receiver], ours: Pair) -> None:
    with pytest.raises(ConfigError, match=r"tls\.key"):
        start(tls=TlsConfig(ours.certificate, ours.certificate), port=None)


def test_orthanc_sends_over_tls(listen: Callable[..., Receiver], ours: Pair, camera: Pair, tmp_path: Path) -> None:
    receiver = listen("required")
    modality = {
        "AET": "OCUNET",
        "Host": "127.0.0.1",
        "Port": receiver.listener.tls_port,
        "UseDicomTls": True,
    }
    settings = {
        "DicomTlsCertificate": str(camera.certificate),
        "DicomTlsPrivateKey": str(camera.key),
        "DicomTlsTrustedCertificates": str(ours.certificate),
    }
    with orthanc(tmp_path / "orthanc", **settings) as peer:
        instance = peer.upload(write(photograph(), tmp_path / "a.dcm"))
        httpx.put(
            f"http://127.0.0.1:{peer.http_port}/modalities/ocunet", content=json.dumps(modality)
        ).raise_for_status()
        answer = peer.store("ocunet", [instance])
    assert answer["FailedInstancesCount"] == 0
    assert len(receiver.stored()) == 1


def test_a_renewed_certificate_is_shown_without_a_restart(
    listen: Callable[..., Receiver], ours: Pair, tmp_path: Path
) -> None:
    receiver = listen()
    port = receiver.listener.tls_port
    renewed = self_signed(tmp_path, "localhost")
    config = ListenerConfig("OCUNET", "127.0.0.1", None, 0, tls=TlsConfig(ours.certificate, ours.key, "none", None))
    with pytest.raises(ConfigError):
        receiver.listener.change(replace(config, tls=TlsConfig(tmp_path / "gone.pem", renewed.key, "none", None)))
    assert ssl.get_server_certificate(("127.0.0.1", port)) == ours.certificate.read_text()
    receiver.listener.change(replace(config, tls=TlsConfig(renewed.certificate, renewed.key, "none", None)))
    assert ssl.get_server_certificate(("127.0.0.1", port)) == renewed.certificate.read_text()
