"""Our own checks on heatmaps, maps and documents before they leave, as rows like those of `validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simplejpeg
from pydicom.encaps import get_frame
from pydicom.tag import Tag

from ocunet_pacs.report import codes
from ocunet_pacs.report.codes import same_concept
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.validate import COMMON, Rule, check, purposes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GRAYSCALE_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PDF_TYPE_1_AND_2 = ("AcquisitionDateTime", "DocumentTitle", "ConceptNameCodeSequence", "ConversionType")


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


def _heatmap_pixels_fit(ds: Dataset) -> bool:
    if ds.PhotometricInterpretation == "RGB":
        size = int(ds.Rows) * int(ds.Columns) * 3
        return len(ds.PixelData) == size + size % 2
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    height, width, colours, sampling = simplejpeg.decode_jpeg_header(stream)
    return (height, width, colours, sampling) == (ds.Rows, ds.Columns, "YCbCr", "422")


def _map_pixels_fit(ds: Dataset) -> bool:
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
    Rule("the image is derived and secondary", lambda ds: list(ds.ImageType[:2]) == ["DERIVED", "SECONDARY"]),
    Rule("the conversion type is WSD", lambda ds: ds.get("ConversionType") == "WSD"),
    Rule("no recognizable visual features", lambda ds: ds.get("RecognizableVisualFeatures") == "NO"),
    Rule(
        "the source image is named with its purpose",
        lambda ds: [same_concept(p, codes.PROCESSING_SOURCE) for p in purposes(ds, "SourceImageSequence")] == [True],
    ),
    Rule(
        "the derivation is described",
        lambda ds: bool(ds.get("DerivationDescription")) and bool(ds.get("DerivationCodeSequence")),
    ),
    Rule("loss is stated and never undone", _loss_is_told),
    Rule("no spacing is claimed", lambda ds: not any(keyword in ds for keyword in _SPACINGS)),
    Rule("the eye is R or L or not said", lambda ds: ds.get("ImageLaterality", "R") in {"R", "L"}),
    Rule("patient orientation is present", lambda ds: "PatientOrientation" in ds),
    Rule("the image says that it is no diagnosis", lambda ds: "Not a diagnosis" in ds.ImageComments),
)
HEATMAP = (
    Rule("the SOP class is Secondary Capture", lambda ds: ds.SOPClassUID == SECONDARY_CAPTURE),
    *PICTURE,
    Rule("text is burned in and said to be", lambda ds: ds.get("BurnedInAnnotation") == "YES"),
    Rule("8 bit RGB, or YBR_FULL_422 where it is JPEG", _colours_fit),
    Rule("the pixel data has the picture's size", _heatmap_pixels_fit),
)
MAP = (
    Rule(
        "the SOP class is Multi-frame Grayscale Byte Secondary Capture",
        lambda ds: ds.SOPClassUID == GRAYSCALE_SECONDARY_CAPTURE,
    ),
    *PICTURE,
    Rule("no text is burned in", lambda ds: ds.get("BurnedInAnnotation") == "NO"),
    Rule(
        "8 bit grey",
        lambda ds: (
            (ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.BitsAllocated) == ("MONOCHROME2", 1, 8)
            and ds.PresentationLUTShape == "IDENTITY"
        ),
    ),
    Rule(
        "stored values are the values shown",
        lambda ds: (ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType) == (0, 1, "US"),
    ),
    Rule("each of several frames has its label's name", _frames_are_named),
    Rule("the pixel data has the frames' size", _map_pixels_fit),
)
PDF = (
    Rule("the SOP class is Encapsulated PDF", lambda ds: ds.SOPClassUID == ENCAPSULATED_PDF),
    Rule("the modality is DOC", lambda ds: ds.Modality == "DOC"),
    Rule("type 1 and 2 attributes of a document are present", lambda ds: all(k in ds for k in _PDF_TYPE_1_AND_2)),
    Rule("the document is a PDF of the length that is stated", _document_fits),
    Rule("it is called application/pdf", lambda ds: ds.get("MIMETypeOfEncapsulatedDocument") == "application/pdf"),
    Rule("names are burned in and said to be", lambda ds: ds.get("BurnedInAnnotation") == "YES"),
    Rule("it is not verified", lambda ds: ds.get("VerificationFlag") == "UNVERIFIED"),
    Rule("the title is coded", lambda ds: len(ds.ConceptNameCodeSequence) == 1),
    Rule(
        "the report that it shows is among its sources",
        lambda ds: any(i.ReferencedSOPClassUID in SR_CLASSES.values() for i in ds.SourceInstanceSequence),
    ),
)
_BY_CLASS = {SECONDARY_CAPTURE: HEATMAP, GRAYSCALE_SECONDARY_CAPTURE: MAP, ENCAPSULATED_PDF: PDF}


def rules_of(sop_class_uid: str) -> tuple[Rule, ...]:
    """All rules for a picture or document of ours of this class; none where the class is not of them."""
    return COMMON + _BY_CLASS[sop_class_uid] if sop_class_uid in _BY_CLASS else ()


def check_heatmap(ds: Dataset) -> None:
    """InvalidReport naming the first rule that the heatmap breaks."""
    check(ds, COMMON + HEATMAP)


def check_map(ds: Dataset) -> None:
    """InvalidReport naming the first rule that the grayscale map breaks."""
    check(ds, COMMON + MAP)


def check_pdf(ds: Dataset) -> None:
    """InvalidReport naming the first rule that the encapsulated document breaks."""
    check(ds, COMMON + PDF)
