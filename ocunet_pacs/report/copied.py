"""Values that our objects take over from photographs: as they are, or not at all where no reader could parse them.

Text is never corrected, because an archive files by it, and not cut where it is longer than its VR allows, for the same
reason. A character that could not be decoded becomes a question mark.
"""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from ocunet_pacs.imaging.part10 import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY = r"\d{8}"
TIME = r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"
_ESCAPE = re.compile(r"\x1b[$()-]*[\x30-\x7e]")
_DECIMAL = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"

_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "PatientBirthDate": DAY,
        "StudyDate": DAY,
        "StudyTime": TIME,
        "PatientBirthTime": TIME,
        "PatientSex": "[MFO]",
        "PatientAge": r"\d{3}[DWMY]",
        "PatientSize": _DECIMAL,
        "PatientWeight": _DECIMAL,
        "PatientIdentityRemoved": "YES|NO",
        "TypeOfPatientID": "[A-Z0-9 _]{1,16}",
        "TimezoneOffsetFromUTC": r"[+-]\d{4}",
    }
)
_IDENTIFIED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "OtherPatientIDsSequence": ("PatientID",),
        "IssuerOfAccessionNumberSequence": ("LocalNamespaceEntityID", "UniversalEntityID"),
    }
)
"""Sequences whose items mean nothing without one of these."""


def usable(source: Dataset, keyword: str) -> object | None:
    """The value, detached from its source; None where it is absent, empty or not what its VR allows."""
    try:
        value = source.get(keyword)
    except Exception:  # noqa: BLE001 -- pydicom raises a dozen kinds on a broken value
        return None
    if value is None or not str(value).strip() or (hasattr(value, "__len__") and len(value) == 0):
        return None
    pattern = _PATTERNS.get(keyword)
    if pattern and not (re.fullmatch(pattern, str(value).strip()) and (pattern != DAY or is_day(str(value)))):
        return None
    if isinstance(value, Sequence):
        needed = _IDENTIFIED_BY.get(keyword, ())
        return [
            item for item in whole_items(value) if not needed or any(str(item.get(k) or "").strip() for k in needed)
        ] or None
    return _detached(value)


def whole_items(items: Iterable[Dataset]) -> list[Dataset]:
    """Copies of a sequence's items without what is empty or broken in them; an incomplete code is left out."""
    with quiet():  # pydicom's warnings name values
        return [copy for item in items if (copy := _copy(item)) and not _is_half_a_code(copy)]


def is_day(value: str) -> bool:
    """Whether YYYYMMDD is a day of the calendar."""
    digits = value.strip()
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def _copy(item: Dataset) -> Dataset:
    copy = Dataset()
    for tag in sorted(item.keys()):
        try:
            element = item[tag]
            value = whole_items(element.value) if element.VR == "SQ" else _detached(element.value)
            if value not in (None, "", []) and not (element.VR == "DA" and not is_day(str(value))):
                copy.add_new(tag, element.VR, value)
        except Exception:  # noqa: BLE001, S112 -- pydicom raises a dozen kinds on a broken value
            continue
    return copy


def _detached(value: object) -> object:
    if isinstance(value, MultiValue):
        return [_detached(one) for one in value]
    if isinstance(value, PersonName):
        return PersonName(clear(str(value)))
    return clear(value) if type(value) is str else deepcopy(value)


def clear(text: str) -> str:
    """The text without what decoding left in it: marks of undecodable bytes, and escape sequences.

    pydicom leaves those of ISO 2022 IR 58 (Chinese) where they are; text in UTF-8 has none (PS3.5 section 6.1.2.5.3).
    """
    return _ESCAPE.sub("", text).replace("\ufffd", "?")


def _is_half_a_code(item: Dataset) -> bool:
    """A code (PS3.3 section 8.8) without value, scheme or meaning, or too long for them."""
    keywords = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    value, scheme, meaning = (str(item.get(keyword) or "") for keyword in keywords)
    if not (value or meaning or "LongCodeValue" in item or "URNCodeValue" in item):
        return False
    has_value = "URNCodeValue" in item or (scheme and (value or "LongCodeValue" in item))
    return not has_value or not meaning or len(value) > 16 or len(scheme) > 16 or len(meaning) > 64
