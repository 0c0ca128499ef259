"""Messages: by the schema whatever is put in, and with the codes and participants that PS3.15 A.5.3 asks for."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.audit.message import Reporter, audit_message
from ocunet_pacs.audit.syslog import framed, syslog_message, xml_of
from ocunet_pacs.domain.audit import (
    Accessed,
    Alert,
    AuditEvent,
    AuditOutcome,
    Login,
    Party,
    Patient,
    Queried,
    Received,
    SecurityAlert,
    Sent,
    Started,
    Stopped,
)
from ocunet_pacs.logs import study_digest
from tests.unit.audit.schema import checked

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, UTC)
US = Reporter("OCUNET", "eye-host", 4711, "listen", "OCUNET")
CAMERA = Party("camera", "CAMERA", "10.1.2.3")
OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
MARKED = Patient("ab" * 32, "PAT-4711")
RECEIVED = Received(CAMERA, "1.2.3", OP, MARKED)
SENT = Sent(Party("pacs", "ORTHANC", "pacs.example"), "1.2.3", SR, MARKED)


def message(event: AuditEvent, reporter: Reporter = US) -> Element:
    return checked(audit_message(event, AT, reporter))


def codes(root: Element) -> tuple[str, ...]:
    """EventID, EventTypeCode where there is one, action, outcome."""
    event = root.find("EventIdentification")
    assert event is not None
    found = [child.attrib["csd-code"] for child in event if child.tag != "EventOutcomeDescription"]
    return (*found, event.attrib["EventActionCode"], event.attrib["EventOutcomeIndicator"])


def participants(root: Element) -> list[tuple[str, str, str]]:
    """Role, who, whether it asked for it."""
    return [
        (
            "".join(role.attrib["csd-code"] for role in one.findall("RoleIDCode")),
            one.attrib.get("AlternativeUserID", one.attrib["UserID"]),
            one.attrib["UserIsRequestor"],
        )
        for one in root.findall("ActiveParticipant")
    ]


def objects(root: Element) -> dict[str, str]:
    """Id by the code of its type."""
    found = {}
    for one in root.findall("ParticipantObjectIdentification"):
        kind = one.find("ParticipantObjectIDTypeCode")
        assert kind is not None
        found[kind.attrib["csd-code"]] = one.attrib["ParticipantObjectID"]
    return found


odd = st.text(
    st.characters(codec=None) | st.sampled_from("\0\x0b\x1f\t\n\r\u2028\ufffe\uffff\ud800\udfff<>&\"'"), max_size=20
)
parties = st.builds(Party, odd, odd, odd)
patients = st.builds(Patient, odd, odd)
outcomes = st.sampled_from(AuditOutcome)
instances = st.lists(st.tuples(odd, st.integers(0, 999)), max_size=3).map(tuple)
events: st.SearchStrategy[AuditEvent] = st.one_of(
    st.just(Started()),
    st.builds(Stopped, odd),
    st.builds(Received, parties, odd, odd, patients, st.booleans(), st.booleans()),
    st.builds(Sent, parties, odd, odd, patients, outcomes),
    st.builds(Accessed, odd, instances, patients, st.none() | parties),
    st.builds(Queried, parties, odd, st.binary(max_size=50), odd, outcomes),
    st.builds(SecurityAlert, st.sampled_from(Alert), odd, st.none() | parties, outcomes),
    st.builds(Login, parties, outcomes, st.booleans()),
)
reporters = st.builds(Reporter, odd, odd, st.integers(1, 2**22), odd, odd, odd, st.booleans())


@given(events, reporters)
def test_whatever_is_put_in_the_message_is_one_line_that_the_schema_accepts(
    event: AuditEvent, reporter: Reporter
) -> None:
    xml = audit_message(event, AT, reporter)
    checked(xml)
    assert len(xml.decode("utf-8").splitlines()) == 1


@given(events, reporters)
def test_a_syslog_message_has_a_header_that_is_ascii_and_gives_the_xml_back(
    event: AuditEvent, reporter: Reporter
) -> None:
    xml = audit_message(event, AT, reporter)
    whole = syslog_message(xml, AT, facility=10, host=reporter.host, process=reporter.process)
    header, bom, rest = whole.partition(b"\xef\xbb\xbf")
    fields = header.decode("ascii").split(" ")
    assert fields[1:2] + fields[3:] == [
        "2026-03-01T12:30:15.250+00:00",
        "ocunet-pacs",
        str(reporter.process),
        "DICOM+RFC3881",
        "-",
        "",
    ]
    assert 1 <= len(fields[2]) <= 255
    assert bom
    assert rest == xml == xml_of(whole)
    length, _, framed_message = framed(whole).partition(b" ")
    assert int(length) == len(framed_message)
    assert framed_message == whole


@pytest.mark.parametrize(
    ("outcome", "priority"),
    [
        (AuditOutcome.SUCCESS, 85),
        (AuditOutcome.MINOR_FAILURE, 84),
        (AuditOutcome.SERIOUS_FAILURE, 83),
        (AuditOutcome.MAJOR_FAILURE, 82),
    ],
)
def test_the_severity_follows_the_outcome(outcome: AuditOutcome, priority: int) -> None:
    xml = audit_message(replace(SENT, outcome=outcome), AT, US)
    assert syslog_message(xml, AT, facility=10, host="h", process=1).startswith(b"<%d>1 " % priority)


def test_the_time_says_its_zone() -> None:
    east = AT.astimezone(timezone(timedelta(hours=2)))
    root = checked(audit_message(Started(), east, US))
    assert root.find("EventIdentification").attrib["EventDateTime"] == "2026-03-01T14:30:15.250+02:00"  # type: ignore[union-attr]


def test_start_and_stop() -> None:
    assert codes(message(Started())) == ("110100", "110120", "E", "0")
    assert codes(message(Stopped())) == ("110100", "110121", "E", "0")
    assert participants(message(Started())) == [("110150", "AETITLES=OCUNET", "false")]


def test_a_role_that_could_not_say_that_it_stopped_is_named_as_what_failed() -> None:
    root = message(Stopped("work"))
    assert codes(root) == ("110100", "110121", "E", "12")
    (one,) = root.findall("ActiveParticipant")
    assert one.attrib["UserName"] == "ocunet-pacs work"
    assert one.attrib["UserID"] != "4711"


def test_what_was_received_names_sender_study_and_patient() -> None:
    root = message(RECEIVED)
    assert codes(root) == ("110104", "C", "0")
    assert participants(root) == [("110153", "AETITLES=CAMERA", "true"), ("110152", "AETITLES=OCUNET", "false")]
    assert objects(root) == {"110180": "1.2.3", "2": "ab" * 32}
    sender = root.findall("ActiveParticipant")[0].attrib
    assert (sender["UserID"], sender["NetworkAccessPointID"], sender["NetworkAccessPointTypeCode"]) == (
        "camera",
        "10.1.2.3",
        "2",
    )
    assert [sop.attrib for sop in root.iter("SOPClass")] == [{"UID": OP, "NumberOfInstances": "1"}]
    assert next(root.iter("ParticipantObjectName")).text == f"study {study_digest('1.2.3')}"


def test_what_was_fetched_was_asked_for_by_us_and_what_was_here_is_read() -> None:
    root = message(replace(RECEIVED, asked_for=True, is_new=False))
    assert codes(root) == ("110104", "R", "0")
    assert [requestor for _, _, requestor in participants(root)] == ["false", "true"]


@pytest.mark.parametrize("event", [RECEIVED, SENT, Accessed("1.2.3", ((OP, 2),), MARKED)])
def test_a_patient_has_a_number_only_where_the_site_says_so(event: Received | Sent | Accessed) -> None:
    assert b"PAT-4711" not in audit_message(event, AT, US)
    assert objects(message(event, replace(US, patient_numbers=True)))["2"] == "PAT-4711"
    unknown = replace(event, patient=Patient("cd"))
    assert objects(message(unknown, replace(US, patient_numbers=True)))["2"] == "cd"


def test_the_number_of_a_patient_is_in_no_representation() -> None:
    assert "PAT-4711" not in repr(RECEIVED)


def test_a_delivery_goes_from_us_to_the_destination() -> None:
    root = message(SENT)
    assert codes(root) == ("110104", "C", "0")
    assert participants(root) == [("110153", "AETITLES=OCUNET", "true"), ("110152", "AETITLES=ORTHANC", "false")]
    assert root.findall("ActiveParticipant")[1].attrib["NetworkAccessPointTypeCode"] == "1"


def test_a_document_is_exported_to_where_its_address_leads() -> None:
    root = message(Sent(Party("record", address="https://fhir.example/r4"), "1.2.3", "", MARKED))
    assert codes(root) == ("110106", "R", "0")
    assert participants(root)[1] == ("110154", "https://fhir.example/r4", "false")
    assert next(root.iter("MediaType")).attrib["csd-code"] == "110037"


def test_a_query_is_kept_as_it_was_sent() -> None:
    asked = Queried(
        Party("archive", "PACS", "::1"), "1.2.840.10008.5.1.4.1.2.2.1", b"\x08\0\x20\0", "1.2.840.10008.1.2"
    )
    root = message(asked)
    assert codes(root) == ("110112", "E", "0")
    assert base64.b64decode(next(root.iter("ParticipantObjectQuery")).text or "") == asked.identifier
    detail = next(root.iter("ParticipantObjectDetail")).attrib
    assert (detail["type"], base64.b64decode(detail["value"])) == ("TransferSyntax", b"1.2.840.10008.1.2")


def test_an_alert_says_what_happened_and_about_whom() -> None:
    root = message(SecurityAlert(Alert.NODE_AUTHENTICATION, "association rejected: address", CAMERA))
    assert codes(root) == ("110113", "110126", "E", "4")
    assert participants(root)[1] == ("", "AETITLES=CAMERA", "true")
    assert objects(root) == {"110182": "10.1.2.3"}
    detail = next(root.iter("ParticipantObjectDetail")).attrib
    assert (detail["type"], base64.b64decode(detail["value"])) == (
        "Alert Description",
        b"association rejected: address",
    )
    ours = message(SecurityAlert(Alert.SECURITY_CONFIGURATION, "changed", outcome=AuditOutcome.SUCCESS))
    assert codes(ours) == ("110113", "110129", "E", "0")
    assert objects(ours) == {"110182": "eye-host"}


def test_the_source_is_what_the_site_calls_it() -> None:
    root = message(Started(), replace(US, source="ocunet-1", site="clinic"))
    source = root.find("AuditSourceIdentification")
    assert source is not None
    assert source.attrib == {"AuditEnterpriseSiteID": "clinic", "AuditSourceID": "ocunet-1"}


@pytest.mark.parametrize(
    "broken",
    [
        b"<AuditMessage/>",
        audit_message(Started(), AT, US).replace(b' originalText="Application"', b""),
        audit_message(RECEIVED, AT, US).replace(b'"0"', b'"1"'),
        audit_message(RECEIVED, AT, US).replace(b"+00:00", b""),
        audit_message(RECEIVED, AT, US).replace(b"ParticipantObjectName", b"ParticipantName"),
    ],
)
def test_the_schema_turns_down_what_it_should(broken: bytes) -> None:
    with pytest.raises((AssertionError, KeyError)):
        checked(broken)


def test_who_looks_at_a_study_and_who_signs_in_is_the_one_who_asks() -> None:
    person = Party("console", address="10.1.2.9")
    seen = message(Accessed("1.2.3", ((OP, 1),), MARKED, person))
    assert codes(seen) == ("110103", "R", "0")
    assert [(who, asks) for _, who, asks in participants(seen)] == [("AETITLES=OCUNET", "false"), ("console", "true")]
    assert codes(message(Login(person, AuditOutcome.MINOR_FAILURE))) == ("110114", "110122", "E", "4")
    left = message(Login(person, out=True))
    assert codes(left) == ("110114", "110123", "E", "0")
    assert [(who, asks) for _, who, asks in participants(left)] == [("console", "true"), ("AETITLES=OCUNET", "false")]
