"""Whatever encoding a peer takes, it gets the object in it, and nothing of it is lost."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.domain.errors import PeerRefused
from ocunet_pacs.domain.ports import Receipt
from tests.conftest import program
from tests.dcmtk import HOST, storescp
from tests.integration.objects import write
from tests.integration.results import grey_map, heatmap, jpeg_heatmap, pdf, picture, report
from tests.integration.small_archive import small_archive
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

LOSSLESS = [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1]
PICTURES: list[Callable[[], Dataset]] = [heatmap, jpeg_heatmap, grey_map]
DOCUMENTS: list[Callable[[], Dataset]] = [report, pdf]


def to(port: int, ae_title: str = "ARCHIVE") -> Destination:
    return Destination(name="pacs", ae_title=ae_title, host=HOST, port=port, timeout=timedelta(seconds=30))


def send(destination: Destination, *paths: Path) -> list[Receipt]:
    sender = CStoreSender(destination, "OCUNET")
    try:
        return [sender.send(path) for path in paths]
    finally:
        sender.close()


def is_same(sent: Dataset, kept: Dataset) -> None:
    """The pixels, the UID and all else but what an encoding changes."""
    of_encoding = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
    for element in sent:
        if element.keyword not in of_encoding:
            assert kept[element.tag] == element, element.keyword
    assert {element.tag for element in kept} == {element.tag for element in sent}
    if "PixelData" in sent:
        assert np.array_equal(kept.pixel_array, sent.pixel_array)
        if kept.file_meta.TransferSyntaxUID != sent.file_meta.TransferSyntaxUID:
            assert kept.PhotometricInterpretation in {"RGB", "MONOCHROME2"}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, *LOSSLESS])
@pytest.mark.parametrize("made", PICTURES)
def test_pictures_for_a_peer_that_takes_one_encoding(made: Callable[[], Dataset], syntax: str, tmp_path: Path) -> None:
    path = write(made(), tmp_path / "picture.dcm")
    sent = pydicom.dcmread(path)
    with small_archive({sent.SOPClassUID: (syntax,)}) as archive:
        (receipt,) = send(to(archive.port), path)
    (kept,) = archive.received
    assert kept.file_meta.TransferSyntaxUID == syntax
    is_same(sent, kept)
    own = sent.file_meta.TransferSyntaxUID == syntax
    assert receipt == Receipt("stored" if own else f"stored as {pydicom.uid.UID(syntax).name}", 0x0000)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("made", DOCUMENTS)
def test_documents_for_a_peer_that_takes_one_encoding(made: Callable[[], Dataset], syntax: str, tmp_path: Path) -> None:
    path = write(made(), tmp_path / "document.dcm")
    sent = pydicom.dcmread(path)
    with small_archive({sent.SOPClassUID: (syntax,)}) as archive:
        send(to(archive.port), path)
    (kept,) = archive.received
    assert kept.file_meta.TransferSyntaxUID == syntax
    is_same(sent, kept)


def test_of_all_that_a_peer_takes_it_gets_the_objects_own(tmp_path: Path) -> None:
    syntaxes = (*LOSSLESS, ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit)
    path = write(jpeg_heatmap(), tmp_path / "jpeg.dcm")
    with small_archive({pydicom.dcmread(path).SOPClassUID: syntaxes}) as archive:
        assert send(to(archive.port), path) == [Receipt("stored", 0x0000)]
    assert archive.received[0].file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert archive.received[0].PixelData == pydicom.dcmread(path).PixelData


def test_what_was_compressed_with_loss_keeps_saying_so(tmp_path: Path) -> None:
    path = write(jpeg_heatmap(), tmp_path / "jpeg.dcm")
    sent = pydicom.dcmread(path)
    with small_archive({sent.SOPClassUID: (ImplicitVRLittleEndian,)}) as archive:
        send(to(archive.port), path)
    (kept,) = archive.received
    assert (kept.LossyImageCompression, kept.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert (kept.PhotometricInterpretation, kept.PlanarConfiguration) == ("RGB", 0)
    assert kept.SOPInstanceUID == sent.SOPInstanceUID
    # JPEG with loss, but the same picture.
    assert np.abs(kept.pixel_array.astype(int) - picture()).mean() < 12


def test_a_peer_that_takes_no_encoding_that_we_can_make(tmp_path: Path) -> None:
    path = write(heatmap(), tmp_path / "heatmap.dcm")
    takes = {pydicom.dcmread(path).SOPClassUID: (JPEGBaseline8Bit,)}
    with small_archive(takes) as archive, pytest.raises(PeerRefused, match="no encoding that we can send"):
        send(to(archive.port), path)
    assert archive.received == []


def test_pixels_that_cannot_be_decoded_are_refused_and_not_sent(tmp_path: Path) -> None:
    ds = jpeg_heatmap()
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 no picture \xff\xd9"])
    path = write(ds, tmp_path / "broken.dcm")
    with (
        small_archive({ds.SOPClassUID: (ExplicitVRLittleEndian,)}) as archive,
        pytest.raises(PeerRefused, match="cannot be encoded as Explicit VR"),
    ):
        send(to(archive.port), path)
    assert archive.received == []


@pytest.mark.peers
@pytest.mark.parametrize(
    ("option", "jpeg_arrives_as"),
    [
        ("+xe", ExplicitVRLittleEndian),
        ("+xi", ImplicitVRLittleEndian),
        ("+xr", ExplicitVRLittleEndian),
        ("+xs", ExplicitVRLittleEndian),
        ("+xv", ExplicitVRLittleEndian),
        ("+xt", ExplicitVRLittleEndian),
        ("+xd", ExplicitVRLittleEndian),
        ("+xy", JPEGBaseline8Bit),
        ("+xa", JPEGBaseline8Bit),
    ],
)
def test_dcmtk_takes_everything_that_we_make(option: str, jpeg_arrives_as: str, tmp_path: Path) -> None:
    paths = [write(made(), tmp_path / f"{made.__name__}.dcm") for made in (*PICTURES, *DOCUMENTS)]
    archived = tmp_path / "archive"
    archived.mkdir()
    with storescp(archived, "+B", option) as port:
        assert {receipt.status for receipt in send(to(port), *paths)} == {0x0000}
    kept = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, archived.iterdir())}
    assert len(kept) == len(paths)
    for sent in map(pydicom.dcmread, paths):
        is_same(sent, kept[sent.SOPInstanceUID])
    jpeg = pydicom.dcmread(tmp_path / "jpeg_heatmap.dcm")
    assert kept[jpeg.SOPInstanceUID].file_meta.TransferSyntaxUID == jpeg_arrives_as


PROFILE = """
[[TransferSyntaxes]]
[Only]
TransferSyntax1 = {syntax}
[[PresentationContexts]]
[Contexts]
PresentationContext1 = SecondaryCaptureImageStorage\\Only
[[Profiles]]
[Default]
PresentationContexts = Contexts
"""


@pytest.mark.peers
@pytest.mark.parametrize(
    ("syntax", "word"),
    [
        (RLELossless, "RLELossless"),
        (JPEG2000Lossless, "JPEG2000LosslessOnly"),
        (JPEGLSLossless, "JPEGLSLossless"),
        (JPEGLosslessSV1, "JPEGLossless:Non-hierarchical-1stOrderPrediction"),
    ],
)
def test_dcmtk_that_takes_only_one_compression_gets_it_and_can_read_it(syntax: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "profile.cfg").write_text(PROFILE.format(syntax=word))
    path = write(jpeg_heatmap(), tmp_path / "jpeg.dcm")
    archived = tmp_path / "archive"
    archived.mkdir()
    with storescp(archived, "+B", "-xf", str(tmp_path / "profile.cfg"), "Default") as port:
        (receipt,) = send(to(port), path)
    assert receipt.status == 0x0000
    (kept,) = archived.iterdir()
    assert pydicom.dcmread(kept).file_meta.TransferSyntaxUID == syntax
    decoders = {RLELossless: "dcmdrle", JPEGLSLossless: "dcmdjpls", JPEGLosslessSV1: "dcmdjpeg"}
    if syntax in decoders:
        decoded = tmp_path / "decoded.dcm"
        subprocess.run([program(decoders[syntax]), str(kept), str(decoded)], check=True, timeout=60)
        kept = decoded
    assert np.array_equal(pydicom.dcmread(kept).pixel_array, pydicom.dcmread(path).pixel_array)


@pytest.mark.peers
def test_orthanc_takes_everything_that_we_make_over_one_association(tmp_path: Path) -> None:
    paths = [write(made(), tmp_path / f"{made.__name__}.dcm") for made in (*PICTURES, *DOCUMENTS)]
    with orthanc(tmp_path / "orthanc") as pacs:
        send(to(pacs.dicom_port, pacs.ae_title), *paths)
        kept = {ds.SOPInstanceUID: ds for ds in (_read(pacs.file(i)) for i in pacs.instances())}
    assert len(kept) == len(paths)
    for sent in map(pydicom.dcmread, paths):
        assert kept[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert kept[sent.SOPInstanceUID] == sent


@pytest.mark.peers
def test_orthanc_that_takes_no_jpeg_gets_it_decoded(tmp_path: Path) -> None:
    path = write(jpeg_heatmap(), tmp_path / "jpeg.dcm")
    settings = {f"{name}TransferSyntaxAccepted": False for name in ("Deflated", "Jpeg", "Jpeg2000", "JpegLossless")}
    with orthanc(tmp_path / "orthanc", **settings, AcceptedTransferSyntaxes=["1.2.840.10008.1.2.1"]) as pacs:
        send(to(pacs.dicom_port, pacs.ae_title), path)
        (kept,) = (_read(pacs.file(i)) for i in pacs.instances())
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    is_same(pydicom.dcmread(path), kept)


def _read(content: bytes) -> Dataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
