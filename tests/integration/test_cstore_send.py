"""Delivering to real archives, to archives that refuse, and to nobody."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.delivery.echo import echo
from ocunet_pacs.domain.errors import PeerBusy, PeerRefused, PeerUnavailable, StoreError
from ocunet_pacs.domain.ports import Receipt
from tests.conftest import program
from tests.dcmtk import HOST, free_port, storescp, wait_for_port
from tests.integration.objects import OP_8_BIT, data_set_of, photograph, write
from tests.integration.test_cstore_receive import compressed
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def to(port: int, ae_title: str = "ARCHIVE", seconds: float = 20.0) -> Destination:
    return Destination(name="pacs", ae_title=ae_title, host=HOST, port=port, timeout=timedelta(seconds=seconds))


def send(destination: Destination, path: Path) -> Receipt:
    sender = CStoreSender(destination, calling_ae_title="OCUNET")
    try:
        return sender.send(path)
    finally:
        sender.close()


@contextmanager
def archive(
    answer: int | None = 0x0000, *, syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,), **settings: Any
) -> Iterator[tuple[int, list[pydicom.Dataset]]]:
    """A small archive of our own that answers every C-STORE with one status, or with silence when it is None."""
    received: list[pydicom.Dataset] = []
    over = threading.Event()

    def on_store(event: evt.Event) -> Dataset:
        if answer is None:
            over.wait(20)
        received.append(event.dataset)
        status = Dataset()
        status.Status = answer or 0x0000
        if status.Status:
            status.ErrorComment = "Testperson^Erika is somebody else here"
        return status

    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(OP_8_BIT, list(syntaxes))
    ae.add_supported_context("1.2.840.10008.1.1")
    for name, value in settings.items():
        setattr(ae, name, value)
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    assert server is not None
    try:
        yield server.server_address[1], received
    finally:
        over.set()
        ae.shutdown()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(photograph(), tmp_path / "result.dcm")


@pytest.mark.peers
@pytest.mark.parametrize("encoding", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, "1.2.840.10008.1.2.4.50"])
def test_dcmtk_keeps_what_was_sent_byte_for_byte(encoding: str, tmp_path: Path) -> None:
    ds = compressed(photograph(), encoding)
    sent = write(ds, tmp_path / "sent.dcm")
    archived = tmp_path / "archive"
    archived.mkdir()
    # +B: the data set as it arrives; +xa: every transfer syntax.
    with storescp(archived, "+B", "+xa") as port:
        assert send(to(port), sent) == Receipt("stored", 0x0000)
        echo(to(port), "OCUNET")
    (kept,) = archived.iterdir()
    assert kept.read_bytes().endswith(data_set_of(ds))
    assert pydicom.dcmread(kept).file_meta.TransferSyntaxUID == encoding


@pytest.mark.peers
def test_an_archive_of_implicit_vr_only_gets_it_converted(path: Path, tmp_path: Path) -> None:
    archived = tmp_path / "archive"
    archived.mkdir()
    with storescp(archived, "+xi") as port:
        assert send(to(port), path) == Receipt("stored as Implicit VR Little Endian", 0x0000)
    (kept,) = archived.iterdir()
    received = pydicom.dcmread(kept)
    assert received.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert received.PixelData == pydicom.dcmread(path).PixelData


@pytest.mark.peers
def test_orthanc_has_it_once_however_often_it_is_sent(path: Path, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        destination = to(pacs.dicom_port, pacs.ae_title)
        echo(destination, "OCUNET")
        for _ in range(2):
            assert send(destination, path).status == 0x0000
        assert pacs.sop_instance_uids() == {str(pydicom.dcmread(path).SOPInstanceUID)}
        assert pydicom.dcmread(pydicom.filebase.DicomBytesIO(pacs.file(pacs.instances()[0]))) == pydicom.dcmread(path)


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111])
def test_successes_warnings_and_duplicates_are_delivered(status: int, path: Path) -> None:
    with archive(status) as (port, received):
        assert send(to(port), path).status == status
    assert len(received) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, PeerBusy),
        (0xA702, PeerBusy),
        (0x0110, PeerBusy),
        (0x0122, PeerRefused),
        (0x0124, PeerRefused),
        (0xA900, PeerRefused),
        (0xC000, PeerRefused),
        (0xC123, PeerRefused),
    ],
)
def test_refusals_are_told_apart_and_never_quote_the_archive(status: int, error: type[Exception], path: Path) -> None:
    with archive(status) as (port, _), pytest.raises(error) as caught:
        send(to(port), path)
    assert getattr(caught.value, "status", None) == status
    assert "Testperson" not in str(caught.value)


def test_nobody_there(path: Path) -> None:
    destination = to(free_port())
    with pytest.raises(PeerUnavailable, match="check that the PACS runs"):
        send(destination, path)
    with pytest.raises(PeerUnavailable, match="check that the PACS runs"):
        echo(destination, "OCUNET")


def test_a_host_name_that_does_not_exist(path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="check host"):
        send(Destination("pacs", "ARCHIVE", "nowhere.invalid", 104, timedelta(seconds=5)), path)


def test_an_archive_that_answers_but_not_to_this_object(path: Path) -> None:
    with archive(None) as (port, _), pytest.raises(PeerBusy, match=r"no answer came within .* it answers a C-ECHO"):
        send(to(port, seconds=1), path)


@pytest.mark.peers
@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
def test_an_archive_that_hangs_or_dies_while_it_receives(sent: signal.Signals, path: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [program("storescp"), "--sleep-during", "1", "-od", str(tmp_path), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        timer = threading.Timer(0.5, process.send_signal, [sent])
        timer.start()
        with pytest.raises(PeerUnavailable, match=r"no answer came within|broke before an answer came"):
            send(to(port, seconds=2), path)
        timer.join()
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than what systems keep for a reader who does not read."""
    return write(photograph(rows=3000, columns=3000), tmp_path_factory.mktemp("large") / "large.dcm")


@pytest.mark.peers
def test_an_archive_that_stops_reading_does_not_hold_us(large: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [program("storescp"), "+xa", "--sleep-during", "1", "-od", str(tmp_path), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        timer = threading.Timer(0.6, process.send_signal, [signal.SIGSTOP])
        timer.start()
        with pytest.raises(PeerUnavailable, match=r"no answer came within|broke before an answer came"):
            send(to(port, seconds=2), large)
        timer.join()
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def slow_line(port: int, bytes_a_second: int) -> Iterator[int]:
    """Leads to the port; what goes there passes slowly, and nothing piles up on the way."""
    step = bytes_a_second // 50
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        server.bind((HOST, 0))
        server.listen()

        def copy(source: socket.socket, target: socket.socket, pause: float) -> None:
            with suppress(OSError):
                while piece := source.recv(step):
                    target.sendall(piece)
                    time.sleep(pause)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        def serve() -> None:
            with suppress(OSError):
                here = server.accept()[0]
                with here, socket.create_connection((HOST, port)) as there:
                    back = threading.Thread(target=copy, args=(there, here, 0.0))
                    back.start()
                    copy(here, there, 0.02)
                    back.join()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


@pytest.mark.peers
def test_a_slow_line_is_no_silence(large: Path, tmp_path: Path) -> None:
    with storescp(tmp_path, "+xa") as port, slow_line(port, 6_000_000) as slow:
        # 27 MB at that speed take three times as long.
        assert send(to(slow, seconds=1.5), large).status == 0x0000


@pytest.mark.peers
@pytest.mark.parametrize("option", ["--abort-during", "--abort-after"])
def test_an_archive_that_drops_every_association(option: str, path: Path, tmp_path: Path) -> None:
    with storescp(tmp_path, option) as port, pytest.raises(PeerBusy, match="broke before an answer came"):
        send(to(port), path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"require_calling_aet": ["SOMEBODY"]}, "does not know our AE title OCUNET; add it there"),
        ({"require_called_aet": True, "ae_title": "ARCHIVE"}, "it is not called OTHER; check the AE title"),
    ],
)
def test_a_rejected_association_waits_and_says_what_to_do(settings: Any, words: str, path: Path) -> None:
    called = "OTHER" if "require_called_aet" in settings else "ARCHIVE"
    with archive(**settings) as (port, _):
        for attempt in (lambda: send(to(port, called), path), lambda: echo(to(port, called), "OCUNET")):
            with pytest.raises(PeerUnavailable, match=words):
                attempt()


def test_an_archive_that_does_not_store_this_class(tmp_path: Path) -> None:
    ds = photograph()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    with archive() as (port, _), pytest.raises(PeerRefused, match="none of the offered SOP classes"):
        send(to(port), write(ds, tmp_path / "sr.dcm"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with archive() as (port, _), pytest.raises(StoreError):
        send(to(port), tmp_path / "gone.dcm")
