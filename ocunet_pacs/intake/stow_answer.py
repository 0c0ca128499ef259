"""The answer to a STOW-RS request: status (PS3.18 table 10.5.3-1) and Store Instances Response Module (table I.2-1)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ocunet_pacs.intake.admission import Status

if TYPE_CHECKING:
    from ocunet_pacs.intake.arriving import Arrived

JSON = "application/dicom+json"
XML = "application/dicom+xml"
_BOTH = (JSON, XML)
_ALSO = {"application/json": JSON, "application/*": JSON, "*/*": JSON}
_FOR_NOW = frozenset({Status.OUT_OF_RESOURCES, Status.PROCESSING_FAILURE})
"""Failures that are over when ours are: the same request, sent again later, may succeed."""

# Tag, VR and keyword of what the module holds.
_RETRIEVE_URL = ("00081190", "UR", "RetrieveURL")
_REFERENCED = ("00081199", "SQ", "ReferencedSOPSequence")
_FAILED = ("00081198", "SQ", "FailedSOPSequence")
_OTHER_FAILURES = ("0008119A", "SQ", "OtherFailuresSequence")
_CLASS = ("00081150", "UI", "ReferencedSOPClassUID")
_INSTANCE = ("00081155", "UI", "ReferencedSOPInstanceUID")
_REASON = ("00081197", "US", "FailureReason")

Attribute = tuple[tuple[str, str, str], "str | int | list[Item] | None"]
Item = list[Attribute]


@dataclass
class Outcome:
    """What became of the parts of one request, in order."""

    arrived: list[Arrived] = field(default_factory=list)
    malformed: str = ""
    """Why the rest of the body could not be read, where it could not."""

    def add(self, arrived: Arrived) -> None:
        """The next part."""
        self.arrived.append(arrived)

    @property
    def status(self) -> int:
        """The status of the answer as a whole."""
        failures = [part.refusal.status for part in self.arrived if part.refusal is not None]
        stored = len(self.arrived) - len(failures)
        if stored:
            return 202 if failures or self.malformed else 200
        if any(status in _FOR_NOW for status in failures):
            return 503
        if self.malformed or not failures:
            return 400
        return 409

    def module(self) -> Item:
        """The attributes of the response. Nothing can be retrieved from us, so the Retrieve URLs (type 2) are empty."""
        stored: list[Item] = []
        failed: list[Item] = []
        others: list[Item] = []
        for part in self.arrived:
            reference: Item = [(_CLASS, part.sop_class_uid), (_INSTANCE, part.sop_instance_uid)]
            if part.refusal is None:
                stored.append([*reference, (_RETRIEVE_URL, None)])
            elif part.sop_class_uid and part.sop_instance_uid:
                failed.append([*reference, (_REASON, int(part.refusal.status))])
            else:
                others.append([(_REASON, int(part.refusal.status))])
        if self.malformed:
            others.append([(_REASON, int(Status.CANNOT_UNDERSTAND))])
        sequences = ((_REFERENCED, stored), (_FAILED, failed), (_OTHER_FAILURES, others))
        return [(_RETRIEVE_URL, None), *((kind, items) for kind, items in sequences if items)]

    def encoded(self, media_type: str) -> bytes:
        """The module in one of the two media types."""
        module = self.module()
        return _as_xml(module) if media_type == XML else json.dumps(_as_json(module)).encode("ascii")


def answer_type(accept: str) -> str | None:
    """The media type to answer in: JSON where the sender does not care, None where it takes neither."""
    best, best_weight = None, 0.0
    for entry in (accept or "*/*").lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = next((_weight(value[2:]) for value in parameters if value.startswith("q=")), 1.0)
        kind = name if name in _BOTH else _ALSO.get(name)
        if kind is not None and weight > best_weight:
            best, best_weight = kind, weight
    return best


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _as_json(item: Item) -> dict[str, object]:
    """The DICOM JSON model (PS3.18 annex F)."""
    encoded: dict[str, object] = {}
    for (tag, vr, _), value in item:
        values = [_as_json(nested) for nested in value] if isinstance(value, list) else [value]
        encoded[tag] = {"vr": vr} if value is None else {"vr": vr, "Value": values}
    return encoded


def _as_xml(module: Item) -> bytes:
    """The Native DICOM Model (PS3.19 section A.1)."""
    root = ET.Element("NativeDicomModel", {"xmlns": "http://dicom.nema.org/PS3.19/models/NativeDICOM"})
    root.set("xml:space", "preserve")
    _add_xml(root, module)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_xml(parent: ET.Element, item: Item) -> None:
    for (tag, vr, keyword), value in item:
        attribute = ET.SubElement(parent, "DicomAttribute", {"tag": tag, "vr": vr, "keyword": keyword})
        if isinstance(value, list):
            for number, nested in enumerate(value, 1):
                _add_xml(ET.SubElement(attribute, "Item", {"number": str(number)}), nested)
        elif value is not None:
            ET.SubElement(attribute, "Value", {"number": "1"}).text = str(value)
