"""What an audit trail tells, in our own words: who did what, with whom, to which study. PS3.15 A.5.3 has the events.

Whoever does one of these things says so once, to an `Audit`; `ocunet_pacs.audit` makes messages of it and sends them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class AuditOutcome(IntEnum):
    """EventOutcomeIndicator (PS3.15 A.5.1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    """It was not done, and is tried again or may be."""
    SERIOUS_FAILURE = 8
    """It was not done, and is not tried again."""
    MAJOR_FAILURE = 12
    """And a part of the service is not there any more."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody at the other end: what is known of it, "" for what is not.

    `name` is the one under which the settings list it, `address` an IP address, a host name or a URL.
    """

    name: str = ""
    ae_title: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom a study is about. Messages have the number only where the site says so."""

    pseudonym: str = ""
    """Stands for the patient: equal for equal patients, and says nothing about them."""
    number: str = field(default="", repr=False)
    """Patient ID (0010,0020)."""


NOBODY = Patient()


@dataclass(frozen=True, slots=True)
class Started:
    """This process runs."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """This process ends; or, with a `role`, an earlier one of that role ended and could not say so."""

    role: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """One instance came and is kept now. `asked_for`: we fetched it, it was not sent unasked."""

    sender: Party
    study_instance_uid: str
    sop_class_uid: str
    patient: Patient = NOBODY
    is_new: bool = True
    """False where it was here already, or had to be put back."""
    asked_for: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One result went to a destination, or was not taken there.

    `sop_class_uid` "": it is no DICOM object but a document or a notice about the study.
    """

    destination: Party
    study_instance_uid: str
    sop_class_uid: str
    patient: Patient = NOBODY
    outcome: AuditOutcome = AuditOutcome.SUCCESS


@dataclass(frozen=True, slots=True)
class Accessed:
    """A study's instances were read: to analyse them, or to show them to a person."""

    study_instance_uid: str
    instances: tuple[tuple[str, int], ...]
    """SOP Class UIDs, with how many of each."""
    patient: Patient = NOBODY
    reader: Party | None = None
    """Who looked at them; None: nobody, they were analysed."""


@dataclass(frozen=True, slots=True)
class Queried:
    """An archive was asked. `identifier` is the encoded data set that was sent (PS3.4 section C.2.2.1)."""

    archive: Party
    sop_class_uid: str
    identifier: bytes
    transfer_syntax_uid: str
    outcome: AuditOutcome = AuditOutcome.SUCCESS


class Alert(Enum):
    """What kind of security alert: the code and the meaning of its EventTypeCode (PS3.16 CID 401)."""

    NODE_AUTHENTICATION = ("110126", "Node Authentication")
    NETWORK_CONFIGURATION = ("110128", "Network Configuration")
    SECURITY_CONFIGURATION = ("110129", "Security Configuration")
    SOFTWARE_CONFIGURATION = ("110131", "Software Configuration")
    RESTRICTED_FUNCTION = ("110132", "Use of Restricted Function")
    RECORDING_STOPPED = ("110133", "Audit Recording Stopped")


@dataclass(frozen=True, slots=True)
class SecurityAlert:
    """Somebody was turned away, or what guards us was changed. `description` never holds patient data."""

    alert: Alert
    description: str
    party: Party | None = None
    """Who it is about; None: we ourselves."""
    outcome: AuditOutcome = AuditOutcome.MINOR_FAILURE


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody gave the console's token, or a wrong one, or signed out again (`out`)."""

    person: Party
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    out: bool = False


AuditEvent = Started | Stopped | Received | Sent | Accessed | Queried | SecurityAlert | Login


def no_patient_number(_object: Path, /) -> str:
    """For sites whose audit trail names patients by pseudonym: Patient ID is not read."""
    return ""


class Audit(Protocol):
    """Where events are told. Never raises and never waits: an audit trail that fails costs no image."""

    def __call__(self, event: AuditEvent, /) -> None:
        """Take note of it, now."""


def audit_nothing(event: AuditEvent, /) -> None:
    """For sites that keep no audit trail."""
