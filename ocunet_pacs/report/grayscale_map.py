"""The explanations alone, in grey, for viewers that lay one image over another (PS3.3 A.8.3).

One frame for each label that the heatmap explains, in the geometry of the photograph as it is shown there: 0 where
nothing speaks for the label and outside what the network saw, 255 for the label's own maximum. Frame Label Vector
(0018,2002) names the frames by label, Image Comments say them in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.tag import Tag

from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.imaging.header import SERIES_NAME
from ocunet_pacs.report import codes, header, ordering
from ocunet_pacs.report.derived_image import derived_image, describe_derivation
from ocunet_pacs.report.painting import spread
from ocunet_pacs.report.picture_rules import GRAYSCALE_SECONDARY_CAPTURE
from ocunet_pacs.report.secondary_capture import heatmap_uid
from ocunet_pacs.report.validate import check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.result import BundleRef, Classification, ImageResult, LabelScore, Photograph
    from ocunet_pacs.report.report_settings import ReportSettings


def map_uid(image: ImageResult, bundle: BundleRef, settings: ReportSettings) -> str:
    """SOP Instance UID of the image's grayscale map."""
    return derive_uid("map", heatmap_uid(image, bundle, settings))


def build_map(
    image: ImageResult,
    photograph: Photograph,
    classification: Classification,
    bundle: BundleRef,
    source: Path,
    *,
    settings: ReportSettings,
    now: datetime,
    software_version: str,
) -> MadeObject:
    """The map, checked and encoded. ValueError when the image has no positive label, BadInput for its source."""
    labels = ordering.leading(image, settings)
    if not labels:
        raise ValueError("the image has no positive label, so there is nothing to explain")
    origin = header.read_source(source)
    ds = derived_image(image, labels, origin, bundle, settings=settings, now=now, software_version=software_version)
    ds.SOPClassUID = GRAYSCALE_SECONDARY_CAPTURE
    ds.SOPInstanceUID = map_uid(image, bundle, settings)
    ds.SeriesInstanceUID = derive_uid("map series", str(ds.StudyInstanceUID), bundle.identity, settings.digest)
    ds.SeriesNumber = settings.series_number + 51
    ds.SeriesDescription = f"{SERIES_NAME} maps{'' if bundle.trained else ' UNTRAINED'}"
    ds.ImageType = ["DERIVED", "SECONDARY", "MAP"]
    ds.BurnedInAnnotation = "NO"
    describe_derivation(
        ds,
        "Gradient-weighted class activation maps of a neural network, each scaled to its own maximum, over the "
        "photograph's field of view",
        codes.CLASS_ACTIVATION,
    )
    _set_frames(ds, labels, _frames(labels, photograph, classification))
    check(ds, OutputKind.MAP)
    return MadeObject(
        OutputKind.MAP,
        GRAYSCALE_SECONDARY_CAPTURE,
        str(ds.SOPInstanceUID),
        str(ds.SeriesInstanceUID),
        header.encode(ds),
    )


def _frames(labels: Sequence[LabelScore], photograph: Photograph, classification: Classification) -> NDArray[np.uint8]:
    """(labels, height, width) of the photograph as shown."""
    places = {score.label: place for place, score in enumerate(classification.scores)}
    frames = np.zeros((len(labels), *photograph.shown.shape[:2]), dtype=np.uint8)
    crop = photograph.crop
    width, height = crop.right - crop.left, crop.bottom - crop.top
    if width > 0 and height > 0:
        for frame, score in zip(frames, labels, strict=True):
            activation = classification.maps[places[score.label]]
            frame[crop.top : crop.bottom, crop.left : crop.right] = spread(activation, (width, height))
    return frames


def _set_frames(ds: Dataset, labels: Sequence[LabelScore], frames: NDArray[np.uint8]) -> None:
    """Image Pixel, Multi-frame, SC Multi-frame Image and Vector (PS3.3 C.7.6.3, C.7.6.6, C.8.6.3, C.8.6.4)."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = frames.shape[1:]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ds.NumberOfFrames = len(frames)
    if len(frames) > 1:  # a vector and its pointer may not be there for one frame
        ds.FrameIncrementPointer = Tag("FrameLabelVector")
        ds.FrameLabelVector = [score.label[:16] for score in labels]
    ds.PresentationLUTShape = "IDENTITY"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    pixels = frames.tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB"
