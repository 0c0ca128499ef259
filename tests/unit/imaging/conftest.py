"""A drawn photograph and the DICOM objects that can carry it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import gdcm
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, OphthalmicPhotography8BitImageStorage

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture(scope="session")
def photograph() -> RgbImage:
    """A small drawn fundus; even sides, not square, so that swapped axes show."""
    return draw_fundus(seed=11, laterality=Laterality.RIGHT, size=(160, 128), lesions=[Lesion.HAEMORRHAGES])


def encode(rgb: np.ndarray, kind: str, **options: Any) -> bytes:
    """The bytes of a photograph's file."""
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, kind, **options)
    return content.getvalue()


wrap = partial(
    wrap_photograph,
    patient_id="P-1",
    patient_name="Drawn^Eye",
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.1",
    sop_instance_uid="1.2.3.1.1",
    instance_number=1,
    now=NOW,
)


def plain(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """An uncompressed RGB object (frames stack along a fourth axis in front); `attributes` override what it says."""
    ds = Dataset()
    ds.SOPClassUID = OphthalmicPhotography8BitImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.1.1", "1.2.3", "1.2.3.1"
    ds.Modality = "OP"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    if pixels.ndim == 4:
        ds.NumberOfFrames = len(pixels)
    ds.Rows, ds.Columns = pixels.shape[-3:-1]
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OB" if pixels.dtype == np.uint8 else "OW"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def save(ds: Dataset, path: Path) -> Path:
    """Write a Part 10 file."""
    ds.save_as(path, enforce_file_format=True)
    return path


def transcode(source: Path, target: Path, syntax: int) -> None:
    """Let gdcm compress a file."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
