"""Whom an object names: a digest that is equal for equal patients, from a data set or from its encoded values.

What DICOM does not count as a difference does not count here: case, padding, empty components at the end of a name, its
ideographic and phonetic groups, the character set that it came in. Everything else does, an absent value included: an
object without Patient ID is not taken for that of a patient who has one.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import TYPE_CHECKING

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement

from ocunet_pacs.imaging.elements import text
from ocunet_pacs.imaging.part10 import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom.dataset import Dataset

IDENTIFYING = ("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate")
"""What has to be read for it: (0008,0005), (0010,0010), (0010,0020), (0010,0021), (0010,0030)."""
CHARACTER_SET, NAME, ID, ISSUER, BIRTH_DATE = 0x00080005, 0x00100010, 0x00100020, 0x00100021, 0x00100030
"""The same as tags."""


def identity_of(ds: Dataset) -> str:
    """sha256 (hex) over the patient whom the data set names; a value that cannot be read counts as absent.

    From the encoded values where they are still there, so that it agrees with `identity_from` on whatever was sent.
    """
    raw = {int(tag): _raw_value(ds, tag) for tag in (CHARACTER_SET, NAME, ID, ISSUER, BIRTH_DATE) if tag in ds}
    if all(isinstance(value, bytes) for value in raw.values()):
        return identity_from(raw)
    return _digest([text(ds, keyword) for keyword in IDENTIFYING[1:]])


def _raw_value(ds: Dataset, tag: int) -> bytes | None:
    try:
        element = ds.get_item(tag)
    except Exception:  # noqa: BLE001 -- an empty value is decoded at once, whatever its representation claims to be
        return b""
    if not isinstance(element, RawDataElement):
        return None
    return element.value or b""


def identity_from(encoded: Mapping[int, bytes | None]) -> str:
    """The same from the values as they are encoded, by tag, for a reader that makes no data set."""
    with quiet():  # a character set that does not fit is a deviation to tolerate
        return _identity_from(encoded)


def patient_number_from(encoded: Mapping[int, bytes | None]) -> str:
    """Patient ID (0010,0020) from the values as they are encoded, by tag; "" where there is none that can be read."""
    with quiet():
        return _decoded(encoded.get(ID) or b"", _encodings(encoded))


def _identity_from(encoded: Mapping[int, bytes | None]) -> str:
    encodings = _encodings(encoded)
    values = [_decoded(encoded.get(tag) or b"", encodings) for tag in (NAME, ID, ISSUER)]
    return _digest(
        [*values, (encoded.get(BIRTH_DATE) or b"").decode("ascii", "replace").partition("\\")[0].strip(" \0")]
    )


def _encodings(encoded: Mapping[int, bytes | None]) -> list[str]:
    declared = (encoded.get(CHARACTER_SET) or b"").decode("ascii", "replace").strip(" \0")
    try:
        return convert_encodings(declared.split("\\") if declared else "ISO_IR 6")
    except Exception:  # noqa: BLE001 -- pydicom raises several kinds on names that no standard has
        return ["iso8859"]


def _decoded(value: bytes, encodings: list[str]) -> str:
    try:
        words = decode_bytes(value, encodings, {0x5C, 0x5E, 0x3D, 0x0A, 0x0C, 0x0D, 0x09})
    except Exception:  # noqa: BLE001 -- as above: what cannot be decoded names nobody
        return ""
    return words.partition("\\")[0].strip(" \0")


def _digest(values: Sequence[str]) -> str:
    name, patient_id, issuer, born = values
    alphabetic = name.partition("=")[0]
    parts = [
        patient_id,
        issuer,
        born.replace(".", ""),
        "^".join(" ".join(part.split()) for part in alphabetic.split("^")).rstrip("^"),
    ]
    # ISO 10646 has more than one way to write an accent, and fonts have their own.
    even = json.dumps([unicodedata.normalize("NFKC", part).casefold() for part in parts])
    return hashlib.sha256(even.encode()).hexdigest()
