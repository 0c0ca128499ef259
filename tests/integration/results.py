"""Small results as the report stage makes them: pictures in each encoding, a document without pixels, a notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from tests.integration.objects import SECONDARY_CAPTURE, photograph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
GREY_MAP = "1.2.840.10008.5.1.4.1.1.7.2"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def picture(rows: int = 341, columns: int = 403) -> NDArray[np.uint8]:
    """Blocks of colour: (rows, columns, 3); by default of an odd number of bytes."""
    coarse = np.random.default_rng(1).integers(0, 256, (rows // 31 + 1, columns // 31 + 1, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((31, 31, 1), np.uint8))[:rows, :columns]


def heatmap(pixels: NDArray[np.uint8] | None = None) -> Dataset:
    """Uncompressed Secondary Capture."""
    pixels = picture() if pixels is None else pixels
    ds = photograph(rows=pixels.shape[0], columns=pixels.shape[1])
    ds.SOPClassUID, ds.ConversionType = SECONDARY_CAPTURE, "WSD"
    content = pixels.tobytes()
    ds.PixelData = content + bytes(len(content) % 2)
    return ds


def jpeg_heatmap() -> Dataset:
    """JPEG baseline, with loss."""
    ds = heatmap()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.PixelData = encapsulate([simplejpeg.encode_jpeg(picture(), quality=90, colorsubsampling="422")])
    ds["PixelData"].VR = "OB"
    return ds


def grey_map() -> Dataset:
    """Three frames of grey, each of an odd number of bytes."""
    ds = photograph(rows=341, columns=403, samples=1)
    ds.SOPClassUID, ds.ConversionType, ds.NumberOfFrames = GREY_MAP, "WSD", 3
    content = np.moveaxis(picture(), -1, 0).tobytes()
    ds.PixelData = content + bytes(len(content) % 2)
    return ds


def report() -> Dataset:
    """A report of no great length, without pixels."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.Modality = COMPREHENSIVE_3D, "SR"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    ds.PatientID, ds.PatientName, ds.SpecificCharacterSet = "T-4711", "Müller^Erika", "ISO_IR 192"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = "", "", "", 900, 1
    ds.CompletionFlag, ds.VerificationFlag, ds.ValueType, ds.ContinuityOfContent = (
        "COMPLETE",
        "UNVERIFIED",
        "CONTAINER",
        "SEPARATE",
    )
    ds.TextValue = "above threshold " * 200
    return ds


def pdf() -> Dataset:
    """An encapsulated PDF that is none."""
    ds = report()
    ds.SOPClassUID, ds.Modality, ds.MIMETypeOfEncapsulatedDocument = PDF, "OT", "application/pdf"
    ds.EncapsulatedDocument = b"%PDF-1.7 " + bytes(999)
    return ds


def notice(path: Path, **changes: Any) -> Path:
    """Word of an urgent study."""
    document = {
        "id": "2.25.1234567890",
        "kind": "urgent_study",
        "urgency": "urgent",
        "study": {"digest": "0123456789ab"},
        "findings": [
            {
                "eye": "OD",
                "label": "CRVO",
                "display": "Central retinal vein occlusion",
                "probability": 0.91,
                "threshold": 0.4,
                "urgency": "urgent",
            }
        ],
        "report_sop_instance_uid": "2.25.99",
        "made": "2026-11-25T09:00:00+00:00",
        "software": "ocunet-pacs 0.1",
        "trained": True,
        "disclaimer": "Decision support, not a diagnosis.",
        **changes,
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
