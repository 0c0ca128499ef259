"""Photographs without DICOM to Ophthalmic Photography 8 Bit Image objects (PS3.3 section A.41).

For cameras that export files, for the demonstration and for tests. A baseline JPEG is wrapped, not recompressed: the
model sees the very pixels of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, OphthalmicPhotography8BitImageStorage

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.codestream import Codestream, read_jpeg
from ocunet_pacs.imaging.decode import load, open_photograph
from ocunet_pacs.imaging.jpeg import claims_rgb, refuse_filler

if TYPE_CHECKING:
    from datetime import datetime

    from PIL.Image import Image

_BASELINE = 0xC0
_GREY_MODES = frozenset({"1", "L", "LA"})
_EMPTY_SEQUENCES = (
    "RefractiveStateSequence",
    "IlluminationTypeCodeSequence",
    "LightPathFilterTypeStackCodeSequence",
    "ImagePathFilterTypeStackCodeSequence",
    "LensesCodeSequence",
)
_EMPTY_VALUES = (
    "PatientEyeMovementCommanded",
    "EmmetropicMagnification",
    "IntraOcularPressure",
    "HorizontalFieldOfView",
    "PupilDilated",
    "DetectorType",
)
"""Type 2: a photograph's file does not know them, and an empty value says just that."""


def wrap_photograph(
    photograph: Path | bytes,
    *,
    laterality: Laterality | None,
    patient_id: str,
    patient_name: str,
    study_instance_uid: str,
    series_instance_uid: str,
    sop_instance_uid: str,
    instance_number: int,
    now: datetime,
    patient_birth_date: str = "",
    patient_sex: str = "",
    accession_number: str = "",
    study_id: str = "1",
    study_description: str = "",
    series_number: int = 1,
    manufacturer: str = "",
) -> Dataset:
    """One single-frame object, ready for `write_dicom`, of a JPEG, PNG or TIFF file (or its bytes).

    A baseline JPEG of YCbCr or grey keeps its stream byte for byte; anything else becomes uncompressed RGB,
    or MONOCHROME2 where it is grey. An EXIF orientation is not applied. `now` (aware) becomes the time of acquisition
    and of the study. `patient_birth_date` is YYYYMMDD or empty, `patient_name` DICOM's PN.

    `laterality` None or UNKNOWN leaves Image Laterality out. The standard wants R, L or B there (type 1), so such an
    object is not strictly valid; it says the truth, and a guessed eye would be worse. For the same reason there is no
    Pixel Spacing, which the standard wants of a fundus camera: a photograph's file does not tell it.

    BadInput where the file cannot be read or has a size that no fundus photograph has.
    """
    content = photograph.read_bytes() if isinstance(photograph, Path) else photograph
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = OphthalmicPhotography8BitImageStorage
    ds.SOPInstanceUID = sop_instance_uid
    ds.PatientName, ds.PatientID = patient_name, patient_id
    ds.PatientBirthDate, ds.PatientSex = patient_birth_date, patient_sex
    ds.StudyInstanceUID, ds.StudyID = study_instance_uid, study_id
    ds.AccessionNumber, ds.ReferringPhysicianName = accession_number, ""
    if study_description:
        ds.StudyDescription = study_description
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber = series_instance_uid, series_number, instance_number
    ds.Modality, ds.Manufacturer = "OP", manufacturer
    _set_times(ds, now)
    _set_ophthalmic(ds, laterality)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    _set_pixels(ds, content)
    return ds


def write_dicom(ds: Dataset, path: Path) -> None:
    """Write a Part 10 file (PS3.10). OSError where the file cannot be written."""
    ds.save_as(path, enforce_file_format=True)


def _set_times(ds: Dataset, now: datetime) -> None:
    ds.StudyDate = ds.ContentDate = ds.AcquisitionDate = now.strftime("%Y%m%d")
    ds.StudyTime = ds.ContentTime = ds.AcquisitionTime = now.strftime("%H%M%S.%f")
    ds.AcquisitionDateTime = now.strftime("%Y%m%d%H%M%S.%f%z")
    ds.TimezoneOffsetFromUTC = now.strftime("%z")


def _set_ophthalmic(ds: Dataset, laterality: Laterality | None) -> None:
    """The modules that make it a fundus photograph (PS3.3 sections C.8.17.1 to C.8.17.5, C.7.4.2)."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"]
    ds.BurnedInAnnotation, ds.PatientOrientation = "NO", ""
    ds.AnatomicRegionSequence = [_code("5665001", "Retina")]
    ds.AcquisitionDeviceTypeCodeSequence = [_code("409898007", "Fundus Camera")]
    if laterality in (Laterality.RIGHT, Laterality.LEFT):
        ds.ImageLaterality = laterality.value
    else:
        ds.Laterality = ""
    for keyword in _EMPTY_SEQUENCES:
        setattr(ds, keyword, [])
    for keyword in _EMPTY_VALUES:
        setattr(ds, keyword, None)
    ds.SynchronizationFrameOfReferenceUID = derive_uid("synchronization", ds.StudyInstanceUID)
    ds.SynchronizationTrigger = "NO TRIGGER"
    ds.AcquisitionTimeSynchronized = "N"
    # Multi-frame by definition, one frame in fact: a pointer must be there and point at something.
    ds.NumberOfFrames, ds.FrameIncrementPointer, ds.FrameTime = 1, 0x00181063, 0


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _set_pixels(ds: Dataset, content: bytes) -> None:
    image = open_photograph(content)
    grey = image.mode in _GREY_MODES
    samples = load(image, "L" if grey else "RGB")  # also for a JPEG that stays as it is: it must be readable
    ds.Columns, ds.Rows = image.width, image.height
    ds.SamplesPerPixel = 1 if grey else 3
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    stream = read_jpeg(content) if content[:2] == b"\xff\xd8" else None
    if stream is not None and not grey:
        refuse_filler(samples)
    if stream is not None and _can_stay(stream, image):
        ds.PhotometricInterpretation = "MONOCHROME2" if grey else "YBR_FULL_422"
        _set_lossy(ds, samples.nbytes, len(content))
        ds.PixelData = encapsulate([content])
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    else:
        ds.PhotometricInterpretation = "MONOCHROME2" if grey else "RGB"
        if stream is None:
            ds.LossyImageCompression = "00"
        else:
            _set_lossy(ds, samples.nbytes, len(content))
        pixels = np.ascontiguousarray(samples).tobytes()
        ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds["PixelData"].VR = "OB"
    if grey:
        ds.PresentationLUTShape = "IDENTITY"
    else:
        ds.PlanarConfiguration = 0


def _can_stay(stream: Codestream, image: Image) -> bool:
    """Whether the stream is what JPEG Baseline (1.2.840.10008.1.2.4.50) and the object allow.

    The object allows no RGB inside a lossy JPEG, and no YBR_FULL: YBR_FULL_422 stands for every subsampling.
    """
    return (
        stream.frame_marker == _BASELINE
        and stream.precision == 8
        and image.mode in ("L", "RGB")
        and not claims_rgb(stream)
    )


def _set_lossy(ds: Dataset, raw_bytes: int, compressed_bytes: int) -> None:
    """What was lost once stays declared, however the pixels are stored now (PS3.3 section C.7.6.1.1.5)."""
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = f"{raw_bytes / compressed_bytes:.2f}"
    ds.LossyImageCompressionMethod = "ISO_10918_1"
