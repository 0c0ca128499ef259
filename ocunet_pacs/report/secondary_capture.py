"""One Secondary Capture heatmap an image: for every viewer that there is (PS3.3 A.8.1).

Uncompressed, or as JPEG baseline for archives that count their bytes. Each encoding is an object and a series of its
own.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import simplejpeg
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.domain.routes import JPEG, UNCOMPRESSED
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.header import SERIES_NAME
from ocunet_pacs.report import codes, header, ordering, wording
from ocunet_pacs.report.chart import rows_of
from ocunet_pacs.report.derived_image import add_jpeg_loss, derived_image, describe_derivation
from ocunet_pacs.report.painting import Caption, Panel, paint
from ocunet_pacs.report.picture_rules import SECONDARY_CAPTURE
from ocunet_pacs.report.validate import check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import BundleRef, Classification, ImageResult, LabelScore, Photograph
    from ocunet_pacs.report.report_settings import ReportSettings

JPEG_QUALITY = 92
_DERIVATION = "Photograph scaled and composed with gradient-weighted class activation maps of a neural network"
_COLOURS = (
    "Colour shows where the model found support for the label, relative to that label's own maximum; the white line "
    "marks half of it. It does not outline a lesion."
)
_BARS = "Bars are probabilities of all labels, each with its own threshold as a white mark."


def heatmap_uid(image: ImageResult, bundle: BundleRef, settings: ReportSettings, encoding: str = UNCOMPRESSED) -> str:
    """SOP Instance UID of the image's heatmap in this encoding; uncompressed it stands for all of them."""
    where = (image.sop_instance_uid, str(image.frame or 0))
    exceptions = (reason.code.value for reason in image.despite)
    return derive_uid("heatmap", *where, bundle.identity, settings.digest, *exceptions, *_also(encoding))


def _also(encoding: str) -> tuple[str, ...]:
    return () if encoding == UNCOMPRESSED else (encoding,)


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
    return build_heatmaps(
        image,
        photograph,
        classification,
        bundle,
        source,
        settings=settings,
        now=now,
        software_version=software_version,
        encodings=(encoding,),
    )[0]


def build_heatmaps(
    image: ImageResult,
    photograph: Photograph,
    classification: Classification,
    bundle: BundleRef,
    source: Path,
    *,
    settings: ReportSettings,
    now: datetime,
    software_version: str,
    encodings: Sequence[str],
) -> list[MadeObject]:
    """The heatmap, painted once, in each of the encodings. Raises as `build_heatmap`."""
    if not encodings:
        return []
    labels = ordering.leading(image, settings)
    if not labels:
        raise ValueError("the image has no positive label, so there is nothing to explain")
    origin = header.read_source(source)
    picture = _picture(image, labels, photograph, classification, bundle, settings)
    common = derived_image(image, labels, origin, bundle, settings=settings, now=now, software_version=software_version)
    _describe(common, bundle, settings)
    made = []
    last = encodings[-1]
    for encoding in encodings:
        ds = deepcopy(common) if encoding != last else common
        ds.SOPInstanceUID = heatmap_uid(image, bundle, settings, encoding)
        study = str(ds.StudyInstanceUID)
        ds.SeriesInstanceUID = derive_uid("heatmap series", study, bundle.identity, settings.digest, *_also(encoding))
        made.append(_encoded(ds, picture, encoding))
    return made


def _encoded(ds: Dataset, picture: RgbImage, encoding: str) -> MadeObject:
    syntax = _set_pixels(ds, picture, encoding)
    check(ds, OutputKind.HEATMAP)
    return MadeObject(
        OutputKind.HEATMAP,
        SECONDARY_CAPTURE,
        str(ds.SOPInstanceUID),
        str(ds.SeriesInstanceUID),
        header.encode(ds, syntax),
        form=encoding,
    )


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
    eye = {Laterality.RIGHT: "OD (right eye)", Laterality.LEFT: "OS (left eye)"}.get(image.laterality, "Eye unknown")
    frame = f" frame {image.frame}" if image.frame else ""
    judged = "; ".join(wording.REASON_WORDS[reason.code] for reason in image.despite)
    silent = ", ".join(codes.label_of(name).display for name in bundle.missing_labels)
    caption = Caption(
        heading=f"{eye}, image {image.ordinal}{frame}: regions that weigh for each label",
        disclaimer="Research use - not a diagnosis. Not verified.",
        notes=(
            *((f"Scored by this site's rules although judged: {judged}.",) if judged else ()),
            f"{_COLOURS} {_BARS}",
            *((f"This model has no opinion on: {silent}.",) if silent else ()),
            f"Model {bundle.name} \u00b7 bundle {bundle.digest[:12]} \u00b7 operating point {bundle.operating_point}",
        ),
        warning=_warning(bundle),
    )
    return paint(photograph.shown, panels, photograph.crop, caption, rows_of(image, settings))


def _warning(bundle: BundleRef) -> str:
    if not bundle.trained:
        return "UNTRAINED MODEL: probabilities and colours are meaningless"
    return "RESEARCH BUNDLE: not made for clinical use" if bundle.research else ""


def _describe(ds: Dataset, bundle: BundleRef, settings: ReportSettings) -> None:
    """General Series and General Image (PS3.3 C.7.3.1, C.7.6.1), as far as they are a heatmap's."""
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.SeriesNumber = settings.series_number + 50
    ds.SeriesDescription = f"{SERIES_NAME} heatmaps{'' if bundle.trained else ' UNTRAINED'}"
    ds.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
    ds.BurnedInAnnotation = "YES"
    describe_derivation(ds, _DERIVATION, codes.SPATIAL_RESAMPLING, codes.CLASS_ACTIVATION)


def _set_pixels(ds: Dataset, picture: RgbImage, encoding: str) -> UID:
    """Image Pixel module (PS3.3 C.7.6.3); the transfer syntax that goes with it."""
    ds.SamplesPerPixel = 3
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = picture.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    if encoding == JPEG:
        # Validators refuse YBR_FULL in this transfer syntax, so chroma is halved in width as YBR_FULL_422 says
        # (PS3.5 section 8.2.1). White text and grey bars have none to lose.
        stream = simplejpeg.encode_jpeg(picture, quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="422")
        ds.PhotometricInterpretation = "YBR_FULL_422"
        ds.PixelData = encapsulate([stream], has_bot=True)
        add_jpeg_loss(ds, picture.nbytes / len(stream))
        steps = (codes.SPATIAL_RESAMPLING, codes.CLASS_ACTIVATION, codes.LOSSY_COMPRESSION)
        describe_derivation(ds, f"{_DERIVATION}; JPEG baseline, quality {JPEG_QUALITY}", *steps)
        ds["PixelData"].VR = "OB"
        return JPEGBaseline8Bit
    ds.PhotometricInterpretation = "RGB"
    pixels = picture.tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB"
    return ExplicitVRLittleEndian
