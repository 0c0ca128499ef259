"""Rules for any DICOM object, whoever made it: what every reader needs to file it and show its words."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from pydicom.charset import python_encoding

from ocunet_pacs.report.header import REQUIRED
from ocunet_pacs.report.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from ocunet_pacs.report.rules import Object

_NAMING = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_UID = re.compile(r"[0-9.]{1,64}")
"""Cameras were seen to write components with leading zeros, and archives to keep them."""
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(\.\d{1,6})?)?\s*")
_OF_A_CODE = (0x00080100, 0x00080104, 0x00080119, 0x00080120)
"""Code Value, Code Meaning, Long Code Value and URN Code Value: what has one of them is a code (PS3.3 section 8.8)."""
_REPLACEMENT = "\ufffd"


def _of(read: Object, *representations: str) -> Iterator[str]:
    """Every value of these VRs, those in items too."""
    return (value for element in read.elements if element.representation in representations for value in element.values)


def _uids(read: Object) -> bool:
    return all(_UID.fullmatch(value) for value in _of(read, "UI"))


def _meta(ds: Dataset) -> bool:
    meta = getattr(ds, "file_meta", None)
    if not meta:
        return True  # a data set that is no file yet
    named = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID)
    return bool(meta.TransferSyntaxUID) and named == (ds.SOPClassUID, ds.SOPInstanceUID)


def _character_set(ds: Dataset) -> bool:
    element = ds.get("SpecificCharacterSet") or []
    named = [element] if isinstance(element, str) else list(element)
    return all(name in python_encoding or not name for name in named)


def _text(read: Object) -> bool:
    for value in _of(read, *_TEXTS):
        if _REPLACEMENT in value:
            return False
        value.encode("utf-8")  # a lone surrogate cannot be: ValueError
    return True


def _dates(read: Object) -> bool:
    for value in _of(read, "DA"):
        if not re.fullmatch(r"\d{8}", value.strip()):
            return False
        date(int(value[:4]), int(value[4:6]), int(value[6:8]))  # ValueError where there is no such day
    return all(_TIME.fullmatch(value) for value in _of(read, "TM"))


def _codes(read: Object) -> bool:
    return all(_is_whole(item) for item in read.datasets if any(tag in item for tag in _OF_A_CODE))


def _is_whole(item: Dataset) -> bool:
    value, scheme, meaning = (
        str(item.get(keyword) or "") for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    )
    has_value = bool(item.get("URNCodeValue") or (scheme and (value or item.get("LongCodeValue"))))
    return has_value and bool(meaning) and len(value) <= 16 and len(scheme) <= 16 and len(meaning) <= 64


GENERAL = (
    Rule("G01", "class, instance, study and series are named", "PS3.3 C.12.1", lambda ds: all(map(ds.get, _NAMING))),
    Rule("G02", "every UID is made of digits and dots, 64 at most", "PS3.5 section 9.1", true_of=_uids),
    Rule("G03", "the file meta information names the same object", "PS3.10 section 7.1", _meta),
    Rule(
        "G04",
        "type 2 attributes of patient and study are present",
        "PS3.3 C.7.1.1, C.7.2.1",
        lambda ds: all(keyword in ds for keyword in REQUIRED),
    ),
    Rule("G05", "the modality is named", "PS3.3 C.7.3.1", lambda ds: bool(ds.get("Modality"))),
    Rule("G06", "the character set is one of the standard's", "PS3.3 C.12.1.1.2", _character_set),
    Rule("G07", "every text can be decoded and encoded", "PS3.5 section 6.1", true_of=_text),
    Rule("G08", "dates and times are real", "PS3.5 section 6.2", true_of=_dates),
    Rule("G09", "every code has value, scheme and meaning that fit their VR", "PS3.3 section 8.8", true_of=_codes),
    Rule(
        "G10",
        "every value can be read as what it is said to be",
        "PS3.5 section 6.2",
        true_of=lambda read: not read.unreadable,
    ),
)
