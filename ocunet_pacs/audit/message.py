"""An event as the XML of PS3.15 A.5.1 (RELAX NG), filled in by the tables of A.5.3. Pure.

The schema wants a name or a query of every participant object. A study has no name that says anything, so it gets the
digest under which the logs know it: that leads from a message to the lines of the log.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ocunet_pacs.domain.audit import (
    Accessed,
    AuditOutcome,
    Login,
    Party,
    Queried,
    Received,
    SecurityAlert,
    Sent,
    Started,
    Stopped,
)
from ocunet_pacs.logs import study_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ocunet_pacs.domain.audit import AuditEvent, Patient

APPLICATION_ACTIVITY = ("110100", "Application Activity")
ACCESSED = ("110103", "DICOM Instances Accessed")
TRANSFERRED = ("110104", "DICOM Instances Transferred")
EXPORT = ("110106", "Export")
QUERY = ("110112", "Query")
SECURITY_ALERT = ("110113", "Security Alert")
AUTHENTICATION = ("110114", "User Authentication")
START = ("110120", "Application Start")
STOP = ("110121", "Application Stop")
LOGIN = ("110122", "Login")
LOGOUT = ("110123", "Logout")
APPLICATION = ("110150", "Application")
DESTINATION = ("110152", "Destination Role ID")
SOURCE = ("110153", "Source Role ID")
DESTINATION_MEDIA = ("110154", "Destination Media")
URI_MEDIA = ("110037", "URI")
STUDY_UID = ("110180", "Study Instance UID")
SOP_CLASS_UID = ("110181", "SOP Class UID")
NODE_ID = ("110182", "Node ID")
PATIENT_NUMBER = ("2", "Patient Number")
_APPLICATION_SERVER = "4"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHITE = re.compile("[\t\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: this process, on this host, as the audit source that the site calls it."""

    ae_title: str
    host: str
    process: int
    role: str
    source: str
    site: str = ""
    patient_numbers: bool = False
    """Whether messages have Patient IDs, instead of pseudonyms."""


def audit_message(event: AuditEvent, at: datetime, reporter: Reporter) -> bytes:
    """One line of UTF-8, without an XML declaration. `at` is aware.

    What XML cannot hold (control characters, half surrogates) becomes U+FFFD; line ends become spaces, so that a
    message stays a line.
    """
    root = Element("AuditMessage")
    _WRITERS[type(event)](event, _Writer(root, at, reporter))
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return xml


class _Writer:
    """Adds the parts of one message, in the schema's order: event, participants, source, objects."""

    def __init__(self, root: Element, at: datetime, reporter: Reporter) -> None:
        self._root = root
        self._at = at
        self.reporter = reporter

    def event(
        self,
        code: tuple[str, str],
        action: str,
        outcome: AuditOutcome = AuditOutcome.SUCCESS,
        kind: tuple[str, str] | None = None,
        description: str = "",
    ) -> None:
        attributes = {
            "EventActionCode": action,
            "EventDateTime": self._at.isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": str(int(outcome)),
        }
        event = SubElement(self._root, "EventIdentification", attributes)
        _coded(event, "EventID", code)
        if kind is not None:
            _coded(event, "EventTypeCode", kind)
        if description:
            SubElement(event, "EventOutcomeDescription").text = _clean(description)

    def us(self, role: tuple[str, str] | None, *, requestor: bool, process: str | None = None) -> None:
        """This process takes part; or the one of which `process` says what it was."""
        ours = self.reporter
        self._participant(
            role,
            user=str(ours.process) if process is None else "unknown",
            name=f"ocunet-pacs {ours.role if process is None else process}",
            ae_title=ours.ae_title,
            address=ours.host,
            requestor=requestor,
        )

    def other(self, party: Party, role: tuple[str, str] | None, *, requestor: bool) -> None:
        user = party.name or party.ae_title or party.address or "unknown"
        self._participant(
            role, user=user, name=party.name, ae_title=party.ae_title, address=party.address, requestor=requestor
        )

    def media(self, party: Party) -> None:
        """Where something goes that is no DICOM node (table A.5.3.4-1): known by its address."""
        participant = self._participant(
            DESTINATION_MEDIA,
            user=party.address or party.name or "unknown",
            name=party.name,
            ae_title="",
            address="",
            requestor=False,
        )
        _coded(SubElement(participant, "MediaIdentifier"), "MediaType", URI_MEDIA)

    def _participant(
        self, role: tuple[str, str] | None, *, user: str, name: str, ae_title: str, address: str, requestor: bool
    ) -> Element:
        attributes = {"UserID": user}
        if ae_title:
            attributes["AlternativeUserID"] = f"AETITLES={ae_title}"
        if name:
            attributes["UserName"] = name
        attributes["UserIsRequestor"] = "true" if requestor else "false"
        if address:
            attributes |= {"NetworkAccessPointID": address, "NetworkAccessPointTypeCode": _access_point(address)}
        participant = SubElement(self._root, "ActiveParticipant", _cleaned(attributes))
        if role is not None:
            _coded(participant, "RoleIDCode", role)
        return participant

    def source(self) -> None:
        attributes = {"AuditSourceID": self.reporter.source}
        if self.reporter.site:
            attributes = {"AuditEnterpriseSiteID": self.reporter.site} | attributes
        source = SubElement(self._root, "AuditSourceIdentification", _cleaned(attributes))
        SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})

    def study(self, uid: str, instances: tuple[tuple[str, int], ...]) -> None:
        study = self._object(STUDY_UID, uid, f"study {study_digest(uid)}", kind="2", role="3")
        description = SubElement(study, "ParticipantObjectDescription")
        for sop_class, number in instances:
            SubElement(description, "SOPClass", _cleaned({"UID": sop_class, "NumberOfInstances": str(number)}))

    def patient(self, patient: Patient) -> None:
        """The tables want one patient: by number where the site says so and it is known, else by pseudonym."""
        if self.reporter.patient_numbers and patient.number:
            self._object(PATIENT_NUMBER, patient.number, "patient", kind="1", role="1", system="RFC-3881")
        else:
            self._object(
                PATIENT_NUMBER, patient.pseudonym or "unknown", "pseudonym", kind="1", role="1", system="RFC-3881"
            )

    def queried(self, event: Queried) -> None:
        asked = self._object(SOP_CLASS_UID, event.sop_class_uid, None, kind="2", role="3")
        SubElement(asked, "ParticipantObjectQuery").text = _base64(event.identifier)
        _detail(asked, "TransferSyntax", event.transfer_syntax_uid)

    def node(self, party: Party, description: str) -> None:
        where = party.address or party.ae_title or party.name or "unknown"
        subject = self._object(NODE_ID, where, party.name or party.ae_title or where, kind="2", role="13")
        _detail(subject, "Alert Description", description)

    def _object(
        self, id_type: tuple[str, str], uid: str, name: str | None, *, kind: str, role: str, system: str = "DCM"
    ) -> Element:
        attributes = {
            "ParticipantObjectID": uid,
            "ParticipantObjectTypeCode": kind,
            "ParticipantObjectTypeCodeRole": role,
        }
        found = SubElement(self._root, "ParticipantObjectIdentification", _cleaned(attributes))
        _coded(found, "ParticipantObjectIDTypeCode", id_type, system)
        if name is not None:
            SubElement(found, "ParticipantObjectName").text = _clean(name)
        return found


def _started(_event: Started, to: _Writer) -> None:
    to.event(APPLICATION_ACTIVITY, "E", kind=START)
    to.us(APPLICATION, requestor=False)
    to.source()


def _stopped(event: Stopped, to: _Writer) -> None:
    if event.role:
        to.event(
            APPLICATION_ACTIVITY,
            "E",
            AuditOutcome.MAJOR_FAILURE,
            STOP,
            "it ended without saying so, at some time before this",
        )
        to.us(APPLICATION, requestor=False, process=event.role)
    else:
        to.event(APPLICATION_ACTIVITY, "E", kind=STOP)
        to.us(APPLICATION, requestor=False)
    to.source()


def _received(event: Received, to: _Writer) -> None:
    to.event(TRANSFERRED, "C" if event.is_new else "R")
    to.other(event.sender, SOURCE, requestor=not event.asked_for)
    to.us(DESTINATION, requestor=event.asked_for)
    to.source()
    to.study(event.study_instance_uid, ((event.sop_class_uid, 1),))
    to.patient(event.patient)


def _sent(event: Sent, to: _Writer) -> None:
    exported = not event.sop_class_uid
    to.event(EXPORT if exported else TRANSFERRED, "R" if exported else "C", event.outcome)
    to.us(SOURCE, requestor=True)
    if exported:
        to.media(event.destination)
    else:
        to.other(event.destination, DESTINATION, requestor=False)
    to.source()
    to.study(event.study_instance_uid, () if exported else ((event.sop_class_uid, 1),))
    to.patient(event.patient)


def _accessed(event: Accessed, to: _Writer) -> None:
    to.event(ACCESSED, "R")
    to.us(APPLICATION, requestor=event.reader is None)
    if event.reader is not None:
        to.other(event.reader, None, requestor=True)
    to.source()
    to.study(event.study_instance_uid, event.instances)
    to.patient(event.patient)


def _queried(event: Queried, to: _Writer) -> None:
    to.event(QUERY, "E", event.outcome)
    to.us(SOURCE, requestor=True)
    to.other(event.archive, DESTINATION, requestor=False)
    to.source()
    to.queried(event)


def _alert(event: SecurityAlert, to: _Writer) -> None:
    to.event(SECURITY_ALERT, "E", event.outcome, event.alert.value, event.description)
    to.us(APPLICATION, requestor=event.party is None)
    if event.party is not None:
        to.other(event.party, None, requestor=True)
    to.source()
    to.node(event.party or Party(ae_title=to.reporter.ae_title, address=to.reporter.host), event.description)


def _login(event: Login, to: _Writer) -> None:
    to.event(AUTHENTICATION, "E", event.outcome, LOGOUT if event.out else LOGIN)
    to.other(event.person, None, requestor=True)
    to.us(APPLICATION, requestor=False)
    to.source()


_WRITERS: dict[type, Callable[[Any, _Writer], None]] = {
    Started: _started,
    Stopped: _stopped,
    Received: _received,
    Sent: _sent,
    Accessed: _accessed,
    Queried: _queried,
    SecurityAlert: _alert,
    Login: _login,
}


def _coded(parent: Element, name: str, code: tuple[str, str], system: str = "DCM") -> None:
    SubElement(parent, name, {"csd-code": code[0], "codeSystemName": system, "originalText": code[1]})


def _detail(parent: Element, name: str, value: str) -> None:
    SubElement(parent, "ParticipantObjectDetail", {"type": name, "value": _base64(value.encode("utf-8", "replace"))})


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _access_point(address: str) -> str:
    """NetworkAccessPointTypeCode: 1 a machine's name, 2 an IP address, 5 a URI."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "5" if "://" in address else "1"
    return "2"


def _cleaned(attributes: dict[str, str]) -> dict[str, str]:
    return {name: _clean(value) for name, value in attributes.items()}


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", _WHITE.sub(" ", text))
