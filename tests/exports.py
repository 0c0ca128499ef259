"""Objects in the shapes that real cameras and review stations export, drawn and made here; nobody's data.

Each is what conformance statements and export practice describe: which class, which codes (old SNOMED RT where older
software writes it), what is left out, what is mislabelled.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.intake import eligibility as classes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEREOMETRIC_RELATIONSHIP = "1.2.840.10008.5.1.4.1.1.77.1.5.3"
TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.5.4"
RETINA, FUNDUS_CAMERA = ("T-AA610", "SRT", "Retina"), ("R-1021A", "SRT", "Fundus Camera")
SIZE = (320, 240)


@cache
def fundus(seed: int = 3, side: str = "R") -> np.ndarray:
    """A drawn eye that can be assessed, uint8 RGB."""
    return draw_fundus(seed=seed, laterality=Laterality(side), size=SIZE)


def blurred() -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(fundus(5), (0, 0), 16))


def red_free() -> np.ndarray:
    """As a camera stores it that knows no monochrome: three equal channels."""
    return np.repeat(fundus(6)[:, :, 1:2], 3, axis=2)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def made(pixels: np.ndarray | None, study: str, *, sop_class: str, jpeg: bool = True, **attributes: Any) -> Dataset:
    """One object of the study's one patient. `attributes` go in as they are; None leaves one out."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{study}.{len(sop_class)}"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Testperson^Erika", "T-4711", "19570303", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260301", "101500", "1", "A-1"
    ds.ReferringPhysicianName = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "OP", 1, 1
    ds.AcquisitionDateTime = "20260301101600"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if pixels is not None:
        _set_pixels(ds, pixels, jpeg=jpeg)
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def _set_pixels(ds: Dataset, pixels: np.ndarray, *, jpeg: bool) -> None:
    frames = pixels if pixels.ndim == 4 else pixels[None]
    grey = frames.shape[-1] == 1
    ds.SamplesPerPixel = 1 if grey else 3
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    if len(frames) > 1:
        ds.NumberOfFrames = len(frames)
    if not grey:
        ds.PlanarConfiguration = 0
    if jpeg and not grey:
        ds.PhotometricInterpretation = "YBR_FULL_422"
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.PixelData = encapsulate([_jpeg(frame) for frame in frames])
        ds.LossyImageCompression = "01"
    else:
        ds.PhotometricInterpretation = "MONOCHROME2" if grey else "RGB"
        content = frames.tobytes()
        ds.PixelData = content + bytes(len(content) % 2)
    ds["PixelData"].VR = "OB"


def _jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=92)
    return content.getvalue()


def photograph(study: str, pixels: np.ndarray | None = None, side: str = "R", **attributes: Any) -> Dataset:
    """A colour Ophthalmic Photography 8 Bit object with its codes; pupil, spacing and lens tags missing."""
    defaults = {
        "Manufacturer": "Canon Inc.",
        "ImageType": ["ORIGINAL", "PRIMARY", "", "COLOR"],
        "ImageLaterality": side,
        "AnatomicRegionSequence": [code(*RETINA)],
        "AcquisitionDeviceTypeCodeSequence": [code(*FUNDUS_CAMERA)],
    }
    shown = fundus(3, side) if pixels is None else pixels
    return made(shown, study, sop_class=classes.OPHTHALMIC_PHOTOGRAPHY_8_BIT, **(defaults | attributes))


def canon_op(study: str) -> Dataset:
    return photograph(study)


def canon_vl(study: str) -> Dataset:
    """The same camera set to VL: no region, no device, the side in the series."""
    return made(
        fundus(4, "L"),
        study,
        sop_class=classes.VL_PHOTOGRAPHIC,
        Manufacturer="Canon Inc.",
        Modality="XC",
        ImageType=["ORIGINAL", "PRIMARY"],
        Laterality="L",
    )


def canon_sc(study: str) -> Dataset:
    """The same camera set to Secondary Capture, uncompressed."""
    return made(
        fundus(4, "L"),
        study,
        sop_class=classes.SECONDARY_CAPTURE,
        jpeg=False,
        Manufacturer="Canon Inc.",
        Modality="OT",
        ConversionType="DI",
        ImageType=["ORIGINAL", "PRIMARY"],
        Laterality="L",
    )


def visucam_op(study: str) -> Dataset:
    """Image Laterality empty, the side in the region's modifier, in the old codes."""
    region = code(*RETINA)
    region.AnatomicRegionModifierSequence = [code("G-A101", "SRT", "Left")]
    return photograph(
        study, fundus(7, "L"), Manufacturer="Carl Zeiss Meditec", ImageLaterality="", AnatomicRegionSequence=[region]
    )


def visucam_vl(study: str) -> Dataset:
    """VL that says what it shows."""
    return made(
        fundus(8, "L"),
        study,
        sop_class=classes.VL_PHOTOGRAPHIC,
        Manufacturer="Carl Zeiss Meditec",
        Modality="OP",
        ImageType=["ORIGINAL", "PRIMARY"],
        ImageLaterality="L",
        AnatomicRegionSequence=[code(*RETINA)],
    )


def clarus_wide(study: str) -> Dataset:
    """In the ordinary class, with a field of view that is not ordinary."""
    return photograph(study, Manufacturer="Carl Zeiss Meditec", HorizontalFieldOfView=133.0)


def clarus_infrared(study: str) -> Dataset:
    return photograph(
        study,
        fundus(9)[:, :, :1],
        Manufacturer="Carl Zeiss Meditec",
        ImageType=["ORIGINAL", "PRIMARY", "", "INFRARED"],
    )


def clarus_autofluorescence(study: str) -> Dataset:
    return photograph(
        study,
        red_free(),
        Manufacturer="Carl Zeiss Meditec",
        ImageType=["ORIGINAL", "PRIMARY", "", "AUTOFLUORESCENCE"],
    )


def clarus_angiography(study: str) -> Dataset:
    """Value 4 left empty: only the agent tells."""
    return photograph(
        study,
        red_free(),
        Manufacturer="Carl Zeiss Meditec",
        ImageType=["ORIGINAL", "PRIMARY", "", ""],
        ContrastBolusAgentSequence=[code("C-B02CC", "SRT", "Fluorescein")],
    )


def clarus_external_eye(study: str) -> Dataset:
    return photograph(
        study,
        Manufacturer="Carl Zeiss Meditec",
        AnatomicRegionSequence=[code("T-AA000", "SRT", "Eye")],
        AcquisitionDeviceTypeCodeSequence=[code("R-1021B", "SRT", "External Camera")],
    )


def iolmaster(study: str) -> Dataset:
    """An anterior segment, in the class of a fundus photograph."""
    return photograph(
        study,
        fundus(10)[:, :, :1],
        Manufacturer="Carl Zeiss Meditec",
        ImageType=["ORIGINAL", "PRIMARY"],
        AnatomicRegionSequence=[code("T-AA050", "SRT", "Anterior chamber of eye")],
        AcquisitionDeviceTypeCodeSequence=[],
    )


def optovue_sc(study: str) -> Dataset:
    """A page of results as a picture."""
    page = np.full((SIZE[1], SIZE[0], 3), 245, np.uint8)
    cv2.putText(page, "RNFL thickness 96 um", (12, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 30, 30), 2)
    return made(
        page,
        study,
        sop_class=classes.SECONDARY_CAPTURE,
        jpeg=False,
        Manufacturer="Optovue",
        Modality="OPT",
        ConversionType="WSD",
        ImageType=["DERIVED", "SECONDARY"],
    )


def mislabelled(study: str) -> Dataset:
    """Red-free that calls itself COLOR."""
    return photograph(study, red_free())


def out_of_focus(study: str) -> Dataset:
    return photograph(study, blurred(), "L")


def child(study: str) -> Dataset:
    return photograph(study, PatientAge="009Y")


def calibration(study: str) -> Dataset:
    return photograph(study, CalibrationImage="YES")


def montage(study: str) -> Dataset:
    return photograph(study, ImageType=["DERIVED", "PRIMARY", "MONTAGE", "COLOR"])


def wide_field_class(study: str) -> Dataset:
    ds = photograph(study)
    ds.SOPClassUID = classes.WIDE_FIELD_STEREOGRAPHIC_PROJECTION
    return ds


def tomography(study: str) -> Dataset:
    ds = photograph(study, fundus(9)[:, :, :1], Modality="OPT", ImageType=["ORIGINAL", "PRIMARY"])
    ds.SOPClassUID = TOMOGRAPHY
    return ds


def both_eyes(study: str) -> Dataset:
    """Two frames, an eye each, as only the frames say."""
    frames = np.stack([fundus(3, "R"), fundus(4, "L")])
    sides = []
    for side in "RL":
        anatomy, group = Dataset(), Dataset()
        anatomy.FrameLaterality = side
        group.FrameAnatomySequence = [anatomy]
        sides.append(group)
    return photograph(study, frames, "B", PerFrameFunctionalGroupsSequence=sides)


def stereo_pair(study: str) -> tuple[Dataset, Dataset, Dataset]:
    """Two photographs of one eye and the object that joins them (PS3.3 A.43)."""
    left, right = photograph(study, fundus(3)), photograph(study, fundus(11))
    pair = Dataset()
    for keyword, image in (("LeftImageSequence", left), ("RightImageSequence", right)):
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        setattr(pair, keyword, [reference])
    joined = made(None, study, sop_class=STEREOMETRIC_RELATIONSHIP, Manufacturer="Canon Inc.")
    joined.StereoPairsSequence = [pair]
    return left, right, joined


def save(objects: Sequence[Dataset], folder: Path) -> list[Path]:
    """Part 10 files, in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(objects, 1):
        paths.append(folder / f"{number:02}.dcm")
        ds.InstanceNumber = number
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            ds.SOPClassUID,
            ds.SOPInstanceUID,
        )
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths
