"""What a web archive says became of an object: the Store Instances Response (PS3.18 annex I), in JSON or XML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.delivery.posting import Answer

_FAILED, _OTHER_FAILURES, _STORED = "00081198", "0008119A", "00081199"
_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_XML = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
_HAS_IT, _PROCESSING_FAILURE = 0xB00E, 0x0110

Items = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one object. All of it unsaid: no readable answer; the HTTP status is all there is."""

    answer: Answer
    stored: bool = False
    warned: bool = False
    reason: int | None = None
    """Failure Reason (0008,1197); the processing failure where it failed for none."""


def verdict(answer: Answer, uid: str) -> Verdict:
    """What the answer says of the object with this SOP Instance UID. One that names it nowhere says nothing of it."""
    said = _sequences(answer)
    for item in said[_FAILED]:
        if _first(item, _INSTANCE) == uid:
            return Verdict(answer, reason=_reason(item))
    for item in said[_STORED]:
        if _first(item, _INSTANCE) == uid:
            return Verdict(answer, stored=True, warned=_number(item, _WARNING) is not None)
    # There was one object in the request, so a failure without a name is its own.
    for item in said[_OTHER_FAILURES]:
        return Verdict(answer, reason=_reason(item))
    return Verdict(answer)


def lists(answer: Answer, uid: str) -> bool:
    """Whether the object is among those that a search found (PS3.18 section 10.6)."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        return False
    return isinstance(found, list) and any(isinstance(item, dict) and _first(item, "00080018") == uid for item in found)


def _reason(item: dict[str, Any]) -> int:
    reason, warning = _number(item, _FAILURE), _number(item, _WARNING)
    if reason is None:
        return _HAS_IT if warning == _HAS_IT else _PROCESSING_FAILURE
    return reason


def _sequences(answer: Answer) -> dict[str, Items]:
    nothing: dict[str, Items] = {_FAILED: [], _STORED: [], _OTHER_FAILURES: []}
    try:
        said = _of_xml(answer.content) if "xml" in answer.content_type else _of_json(answer.content)
    except (ValueError, ET.ParseError):
        return nothing
    return {tag: list(said.get(tag, [])) for tag in nothing}


def _of_json(content: bytes) -> dict[str, Items]:
    said = json.loads(content)
    if isinstance(said, list):
        said = said[0] if said else {}
    if not isinstance(said, dict):
        return {}
    return {tag: [item for item in _values(said, tag) if isinstance(item, dict)] for tag in said}


def _of_xml(content: bytes) -> dict[str, Items]:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("no answer of an archive has a document type")
    root = ET.fromstring(content)  # noqa: S314 - a megabyte at most, and no entities
    return {attribute.get("tag", ""): list(_items(attribute)) for attribute in _attributes(root)}


def _items(attribute: ET.Element) -> Iterator[dict[str, Any]]:
    for item in (*attribute.iter(f"{_XML}Item"), *attribute.iter("Item")):
        yield {
            inner.get("tag", ""): {"Value": [value.text for value in inner if value.tag.endswith("Value")]}
            for inner in _attributes(item)
        }


def _attributes(element: ET.Element) -> list[ET.Element]:
    return [child for child in element if child.tag in {f"{_XML}DicomAttribute", "DicomAttribute"}]


def _values(item: dict[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _first(item: dict[str, Any], tag: str) -> str:
    values = _values(item, tag)
    return str(values[0]).strip() if values else ""


def _number(item: dict[str, Any], tag: str) -> int | None:
    text = _first(item, tag)
    return int(text) if text.isdecimal() else None
