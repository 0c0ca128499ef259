"""Small ophthalmic objects for the network tests: as a camera would send them, and every way in which they break."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from pathlib import Path

OP_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def photograph(*, rows: int = 32, columns: int = 48, samples: int = 3, study: str | None = None) -> Dataset:
    """An uncompressed Ophthalmic Photography 8 Bit object with the attributes that decide."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = OP_8_BIT
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = study or generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Testperson^Erika"
    ds.PatientID = "T-4711"
    ds.Modality = "OP"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"]
    ds.ImageLaterality = "R"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "5665001", "SCT", "Retina"
    ds.AnatomicRegionSequence = [code]
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = "RGB" if samples > 1 else "MONOCHROME2"
    if samples > 1:
        ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ramp = np.arange(rows * columns * samples, dtype=np.uint32) % 251
    content = ramp.astype(np.uint8).tobytes()
    ds.PixelData = content + bytes(len(content) % 2)
    return ds


def write(ds: Dataset, path: Path) -> Path:
    """As a Part 10 file, in the transfer syntax of its file meta information."""
    ds.save_as(path, enforce_file_format=True)
    return path


def encoded(ds: Dataset) -> bytes:
    """The data set alone, explicit VR little endian, however wrong it is."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return bytes(buffer.getvalue())


def data_set_of(ds: Dataset) -> bytes:
    """The data set alone, in the transfer syntax of its file meta information."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    content = buffer.getvalue()
    return content[144 + int(struct.unpack_from("<L", content, 140)[0]) :]
