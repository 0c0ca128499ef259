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
from ocunet_pacs.imaging.part10 import opened, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANUFACTURER = "OcuNet"
MODEL_NAME = "ocunet_pacs"
"""Manufacturer and Manufacturer's Model Name by which we know our own objects again."""

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
    "AnatomicRegionSequence",
    "PatientBirthDate",
    "PatientAge",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContributingEquipmentSequence",
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
    "QualityControlImage",
    "CalibrationImage",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

_EYES = MappingProxyType({"SCT:24028007": "R", "SCT:7771000": "L", "SCT:51440002": "B"})
"""CID 244: the modifier of the anatomic region that says which side."""

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
        return ImageHeader(
            study_instance_uid=text(ds, "StudyInstanceUID"),
            series_instance_uid=text(ds, "SeriesInstanceUID"),
            sop_instance_uid=text(ds, "SOPInstanceUID"),
            sop_class_uid=text(ds, "SOPClassUID"),
            transfer_syntax_uid=transfer_syntax_uid or _meta_syntax(ds),
            modality=text(ds, "Modality"),
            manufacturer=text(ds, "Manufacturer"),
            image_type=tuple(strings(ds, "ImageType")),
            laterality=_laterality(ds),
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
        )


def _laterality(ds: Dataset) -> Laterality:
    """Which eye, from all the places that can say so; one that contradicts another makes it unknown."""
    said = set(_sides(ds))
    if said == {"R"}:
        return Laterality.RIGHT
    if said == {"L"}:
        return Laterality.LEFT
    return Laterality.UNKNOWN


def _sides(ds: Dataset) -> Iterator[str]:
    """R, L or B from each place that names a side, most specific first; "unpaired" and nonsense say nothing."""
    anatomies = [
        anatomy
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for group in items(ds, groups)
        for anatomy in items(group, "FrameAnatomySequence")
    ]
    for holder, keyword in (
        (ds, "ImageLaterality"),
        (ds, "FrameLaterality"),
        *((anatomy, "FrameLaterality") for anatomy in anatomies),
        (ds, "Laterality"),
    ):
        side = text(holder, keyword).upper()
        if side in ("R", "L", "B"):
            yield side
    for holder in (ds, *anatomies):
        for region in items(holder, "AnatomicRegionSequence"):
            yield from (_EYES[code] for code in codes(region, "AnatomicRegionModifierSequence") if code in _EYES)


def _contrast_agents(ds: Dataset) -> tuple[str, ...]:
    """The coded agents; where none is coded, the free text if there is one."""
    coded = codes(ds, "ContrastBolusAgentSequence")
    written = text(ds, "ContrastBolusAgent")
    return coded or ((written,) if written and written.upper() not in ("NONE", "NO") else ())


def _is_ours(ds: Dataset) -> bool:
    equipment = (ds, *items(ds, "ContributingEquipmentSequence"))
    return any(
        text(e, "Manufacturer") == MANUFACTURER and text(e, "ManufacturerModelName") == MODEL_NAME for e in equipment
    )


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
