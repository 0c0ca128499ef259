"""Photographs as Ophthalmic Photography objects, judged by dciodvfy."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.encaps import get_frame

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.wrap import write_dicom
from tests.conftest import program
from tests.unit.imaging.conftest import encode, wrap


def content_of(photograph, kind: str) -> bytes:
    return {
        "JPEG": lambda: encode(photograph, "JPEG"),
        "JPEG 4:4:4": lambda: encode(photograph, "JPEG", subsampling=0),
        "RGB JPEG": lambda: encode(photograph, "JPEG", keep_rgb=True),
        "progressive JPEG": lambda: encode(photograph, "JPEG", progressive=True),
        "grey JPEG": lambda: encode(photograph[:, :, 1], "JPEG"),
        "PNG": lambda: encode(photograph, "PNG"),
        "odd PNG": lambda: encode(photograph[:127, :159], "PNG"),
        "TIFF": lambda: encode(photograph, "TIFF"),
    }[kind]()


KINDS = ("JPEG", "JPEG 4:4:4", "RGB JPEG", "progressive JPEG", "grey JPEG", "PNG", "odd PNG", "TIFF")


@pytest.mark.peers
@pytest.mark.parametrize("eye", [Laterality.RIGHT, Laterality.LEFT])
@pytest.mark.parametrize("kind", KINDS)
def test_the_object_is_valid(photograph, tmp_path, kind, eye):
    ds = wrap(content_of(photograph, kind), laterality=eye, patient_name="Ünal^Ayşe", patient_sex="F")
    write_dicom(ds, tmp_path / "a.dcm")
    verdict = subprocess.run(
        [program("dciodvfy"), "-new", tmp_path / "a.dcm"], capture_output=True, text=True, timeout=30, check=False
    )
    assert "OphthalmicPhotography8BitImage" in verdict.stderr + verdict.stdout
    assert "Error" not in verdict.stderr + verdict.stdout


@pytest.mark.peers
def test_an_unknown_eye_is_left_out_and_nothing_else_is_wrong(photograph, tmp_path):
    write_dicom(wrap(encode(photograph, "JPEG"), laterality=None), tmp_path / "a.dcm")
    verdict = subprocess.run(
        [program("dciodvfy"), "-new", tmp_path / "a.dcm"], capture_output=True, text=True, timeout=30, check=False
    )
    errors = [line for line in (verdict.stderr + verdict.stdout).splitlines() if line.startswith("Error")]
    assert len(errors) == 1
    assert "ImageLaterality" in errors[0]
    assert read_header(tmp_path / "a.dcm").laterality is Laterality.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "photometric", "syntax", "lossy"),
    [
        ("JPEG", "YBR_FULL_422", uid.JPEGBaseline8Bit, "01"),
        ("JPEG 4:4:4", "YBR_FULL_422", uid.JPEGBaseline8Bit, "01"),
        ("RGB JPEG", "RGB", uid.ExplicitVRLittleEndian, "01"),
        ("progressive JPEG", "RGB", uid.ExplicitVRLittleEndian, "01"),
        ("grey JPEG", "MONOCHROME2", uid.JPEGBaseline8Bit, "01"),
        ("PNG", "RGB", uid.ExplicitVRLittleEndian, "00"),
    ],
)
def test_what_it_says_about_its_pixels(photograph, tmp_path, kind, photometric, syntax, lossy):
    content = content_of(photograph, kind)
    write_dicom(wrap(content, laterality=Laterality.RIGHT), tmp_path / "a.dcm")
    ds = dcmread(tmp_path / "a.dcm")
    assert ds.PhotometricInterpretation == photometric
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.LossyImageCompression == lossy
    assert ("LossyImageCompressionRatio" in ds) == (lossy == "01")
    if syntax == uid.JPEGBaseline8Bit:
        assert get_frame(ds.PixelData, 0).rstrip(b"\0") == content


@pytest.mark.parametrize("kind", ["PNG", "odd PNG", "TIFF"])
def test_pixels_without_loss_come_back(photograph, tmp_path, kind):
    write_dicom(wrap(content_of(photograph, kind), laterality=Laterality.RIGHT), tmp_path / "a.dcm")
    (frame,) = frames(tmp_path / "a.dcm")
    np.testing.assert_array_equal(frame, photograph[: frame.shape[0], : frame.shape[1]])
    assert kind == "odd PNG" or frame.shape == photograph.shape


def test_names_keep_their_letters_and_times_their_zone(photograph, tmp_path):
    write_dicom(
        wrap(encode(photograph, "JPEG"), laterality=Laterality.LEFT, patient_name="山田^太郎"), tmp_path / "a.dcm"
    )
    ds = dcmread(tmp_path / "a.dcm")
    assert str(ds.PatientName) == "山田^太郎"
    assert ds.AcquisitionDateTime == "20240506070809.000000+0000"
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID == "1.2.3.1.1"


def test_the_file_may_be_named_instead(photograph, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(photograph, "JPEG"))
    by_path = wrap(tmp_path / "a.jpg", laterality=Laterality.LEFT)
    by_bytes = wrap((tmp_path / "a.jpg").read_bytes(), laterality=Laterality.LEFT)
    assert by_path == by_bytes


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no photograph", ReasonCode.UNREADABLE_PIXELS),
        (encode(np.zeros((10, 10, 3), np.uint8), "JPEG"), ReasonCode.TOO_SMALL),
        (encode(np.zeros((90, 90, 3), np.uint8), "JPEG")[:-40], ReasonCode.UNREADABLE_PIXELS),
    ],
)
def test_what_is_no_photograph_is_not_wrapped(content, code):
    with pytest.raises(BadInput) as caught:
        wrap(content, laterality=Laterality.LEFT)
    assert caught.value.reason.code is code
