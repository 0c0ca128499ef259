"""Tolerant reading of single elements: a malformed value counts as absent, whatever pydicom says about it."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

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


def _value(ds: Dataset, keyword: str) -> Any:  # noqa: ANN401 -- as many types as DICOM has value representations
    """The element's value, None where it is absent, empty or cannot be converted."""
    try:
        return ds.get(keyword)
    except Exception:  # noqa: BLE001 -- converting a malformed value raises a dozen kinds; all mean that there is none
        return None


def strings(ds: Dataset, keyword: str) -> list[str]:
    """Every value as stripped text; an empty value in the middle stays, so that positions keep their meaning."""
    value = _value(ds, keyword)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = ["" if v is None or isinstance(v, bytes | Dataset) else str(v).strip(" \0") for v in values]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def text(ds: Dataset, keyword: str) -> str:
    """The first value as stripped text, "" where there is none."""
    texts = strings(ds, keyword)
    return texts[0] if texts else ""


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    try:
        value = float(text(ds, keyword))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def count(ds: Dataset, keyword: str) -> int | None:
    """The first value as a whole number that is not negative."""
    value = number(ds, keyword)
    return None if value is None or value < 0 else int(value)


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    value = _value(ds, keyword)
    try:
        return [item for item in value or () if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 -- items of a broken sequence are converted only now
        return []


def codes(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """The coded items of a sequence as "SCHEME:value", items without a code left out."""
    return tuple(code for item in items(ds, keyword) if (code := _code(item)))


def _code(item: Dataset) -> str:
    """ "SCHEME:value" of a coded item (PS3.3 section 8.8), SNOMED RT as SNOMED CT; "" where it holds no code."""
    value = text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
    scheme = text(item, "CodingSchemeDesignator")
    if scheme in ("SRT", "SNM3", "99SDM") and value in _SNOMED_RT:
        return f"SCT:{_SNOMED_RT[value]}"
    return f"{scheme}:{value}" if value else ""
