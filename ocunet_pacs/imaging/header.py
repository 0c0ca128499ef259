"""The facts of an instance that decide what is done with it, read without touching its pixels.

Neither cv2 nor torch is loaded from here: the network listener uses this module.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ocunet_pacs.domain.study import ImageHeader, Laterality
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

_SNOMED_RT = MappingProxyType(
    {
        # sides (CID 244)
        "G-A100": "24028007",
        "G-A101": "7771000",
        "G-A102": "51440002",
        # regions of the eye (CID 4209)
        "T-AA000": "81745001",
        "T-AA050": "31636006",
        "T-AA079": "26386000",
        "T-AA200": "28726007",
        "T-AA500": "41296002",
        "T-AA610": "5665001",
        "T-AA621": "67046006",
        "T-AA630": "81016008",
        "T-AA700": "78076003",
        "T-AA810": "80243003",
        # devices (CID 4202)
        "R-1021A": "409898007",
        "R-1021B": "409903006",
        "R-1021C": "409899004",
        "A-00E8A": "392001008",
        "A-00E8B": "392004000",
        "A-00FBE": "392012008",
        "A-2B201": "397247004",
    }
)
"""SNOMED RT identifiers that older cameras send, and the SNOMED CT concepts that they became (PS3.16 annex O)."""

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
            study_instance_uid=_text(ds, "StudyInstanceUID"),
            series_instance_uid=_text(ds, "SeriesInstanceUID"),
            sop_instance_uid=_text(ds, "SOPInstanceUID"),
            sop_class_uid=_text(ds, "SOPClassUID"),
            transfer_syntax_uid=transfer_syntax_uid or _meta_syntax(ds),
            modality=_text(ds, "Modality"),
            manufacturer=_text(ds, "Manufacturer"),
            image_type=tuple(_strings(ds, "ImageType")),
            laterality=_laterality(ds),
            anatomic_regions=_codes(ds, "AnatomicRegionSequence"),
            device_types=_codes(ds, "AcquisitionDeviceTypeCodeSequence"),
            contrast_agents=_contrast_agents(ds),
            path_filters=(
                *_codes(ds, "LightPathFilterTypeStackCodeSequence"),
                *_codes(ds, "ImagePathFilterTypeStackCodeSequence"),
                *_codes(ds, "ChannelDescriptionCodeSequence"),
            ),
            photometric_interpretation=_text(ds, "PhotometricInterpretation").upper(),
            samples_per_pixel=_count(ds, "SamplesPerPixel"),
            bits_allocated=_count(ds, "BitsAllocated"),
            rows=_count(ds, "Rows"),
            columns=_count(ds, "Columns"),
            number_of_frames=_count(ds, "NumberOfFrames") or 1,
            has_pixel_data=has_pixel_data,
            is_calibration_or_qc="YES" in (_text(ds, "CalibrationImage"), _text(ds, "QualityControlImage")),
            made_by_us=_is_ours(ds),
            field_of_view_degrees=_number(ds, "HorizontalFieldOfView"),
            age_years=_age(ds),
        )


def _value(ds: Dataset, keyword: str) -> Any:  # noqa: ANN401 -- as many types as DICOM has value representations
    """The element's value, None where it is absent, empty or cannot be converted."""
    try:
        return ds.get(keyword)
    except Exception:  # noqa: BLE001 -- converting a malformed value raises a dozen kinds; all mean that there is none
        return None


def _strings(ds: Dataset, keyword: str) -> list[str]:
    """Every value as stripped text; an empty value in the middle stays, so that positions keep their meaning."""
    value = _value(ds, keyword)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = ["" if v is None or isinstance(v, bytes | Dataset) else str(v).strip(" \0") for v in values]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _text(ds: Dataset, keyword: str) -> str:
    texts = _strings(ds, keyword)
    return texts[0] if texts else ""


def _number(ds: Dataset, keyword: str) -> float | None:
    try:
        number = float(_text(ds, keyword))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(ds: Dataset, keyword: str) -> int | None:
    number = _number(ds, keyword)
    return None if number is None or number < 0 else int(number)


def _items(ds: Dataset, keyword: str) -> list[Dataset]:
    value = _value(ds, keyword)
    try:
        return [item for item in value or () if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 -- items of a broken sequence are converted only now
        return []


def _codes(ds: Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(code for item in _items(ds, keyword) if (code := _code(item)))


def _code(item: Dataset) -> str:
    """ "SCHEME:value" of a coded item (PS3.3 section 8.8), SNOMED RT as SNOMED CT; "" where it holds no code."""
    value = _text(item, "CodeValue") or _text(item, "LongCodeValue") or _text(item, "URNCodeValue")
    scheme = _text(item, "CodingSchemeDesignator")
    if scheme in ("SRT", "SNM3", "99SDM") and value in _SNOMED_RT:
        return f"SCT:{_SNOMED_RT[value]}"
    return f"{scheme}:{value}" if value else ""


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
        for group in _items(ds, groups)
        for anatomy in _items(group, "FrameAnatomySequence")
    ]
    for holder, keyword in (
        (ds, "ImageLaterality"),
        (ds, "FrameLaterality"),
        *((anatomy, "FrameLaterality") for anatomy in anatomies),
        (ds, "Laterality"),
    ):
        side = _text(holder, keyword).upper()
        if side in ("R", "L", "B"):
            yield side
    for holder in (ds, *anatomies):
        for region in _items(holder, "AnatomicRegionSequence"):
            yield from (_EYES[code] for code in _codes(region, "AnatomicRegionModifierSequence") if code in _EYES)


def _contrast_agents(ds: Dataset) -> tuple[str, ...]:
    """The coded agents; where none is coded, the free text if there is one."""
    coded = _codes(ds, "ContrastBolusAgentSequence")
    written = _text(ds, "ContrastBolusAgent")
    return coded or ((written,) if written and written.upper() not in ("NONE", "NO") else ())


def _is_ours(ds: Dataset) -> bool:
    equipment = (ds, *_items(ds, "ContributingEquipmentSequence"))
    return any(
        _text(e, "Manufacturer") == MANUFACTURER and _text(e, "ManufacturerModelName") == MODEL_NAME for e in equipment
    )


def _age(ds: Dataset) -> float | None:
    """Years at the time of the photograph: as stated, else from the birth date; None where neither can be true.

    Zero years is what systems write that do not know; a newborn's age comes in days, weeks or months.
    """
    stated = _AGE.fullmatch(_text(ds, "PatientAge").upper())
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
        return datetime.strptime(_text(ds, keyword).replace(".", "")[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _meta_syntax(ds: Dataset) -> str:
    meta = getattr(ds, "file_meta", None)
    return _text(meta, "TransferSyntaxUID") if isinstance(meta, Dataset) else ""
