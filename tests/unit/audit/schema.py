"""The schema of audit messages, written down from PS3.15 A.5.1 (RELAX NG compact), and what checks a message by it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree.ElementTree import fromstring

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TEXT = ".*"
TOKEN = r".*"
BOOLEAN = "true|false|0|1"
DATE_TIME = r"-?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
"""xsd:dateTime; A.5.2.5 wants the time zone."""
BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
INTEGER = r"[+-]?\d+"


def numbers(first: int, last: int) -> str:
    return "|".join(map(str, range(first, last + 1)))


@dataclass(frozen=True)
class Shape:
    """An element: its attributes with patterns ("name?" may be absent), its children in order, its text.

    `children` is a regular expression over their names, each followed by a space.
    """

    attributes: dict[str, str] = field(default_factory=dict)
    children: str = ""
    text: str | None = None


CODED = {"csd-code": TOKEN, "codeSystemName": TOKEN, "displayName?": TOKEN, "originalText": TOKEN}
SCHEMA = {
    "AuditMessage": Shape(
        children="EventIdentification (ActiveParticipant )+AuditSourceIdentification "
        "(ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Shape(
        {
            "EventActionCode?": "C|R|U|D|E",
            "EventDateTime": DATE_TIME,
            "EventOutcomeIndicator": "0|4|8|12",
        },
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    ),
    "EventID": Shape(CODED),
    "EventTypeCode": Shape(CODED),
    "EventOutcomeDescription": Shape(text=TEXT),
    "ActiveParticipant": Shape(
        {
            "UserID": TEXT,
            "AlternativeUserID?": TEXT,
            "UserName?": TEXT,
            "UserIsRequestor": BOOLEAN,
            "NetworkAccessPointID?": TOKEN,
            "NetworkAccessPointTypeCode?": numbers(1, 5),
        },
        "(RoleIDCode )*(MediaIdentifier )?",
    ),
    "RoleIDCode": Shape(CODED),
    "MediaIdentifier": Shape(children="MediaType "),
    "MediaType": Shape(CODED),
    "AuditSourceIdentification": Shape(
        {"AuditEnterpriseSiteID?": TOKEN, "AuditSourceID": TOKEN}, "(AuditSourceTypeCode )*"
    ),
    "AuditSourceTypeCode": Shape({"csd-code": numbers(1, 9)}),
    "ParticipantObjectIdentification": Shape(
        {
            "ParticipantObjectID": TOKEN,
            "ParticipantObjectTypeCode?": numbers(1, 4),
            "ParticipantObjectTypeCodeRole?": numbers(1, 26),
            "ParticipantObjectDataLifeCycle?": numbers(1, 15),
            "ParticipantObjectSensitivity?": TOKEN,
        },
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
    ),
    "ParticipantObjectIDTypeCode": Shape(CODED),
    "ParticipantObjectName": Shape(text=TOKEN),
    "ParticipantObjectQuery": Shape(text=BASE64),
    "ParticipantObjectDetail": Shape({"type": TOKEN, "value": BASE64}),
    "ParticipantObjectDescription": Shape(
        children="(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?"
    ),
    "SOPClass": Shape({"UID?": TOKEN, "NumberOfInstances": INTEGER}, "(Instance )*"),
}


def checked(xml: bytes) -> Element:
    """The message, where the schema accepts it; AssertionError with the place otherwise."""
    root = fromstring(xml.decode("utf-8"))
    assert root.tag == "AuditMessage"
    _check(root, root.tag)
    return root


def _check(element: Element, path: str) -> None:
    shape = SCHEMA[element.tag]
    known = {name.rstrip("?"): pattern for name, pattern in shape.attributes.items()}
    needed = {name for name in shape.attributes if not name.endswith("?")}
    assert needed <= set(element.attrib) <= set(known), f"{path}: attributes {sorted(element.attrib)}"
    for name, value in element.attrib.items():
        assert re.fullmatch(known[name], value, re.DOTALL), f"{path}/@{name}: {value!r}"
    children = "".join(f"{child.tag} " for child in element)
    assert re.fullmatch(shape.children, children), f"{path}: children {children!r}"
    if shape.text is None:
        assert not (element.text or "").strip(), f"{path}: text"
    else:
        assert re.fullmatch(shape.text, element.text or "", re.DOTALL), f"{path}: {element.text!r}"
    for child in element:
        _check(child, f"{path}/{child.tag}")
