"""The facts of an instance that decide what is done with it, read without touching its pixels.

Neither cv2 nor torch is loaded from here: the network listener uses this module.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from ocunet_pacs.domain.study import ImageHeader, Laterality
from ocunet_pacs.imaging.elements import codes, count, items, number, strings, text
from ocunet_pacs.imaging.identity import IDENTIFYING, identity_of
from ocunet_pacs.imaging.part10 import opened, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANUFACTURER = "OcuNet"
MODEL_NAME = "ocunet_pacs"
"""Manufacturer and Manufacturer's Model Name by which we know our own objects again."""
SERIES_NAME = "OcuNet AI"
"""How the Series Description of everything that we make begins."""

_DECIDING = (
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "ContentDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "AnatomicRegionSequence",
    *IDENTIFYING,
    "PatientAge",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContributingEquipmentSequence",
    "SeriesDescription",
    "StationName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Laterality",
    "ImageLaterality",
    "FrameLaterality",
    "HorizontalFieldOfView",
    "AcquisitionDeviceTypeCodeSequence",
    "LightPathFilterTypeStackCodeSequence",
    "ImagePathFilterTypeStackCodeSequence",
    "ChannelDescriptionCodeSequence",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "StereoPairsSequence",
    "QualityControlImage",
    "CalibrationImage",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

_EYES = MappingProxyType({"SCT:24028007": "R", "SCT:7771000": "L", "SCT:51440002": "B"})
"""CID 244: the modifier of the anatomic region that says which side."""
_BOTH_EYES = "SCT:40638003"
"""The region of CID 4209 that names a side by itself."""

_AGE = re.compile(r"(\d{1,3})([DWMY])")
_DAYS_A_YEAR = 365.2425
_YEARS_A_UNIT = MappingProxyType({"D": 1 / _DAYS_A_YEAR, "W": 7 / _DAYS_A_YEAR, "M": 1 / 12, "Y": 1.0})


def read_header(path: Path) -> ImageHeader:
    """The facts of a Part 10 file. BadInput (NOT_DICOM, UNREADABLE_DATASET) where it has none to read.

    Only the deciding elements are read, and none after the pixels begin: a 36 MB file costs what a small one does.
    """
    tags = [tag for keyword in _DECIDING if (tag := tag_for_keyword(keyword)) is not None]
    with opened(path, tags) as file:
        return header_of(
            file.dataset,
            has_pixel_data=file.pixel_offset is not None and file.pixel_length != 0,
            transfer_syntax_uid=file.transfer_syntax_uid,
        )


def header_of(ds: Dataset, *, has_pixel_data: bool, transfer_syntax_uid: str = "") -> ImageHeader:
    """The facts of a data set. Never fails: a value that cannot be read counts as absent.

    `transfer_syntax_uid` is how the data set arrived; where it is not given, what its file meta information says.
    """
    with quiet():
        identity = identity_of(ds)  # first: asking for a value decodes it
        laterality, frame_lateralities = _lateralities(ds)
        return ImageHeader(
            study_instance_uid=text(ds, "StudyInstanceUID"),
            series_instance_uid=text(ds, "SeriesInstanceUID"),
            sop_instance_uid=text(ds, "SOPInstanceUID"),
            sop_class_uid=text(ds, "SOPClassUID"),
            transfer_syntax_uid=transfer_syntax_uid or _meta_syntax(ds),
            modality=text(ds, "Modality"),
            manufacturer=text(ds, "Manufacturer"),
            model_name=text(ds, "ManufacturerModelName"),
            device_serial=text(ds, "DeviceSerialNumber"),
            station_name=text(ds, "StationName"),
            image_type=tuple(strings(ds, "ImageType")),
            laterality=laterality,
            frame_lateralities=frame_lateralities,
            anatomic_regions=codes(ds, "AnatomicRegionSequence"),
            device_types=codes(ds, "AcquisitionDeviceTypeCodeSequence"),
            contrast_agents=_contrast_agents(ds),
            path_filters=(
                *codes(ds, "LightPathFilterTypeStackCodeSequence"),
                *codes(ds, "ImagePathFilterTypeStackCodeSequence"),
                *codes(ds, "ChannelDescriptionCodeSequence"),
            ),
            photometric_interpretation=text(ds, "PhotometricInterpretation").upper(),
            samples_per_pixel=count(ds, "SamplesPerPixel"),
            bits_allocated=count(ds, "BitsAllocated"),
            rows=count(ds, "Rows"),
            columns=count(ds, "Columns"),
            number_of_frames=count(ds, "NumberOfFrames") or 1,
            has_pixel_data=has_pixel_data,
            is_calibration_or_qc="YES" in (text(ds, "CalibrationImage"), text(ds, "QualityControlImage")),
            made_by_us=_is_ours(ds),
            field_of_view_degrees=number(ds, "HorizontalFieldOfView"),
            age_years=_age(ds),
            stereo_pairs=tuple(_stereo_pairs(ds)),
            patient_identity=identity,
        )


def _lateralities(ds: Dataset) -> tuple[Laterality, tuple[Laterality, ...]]:
    """Which eye, from all the places that can say so, and which eye each frame shows where frames say so themselves.

    One place that contradicts another makes it unknown: for the frame, where they are of one frame; for the whole,
    where frames differ. Both eyes in one image, each in its frames, is no contradiction.
    """
    shared = [*_anatomies(ds, "SharedFunctionalGroupsSequence")]
    whole = {side for holder in (ds, *shared) for side in _sides(holder)}
    frames = [
        {side for anatomy in items(group, "FrameAnatomySequence") for side in _sides(anatomy)}
        for group in items(ds, "PerFrameFunctionalGroupsSequence")
    ]
    if not any(frames):
        return _one(whole), ()
    each = tuple(_one(own | (whole - {"B"}) if own else whole) for own in frames)
    return _one(whole.union(*frames)), each


def _one(said: set[str]) -> Laterality:
    if said == {"R"}:
        return Laterality.RIGHT
    if said == {"L"}:
        return Laterality.LEFT
    return Laterality.UNKNOWN


def _anatomies(ds: Dataset, groups: str) -> Iterator[Dataset]:
    for group in items(ds, groups):
        yield from items(group, "FrameAnatomySequence")


def _sides(holder: Dataset) -> Iterator[str]:
    """R, L or B from each place that names a side, most specific first; "unpaired" and nonsense say nothing."""
    for keyword in ("ImageLaterality", "FrameLaterality"):
        yield from _side(holder, keyword)
    if _BOTH_EYES in codes(holder, "AnatomicRegionSequence"):
        yield "B"
    for region in items(holder, "AnatomicRegionSequence"):
        yield from (_EYES[code] for code in codes(region, "AnatomicRegionModifierSequence") if code in _EYES)
    yield from _side(holder, "Laterality")


def _side(holder: Dataset, keyword: str) -> Iterator[str]:
    side = text(holder, keyword).upper()
    if side in ("R", "L", "B"):
        yield side


def _stereo_pairs(ds: Dataset) -> Iterator[tuple[str, str]]:
    """The pairs of a Stereometric Relationship (PS3.3 C.8.18.1) whose two images are named."""
    for pair in items(ds, "StereoPairsSequence"):
        left, right = (
            next((text(image, "ReferencedSOPInstanceUID") for image in items(pair, keyword)), "")
            for keyword in ("LeftImageSequence", "RightImageSequence")
        )
        if left and right:
            yield left, right


def _contrast_agents(ds: Dataset) -> tuple[str, ...]:
    """The coded agents; where none is coded, the free text if there is one."""
    coded = codes(ds, "ContrastBolusAgentSequence")
    written = text(ds, "ContrastBolusAgent")
    return coded or ((written,) if written and written.upper() not in ("NONE", "NO") else ())


def _is_ours(ds: Dataset) -> bool:
    equipment = (ds, *items(ds, "ContributingEquipmentSequence"))
    if any(
        text(e, "Manufacturer") == MANUFACTURER and text(e, "ManufacturerModelName") == MODEL_NAME for e in equipment
    ):
        return True
    # An archive that strips the equipment leaves the name of the series.
    return text(ds, "SeriesDescription").startswith(SERIES_NAME)


def _age(ds: Dataset) -> float | None:
    """Years at the time of the photograph: as stated, else from the birth date; None where neither can be true.

    Zero years is what systems write that do not know; a newborn's age comes in days, weeks or months.
    """
    stated = _AGE.fullmatch(text(ds, "PatientAge").upper())
    if stated and not (int(stated[1]) == 0 and stated[2] == "Y"):
        return int(stated[1]) * _YEARS_A_UNIT[stated[2]]
    born = _date(ds, "PatientBirthDate")
    taken = next(
        (
            date
            for keyword in ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate")
            if (date := _date(ds, keyword))
        ),
        None,
    )
    if born is None or taken is None:
        return None
    years = (taken - born).days / _DAYS_A_YEAR
    return years if 0 <= years <= 130 else None


def _date(ds: Dataset, keyword: str) -> datetime | None:
    """Midnight of a DA or DT value's day."""
    try:
        return datetime.strptime(text(ds, keyword).replace(".", "")[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _meta_syntax(ds: Dataset) -> str:
    meta = getattr(ds, "file_meta", None)
    return text(meta, "TransferSyntaxUID") if isinstance(meta, Dataset) else ""
