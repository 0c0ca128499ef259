"""What every picture that we make of a photograph says about itself: heatmap and grayscale map alike."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.snomed_rt import SNOMED_CT
from ocunet_pacs.report import codes, header, ordering, wording
from ocunet_pacs.report.copied import whole_items

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.domain.result import BundleRef, ImageResult, LabelScore
    from ocunet_pacs.report.report_settings import ReportSettings

_JPEG_METHOD = "ISO_10918_1"
_LOSSY_METHODS: Mapping[str, str] = {
    JPEGBaseline8Bit: _JPEG_METHOD,
    JPEGExtended12Bit: _JPEG_METHOD,
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Transfer syntaxes that can lose, with Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""

_ALWAYS_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})


def derived_image(
    image: ImageResult,
    labels: Sequence[LabelScore],
    origin: Dataset,
    bundle: BundleRef,
    *,
    settings: ReportSettings,
    now: datetime,
    software_version: str,
) -> Dataset:
    """A data set in which the class, the UIDs, the series, the image type and the pixels are still missing.

    `origin` is the photograph's header (`header.read_source`), `labels` are those that the picture explains.
    """
    ds = header.inherit([origin], str(origin.StudyInstanceUID))
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.SeriesDescriptionCodeSequence = [codes.concept(codes.VISUAL_EXPLANATION)]
    ds.InstanceNumber = image.ordinal if image.frame is None else image.ordinal * 1000 + image.frame
    ds.ContentQualification = wording.qualification(bundle, settings)
    ds.RecognizableVisualFeatures = "NO"
    what = "".join([*([] if bundle.trained else ["UNTRAINED. "]), *(["RESEARCH BUNDLE. "] if bundle.research else [])])
    words = "; ".join(wording.score_words(score) for score in labels)
    ds.ImageComments = f"{what}{wording.place(image)}: {words}. Not a diagnosis, not verified."
    _refer(ds, image)
    _inherit_loss(ds, origin)
    _locate(ds, image, origin)
    moment = header.set_time(ds, now)
    institution = header.institution_of([origin])
    header.set_equipment(ds, bundle, settings, software_version, moment=moment, institution=institution)
    header.set_private_scheme(ds, [origin])
    return ds


def describe_derivation(ds: Dataset, words: str, *steps: Code) -> None:
    """How the picture was made of the photograph (PS3.3 C.7.6.1, CID 7203)."""
    ds.DerivationDescription = words
    ds.DerivationCodeSequence = [codes.concept(step) for step in steps]


def _refer(ds: Dataset, image: ImageResult) -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class_uid
    reference.ReferencedSOPInstanceUID = image.sop_instance_uid
    if image.frame is not None:
        reference.ReferencedFrameNumber = image.frame
    reference.PurposeOfReferenceCodeSequence = [codes.concept(codes.PROCESSING_SOURCE)]
    ds.SourceImageSequence = [reference]


def _inherit_loss(ds: Dataset, origin: Dataset) -> None:
    """What was lost on the way. Loss in the source stays loss (PS3.3 C.7.6.1.1.5)."""
    syntax = str(origin.file_meta.TransferSyntaxUID)
    method = _LOSSY_METHODS.get(syntax)
    stated = str(origin.get("LossyImageCompression") or "")
    lossy = stated == "01" or syntax in _ALWAYS_LOSSY or (method is not None and stated != "00")
    ds.LossyImageCompression = "01" if lossy else "00"
    if not lossy:
        return
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if origin.get(keyword):
            setattr(ds, keyword, deepcopy(origin.get(keyword)))
    if method and "LossyImageCompressionMethod" not in ds:
        ds.LossyImageCompressionMethod = method


def add_jpeg_loss(ds: Dataset, ratio: float) -> None:
    """One more lossy step, ours, behind those of the photograph: ratios and methods go by pairs.

    What the photograph does not say of its own steps stays empty, so that ours is not taken for theirs.
    """
    ratios, methods = _values(ds, "LossyImageCompressionRatio"), _values(ds, "LossyImageCompressionMethod")
    before = max(len(ratios), len(methods), 1 if ds.LossyImageCompression == "01" else 0)
    ratios += [""] * (before - len(ratios)) + [f"{ratio:.2f}"]
    methods += [""] * (before - len(methods)) + [_JPEG_METHOD]
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = ratios
    ds.LossyImageCompressionMethod = methods


def _values(ds: Dataset, keyword: str) -> list[str]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | int | float) else [str(one) for one in value]


def _locate(ds: Dataset, image: ImageResult, origin: Dataset) -> None:
    """Which eye, which part of it, which way up: as far as the photograph says so."""
    ds.PatientOrientation = deepcopy(origin.get("PatientOrientation")) or ""
    if image.laterality is Laterality.UNKNOWN:
        ds.Laterality = ""
    else:
        ds.ImageLaterality = image.laterality.value
    regions = whole_items(origin.get("AnatomicRegionSequence") or []) or [
        codes.concept(codes.label_of(ordering.NORMAL).site)
    ]
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
