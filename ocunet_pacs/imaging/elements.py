"""Tolerant reading of single elements: a malformed value counts as absent, whatever pydicom says about it."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from ocunet_pacs.imaging.snomed_rt import SNOMED_CT

_SNOMED_SCHEMES = frozenset({"SCT", "SRT", "SNM3", "99SDM"})
"""Designators of SNOMED over the years; exports mix them up with each other's values."""


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
    # A sequence where text belongs: putting its items in words may fail.
    texts = ["" if v is None or isinstance(v, bytes | Dataset | Sequence) else str(v).strip(" \0") for v in values]
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
    if scheme in _SNOMED_SCHEMES:
        if value in SNOMED_CT:
            return f"SCT:{SNOMED_CT[value]}"
        if value.isdecimal():  # SNOMED RT has letters: whatever the designator says, this is SNOMED CT
            return f"SCT:{value}"
    return f"{scheme}:{value}" if value else ""
