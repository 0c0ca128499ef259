"""Rules for heatmaps, maps and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simplejpeg
from pydicom.encaps import get_frame
from pydicom.tag import Tag
from pydicom.uid import JPEGBaseline8Bit

from ocunet_pacs.report import codes
from ocunet_pacs.report.codes import same_concept
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.rules import Rule

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GRAYSCALE_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

_DERIVED = ["DERIVED", "SECONDARY"]
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PDF_TYPE_1_AND_2 = ("AcquisitionDateTime", "DocumentTitle", "ConceptNameCodeSequence", "ConversionType")


def _purposes(ds: Dataset, keyword: str) -> list[Dataset]:
    """Purpose of Reference of each item of the sequence `keyword`."""
    return [item.PurposeOfReferenceCodeSequence[0] for item in ds.get(keyword, ())]


def _count(ds: Dataset, keyword: str) -> int:
    element = ds.get_item(Tag(keyword))
    return 0 if element is None else int(ds[keyword].VM)


def _loss_is_told(ds: Dataset) -> bool:
    """Ratios and methods go by pairs where there are several steps; a picture that is JPEG has lost something."""
    ratios, methods = (_count(ds, f"LossyImageCompression{what}") for what in ("Ratio", "Method"))
    if ds.LossyImageCompression == "00":
        return not ratios and not methods and ds.PhotometricInterpretation != "YBR_FULL_422"
    if ds.LossyImageCompression != "01":
        return False
    if ds.PhotometricInterpretation != "YBR_FULL_422":
        return True
    value = ds.LossyImageCompressionMethod
    last = value if isinstance(value, str) else value[-1]
    return ratios == methods >= 1 and last == "ISO_10918_1"


def _colours_fit(ds: Dataset) -> bool:
    kinds = (ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.BitsAllocated, ds.PlanarConfiguration)
    return kinds in {("RGB", 3, 8, 0), ("YBR_FULL_422", 3, 8, 0)}


def _packed_by_others(ds: Dataset) -> bool:
    """Whether an archive put the file into a transfer syntax that we never write."""
    meta = getattr(ds, "file_meta", None)
    syntax = None if meta is None else meta.get("TransferSyntaxUID")
    return syntax is not None and syntax.is_compressed and syntax != JPEGBaseline8Bit


def _heatmap_pixels_fit(ds: Dataset) -> bool:
    if _packed_by_others(ds):
        return True
    if ds.PhotometricInterpretation == "RGB":
        size = int(ds.Rows) * int(ds.Columns) * 3
        return len(ds.PixelData) == size + size % 2
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    height, width, colours, sampling = simplejpeg.decode_jpeg_header(stream)
    return (height, width, colours, sampling) == (ds.Rows, ds.Columns, "YCbCr", "422")


def _map_pixels_fit(ds: Dataset) -> bool:
    if _packed_by_others(ds):
        return True
    size = int(ds.Rows) * int(ds.Columns) * int(ds.NumberOfFrames)
    return len(ds.PixelData) == size + size % 2


def _frames_are_named(ds: Dataset) -> bool:
    if int(ds.NumberOfFrames) == 1:
        return "FrameIncrementPointer" not in ds
    labels = ds.FrameLabelVector
    names = [labels] if isinstance(labels, str) else list(labels)
    return len(names) == int(ds.NumberOfFrames) and all(names) and ds.FrameIncrementPointer == Tag("FrameLabelVector")


def _document_fits(ds: Dataset) -> bool:
    length = int(ds.EncapsulatedDocumentLength)
    document = bytes(ds.EncapsulatedDocument)
    return len(document) == length + length % 2 and document.startswith(b"%PDF-") and b"%%EOF" in document[-16:]


PICTURE = (
    Rule(
        "P01",
        "the image is derived and secondary",
        "PS3.3 C.7.6.1.1.2",
        lambda ds: list(ds.ImageType[:2]) == _DERIVED,
    ),
    Rule("P02", "the conversion type is WSD", "PS3.3 C.8.6.1", lambda ds: ds.ConversionType == "WSD"),
    Rule("P03", "no recognizable visual features", "PS3.3 C.7.6.1", lambda ds: ds.RecognizableVisualFeatures == "NO"),
    Rule(
        "P04",
        "the source image is named with its purpose",
        "PS3.3 C.7.6.1.1.4",
        lambda ds: [same_concept(p, codes.PROCESSING_SOURCE) for p in _purposes(ds, "SourceImageSequence")] == [True],
    ),
    Rule(
        "P05",
        "the derivation is described",
        "PS3.3 C.7.6.1.1.3",
        lambda ds: bool(ds.DerivationDescription) and bool(ds.DerivationCodeSequence),
    ),
    Rule("P06", "loss is stated and never undone", "PS3.3 C.7.6.1.1.5", _loss_is_told),
    Rule(
        "P07",
        "no spacing is claimed",
        "promise: a picture of a picture measures nothing",
        lambda ds: not any(keyword in ds for keyword in _SPACINGS),
    ),
    Rule(
        "P08",
        "the eye is R or L or not said",
        "promise: never guessed",
        lambda ds: ds.get("ImageLaterality", "R") in {"R", "L"},
    ),
    Rule("P09", "patient orientation is present", "PS3.3 C.7.6.1", lambda ds: "PatientOrientation" in ds),
    Rule(
        "P10",
        "the image says that it is no diagnosis",
        "promise: decision support",
        lambda ds: "Not a diagnosis" in ds.ImageComments,
    ),
)
HEATMAP = (
    Rule("H01", "the SOP class is Secondary Capture", "PS3.3 A.8.1", lambda ds: ds.SOPClassUID == SECONDARY_CAPTURE),
    *PICTURE,
    Rule("H02", "text is burned in and said to be", "PS3.3 C.7.6.1", lambda ds: ds.BurnedInAnnotation == "YES"),
    Rule("H03", "8 bit RGB, or YBR_FULL_422 where it is JPEG", "PS3.3 C.7.6.3.1.2", _colours_fit),
    Rule("H04", "the pixel data has the picture's size", "PS3.5 section 8", _heatmap_pixels_fit),
)
MAP = (
    Rule(
        "M01",
        "the SOP class is Multi-frame Grayscale Byte Secondary Capture",
        "PS3.3 A.8.3",
        lambda ds: ds.SOPClassUID == GRAYSCALE_SECONDARY_CAPTURE,
    ),
    *PICTURE,
    Rule("M02", "no text is burned in", "PS3.3 C.7.6.1", lambda ds: ds.BurnedInAnnotation == "NO"),
    Rule(
        "M03",
        "8 bit grey",
        "PS3.3 A.8.3.4",
        lambda ds: (
            (ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.BitsAllocated) == ("MONOCHROME2", 1, 8)
            and ds.PresentationLUTShape == "IDENTITY"
        ),
    ),
    Rule(
        "M04",
        "stored values are the values shown",
        "PS3.3 A.8.3.4",
        lambda ds: (ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType) == (0, 1, "US"),
    ),
    Rule("M05", "each of several frames has its label's name", "PS3.3 C.7.6.5", _frames_are_named),
    Rule("M06", "the pixel data has the frames' size", "PS3.5 section 8", _map_pixels_fit),
)
PDF = (
    Rule("D01", "the SOP class is Encapsulated PDF", "PS3.3 A.45.1", lambda ds: ds.SOPClassUID == ENCAPSULATED_PDF),
    Rule("D02", "the modality is DOC", "PS3.3 C.24.1", lambda ds: ds.get("Modality", "DOC") == "DOC"),
    Rule(
        "D03",
        "type 1 and 2 attributes of a document are present",
        "PS3.3 C.24.2",
        lambda ds: all(keyword in ds for keyword in _PDF_TYPE_1_AND_2),
    ),
    Rule("D04", "the document is a PDF of the length that is stated", "PS3.3 C.24.2", _document_fits),
    Rule(
        "D05",
        "it is called application/pdf",
        "PS3.3 C.24.2",
        lambda ds: ds.MIMETypeOfEncapsulatedDocument == "application/pdf",
    ),
    Rule("D06", "names are burned in and said to be", "PS3.3 C.24.2", lambda ds: ds.BurnedInAnnotation == "YES"),
    Rule("D07", "it is not verified", "promise: no person has looked", lambda ds: ds.VerificationFlag == "UNVERIFIED"),
    Rule(
        "D08",
        "the title is coded",
        "PS3.3 C.24.2",
        lambda ds: "ConceptNameCodeSequence" not in ds or len(ds.ConceptNameCodeSequence) == 1,
    ),
    Rule(
        "D09",
        "the report that it shows is among its sources",
        "PS3.3 C.24.2",
        lambda ds: any(item.ReferencedSOPClassUID in SR_CLASSES.values() for item in ds.SourceInstanceSequence),
    ),
)
