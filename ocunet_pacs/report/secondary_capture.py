"""One Secondary Capture heatmap an image: for every viewer that there is (PS3.3 A.8.1)."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.domain.routes import UNCOMPRESSED
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.header import SERIES_NAME
from ocunet_pacs.imaging.snomed_rt import SNOMED_CT
from ocunet_pacs.report import codes, header, ordering, wording
from ocunet_pacs.report.chart import rows_of
from ocunet_pacs.report.painting import Caption, Panel, paint
from ocunet_pacs.report.validate import SECONDARY_CAPTURE, check_heatmap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import BundleRef, Classification, ImageResult, LabelScore, Photograph
    from ocunet_pacs.report.report_settings import ReportSettings

_LOSSY_METHODS: Mapping[str, str] = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Transfer syntaxes that can lose, with Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""


_ALWAYS_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})

_COLOURS = (
    "Colour shows where the model found support for the label, relative to that label's own maximum; the white line "
    "marks half of it. It does not outline a lesion."
)


def heatmap_uid(image: ImageResult, bundle: BundleRef, settings: ReportSettings, encoding: str = UNCOMPRESSED) -> str:
    """SOP Instance UID of the image's heatmap in this encoding; uncompressed it stands for all of them."""
    where = (image.sop_instance_uid, str(image.frame or 0))
    exceptions = (reason.code.value for reason in image.despite)
    also = () if encoding == UNCOMPRESSED else (encoding,)
    return derive_uid("heatmap", *where, bundle.identity, settings.digest, *exceptions, *also)


def build_heatmap(
    image: ImageResult,
    photograph: Photograph,
    classification: Classification,
    bundle: BundleRef,
    source: Path,
    *,
    encoding: str = UNCOMPRESSED,
    settings: ReportSettings,
    now: datetime,
    software_version: str,
) -> MadeObject:
    """The heatmap, checked and encoded. ValueError when the image has no positive label, BadInput for its source."""
    labels = ordering.leading(image, settings)
    if not labels:
        raise ValueError("the image has no positive label, so there is nothing to explain")
    origin = header.read_source(source)
    picture = _picture(image, labels, photograph, classification, bundle, settings)
    study = str(origin.StudyInstanceUID)
    ds = header.inherit([origin], study)
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.SOPInstanceUID = heatmap_uid(image, bundle, settings, encoding)
    ds.SeriesInstanceUID = derive_uid("heatmap series", study, bundle.identity, settings.digest)
    _describe(ds, image, labels, bundle, settings)
    _derive(ds, image, origin)
    _locate(ds, image, origin)
    moment = header.set_time(ds, now)
    institution = header.institution_of([origin])
    header.set_equipment(ds, bundle, settings, software_version, moment=moment, institution=institution)
    header.set_private_scheme(ds)
    _set_pixels(ds, picture)
    check_heatmap(ds)
    content = header.encode(ds)
    return MadeObject(OutputKind.HEATMAP, SECONDARY_CAPTURE, str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), content)


def _picture(
    image: ImageResult,
    labels: list[LabelScore],
    photograph: Photograph,
    classification: Classification,
    bundle: BundleRef,
    settings: ReportSettings,
) -> RgbImage:
    places = {score.label: place for place, score in enumerate(classification.scores)}
    panels = []
    for score in labels:
        activation = classification.maps[places[score.label]]
        words = f"probability {wording.percent(score.probability)}, threshold {wording.percent(score.threshold)}"
        if not activation.any():
            words += "; no region speaks for the label"
        panels.append(Panel(codes.label_of(score.label).display, words, activation))
    eye = {Laterality.RIGHT: "OD (right eye)", Laterality.LEFT: "OS (left eye)"}.get(image.laterality, "eye unknown")
    frame = f" frame {image.frame}" if image.frame else ""
    judged = "; ".join(wording.REASON_WORDS[reason.code] for reason in image.despite)
    caption = Caption(
        heading=f"{eye}, image {image.ordinal}{frame}: regions that weigh for each label",
        notes=(
            *((f"Scored by this site's rules although judged: {judged}.",) if judged else ()),
            "Research use - not a diagnosis. Not verified.",
            _COLOURS,
            f"Model {bundle.name} \u00b7 bundle {bundle.digest[:12]} \u00b7 operating point {bundle.operating_point}",
        ),
        warning="" if bundle.trained else "UNTRAINED MODEL: probabilities and colours are meaningless",
    )
    return paint(photograph.shown, panels, photograph.crop, caption, rows_of(image, settings))


def _describe(
    ds: Dataset, image: ImageResult, labels: list[LabelScore], bundle: BundleRef, settings: ReportSettings
) -> None:
    """General Series, SC Equipment and General Image (PS3.3 C.7.3.1, C.8.6.1, C.7.6.1)."""
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.SeriesNumber = settings.series_number + 50
    ds.SeriesDescription = f"{SERIES_NAME} heatmaps{'' if bundle.trained else ' UNTRAINED'}"
    ds.SeriesDescriptionCodeSequence = [codes.concept(codes.VISUAL_EXPLANATION)]
    ds.InstanceNumber = image.ordinal if image.frame is None else image.ordinal * 1000 + image.frame
    ds.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
    ds.ContentQualification = settings.content_qualification
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    untrained = "" if bundle.trained else "UNTRAINED. "
    words = "; ".join(wording.score_words(score) for score in labels)
    ds.ImageComments = f"{untrained}{wording.place(image)}: {words}. Not a diagnosis, not verified."


def _derive(ds: Dataset, image: ImageResult, origin: Dataset) -> None:
    """What it was made from and what was lost on the way. Loss in the source stays loss (PS3.3 C.7.6.1.1.5)."""
    ds.DerivationDescription = (
        "Photograph reduced and composed with gradient-weighted class activation maps of a neural network"
    )
    ds.DerivationCodeSequence = [codes.concept(codes.SPATIAL_RESAMPLING), codes.concept(codes.CLASS_ACTIVATION)]
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class_uid
    reference.ReferencedSOPInstanceUID = image.sop_instance_uid
    if image.frame is not None:
        reference.ReferencedFrameNumber = image.frame
    reference.PurposeOfReferenceCodeSequence = [codes.concept(codes.PROCESSING_SOURCE)]
    ds.SourceImageSequence = [reference]
    syntax = str(origin.file_meta.TransferSyntaxUID)
    method = _LOSSY_METHODS.get(syntax)
    stated = str(origin.get("LossyImageCompression") or "")
    lossy = stated == "01" or syntax in _ALWAYS_LOSSY or (method is not None and stated != "00")
    ds.LossyImageCompression = "01" if lossy else "00"
    if ds.LossyImageCompression == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if origin.get(keyword):
                setattr(ds, keyword, deepcopy(origin.get(keyword)))
        if method and "LossyImageCompressionMethod" not in ds:
            ds.LossyImageCompressionMethod = method


def _locate(ds: Dataset, image: ImageResult, origin: Dataset) -> None:
    """Which eye, which part of it, which way up: as far as the photograph says so."""
    ds.PatientOrientation = deepcopy(origin.get("PatientOrientation")) or ""
    if image.laterality is Laterality.UNKNOWN:
        ds.Laterality = ""
    else:
        ds.ImageLaterality = image.laterality.value
    regions = deepcopy(origin.get("AnatomicRegionSequence")) or [codes.concept(codes.label_of(ordering.NORMAL).site)]
    side = codes.LATERALITY_CODES.get(image.laterality)
    for region in regions:
        if str(region.get("CodeValue", "")) in SNOMED_CT:
            region.CodeValue, region.CodingSchemeDesignator = SNOMED_CT[str(region.CodeValue)], "SCT"
        # The photograph's modifier may be of another frame, or contradict what the photograph says elsewhere.
        if side is not None:
            region.AnatomicRegionModifierSequence = [codes.concept(side)]
        elif "AnatomicRegionModifierSequence" in region:
            del region.AnatomicRegionModifierSequence
    ds.AnatomicRegionSequence = regions


def _set_pixels(ds: Dataset, picture: RgbImage) -> None:
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = picture.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    pixels = picture.tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB"
