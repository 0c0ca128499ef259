"""C-STORE over TLS to dcmtk: whom we trust, who we are, and what a person is told when it does not come about."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.delivery.echo import echo, shake_hands
from ocunet_pacs.delivery.tls import client_context, pinned
from ocunet_pacs.domain.errors import ConfigError, PeerUnavailable
from tests.certificates import Pair, self_signed, signed, with_passphrase
from tests.dcmtk import HOST, storescp
from tests.integration.objects import write
from tests.integration.results import heatmap
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from ssl import SSLContext

    from ocunet_pacs.domain.ports import Receipt

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Pair:
    return self_signed(folder, "authority")


@pytest.fixture(scope="module")
def pacs(folder: Path, authority: Pair) -> Pair:
    return signed(folder, "pacs", authority, names=f"IP:{HOST}")


@pytest.fixture(scope="module")
def ours(folder: Path, authority: Pair) -> Pair:
    return signed(folder, "ocunet", authority)


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Pair:
    return self_signed(folder, "stranger")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(heatmap(), tmp_path / "heatmap.dcm")


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def options(shows: Pair, *more: str) -> tuple[str, ...]:
    return ("+tls", str(shows.key), str(shows.certificate), *more)


def to(port: int, tls: SSLContext | None, host: str = HOST) -> Destination:
    return Destination("pacs", "ARCHIVE", host, port, timedelta(seconds=20), tls)


def send(destination: Destination, path: Path) -> Receipt:
    sender = CStoreSender(destination, "OCUNET")
    try:
        return sender.send(path)
    finally:
        sender.close()


def test_both_show_who_they_are(authority: Pair, pacs: Pair, ours: Pair, path: Path, archived: Path) -> None:
    with storescp(archived, *options(pacs, "-rc", "+cf", str(authority.certificate))) as port:
        destination = to(port, client_context(authority.certificate, ours.certificate, ours.key))
        echo(destination, "OCUNET")
        assert send(destination, path).status == 0x0000
    assert len(list(archived.iterdir())) == 1


def test_the_peers_own_certificate_is_trusted_as_well_as_its_authoritys(pacs: Pair, path: Path, archived: Path) -> None:
    with storescp(archived, *options(pacs, "-ic")) as port:
        for tls in (client_context(pacs.certificate), pinned(pacs.certificate)):
            send(to(port, tls), path)
            shake_hands(to(port, tls))


def test_an_authority_that_did_not_sign_it(stranger: Pair, pacs: Pair, path: Path, archived: Path) -> None:
    with storescp(archived, *options(pacs, "-ic")) as port:
        for tls in (client_context(stranger.certificate), client_context()):
            with pytest.raises(PeerUnavailable, match=r"no authority that we know vouches for it.*check tls_authority"):
                send(to(port, tls), path)
    assert list(archived.iterdir()) == []


def test_a_certificate_that_has_expired(authority: Pair, folder: Path, path: Path, archived: Path) -> None:
    old = signed(folder, "old", authority, names=f"IP:{HOST}", days=-1)
    with (
        storescp(archived, *options(old, "-ic")) as port,
        pytest.raises(PeerUnavailable, match="its certificate has expired; have it renewed"),
    ):
        send(to(port, client_context(authority.certificate)), path)


def test_a_certificate_for_another_host(authority: Pair, folder: Path, path: Path, archived: Path) -> None:
    other = signed(folder, "other", authority, names="DNS:pacs.example")
    with storescp(archived, *options(other, "-ic")) as port:
        with pytest.raises(PeerUnavailable, match="names another host; check host, or set tls_check_host to false"):
            send(to(port, client_context(authority.certificate)), path)
        send(to(port, client_context(authority.certificate, check_host=False)), path)


@pytest.mark.parametrize("shown", ["nothing", "stranger"])
def test_a_peer_that_wants_to_know_who_we_are(
    shown: str, authority: Pair, pacs: Pair, stranger: Pair, path: Path, archived: Path
) -> None:
    own = (stranger.certificate, stranger.key) if shown == "stranger" else ()
    with (
        storescp(archived, *options(pacs, "-rc", "+cf", str(authority.certificate))) as port,
        pytest.raises(PeerUnavailable, match=r"certificate of ours|does not (trust|accept) our certificate"),
    ):
        send(to(port, client_context(authority.certificate, *own)), path)
    assert list(archived.iterdir()) == []


def test_a_peer_that_speaks_no_tls(authority: Pair, path: Path, archived: Path) -> None:
    with (
        storescp(archived) as port,
        pytest.raises(PeerUnavailable, match=r"does not speak TLS|check the port|DICOM over TLS"),
    ):
        send(to(port, client_context(authority.certificate)), path)


def test_a_peer_that_speaks_only_tls(pacs: Pair, path: Path, archived: Path) -> None:
    with storescp(archived, *options(pacs, "-ic")) as port, pytest.raises(PeerUnavailable):
        send(to(port, None), path)


def test_a_peer_that_is_silent_in_the_handshake(authority: Pair, path: Path) -> None:
    with silent() as port, pytest.raises(PeerUnavailable, match="no answer from"):
        send(
            Destination("pacs", "A", HOST, port, timedelta(seconds=1), client_context(authority.certificate)),
            path,
        )


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_files_that_cannot_be_used(ours: Pair, stranger: Pair, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    for arguments, words in (
        ((tmp_path / "gone.pem",), r"tls_authority: .*gone\.pem cannot be read"),
        ((tmp_path / "text.pem",), r"tls_authority: .*holds no PEM certificate"),
        ((ours.certificate, ours.certificate, stranger.key), "is not the certificate of this key"),
        ((ours.certificate, tmp_path / "gone.pem", ours.key), "tls_certificate, tls_key: .* cannot be read"),
        ((ours.certificate, ours.certificate, with_passphrase(ours, tmp_path)), "has a passphrase"),
    ):
        with pytest.raises(ConfigError, match=words):
            client_context(*arguments)


def test_orthanc_over_tls(authority: Pair, pacs: Pair, ours: Pair, path: Path, tmp_path: Path) -> None:
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pacs.certificate),
        "DicomTlsPrivateKey": str(pacs.key),
        "DicomTlsTrustedCertificates": str(authority.certificate),
    }
    with orthanc(tmp_path / "orthanc", **settings) as peer:
        tls = client_context(authority.certificate, ours.certificate, ours.key)
        destination = Destination("pacs", peer.ae_title, HOST, peer.dicom_port, timedelta(seconds=20), tls)
        sender = CStoreSender(destination, "OCUNET")
        for _ in range(3):
            assert sender.send(path).status == 0x0000
        sender.close()
        assert len(peer.instances()) == 1
