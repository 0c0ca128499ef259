"""One object to one destination, for good.

A delivery is done when its destination has the object: where it commits to what it stores (PS3.4 annex J), when it has
committed. Stored, asked, committed: each is on the delivery's row, so a step that is interrupted goes on from there.

A destination where nobody answers has its circuit opened: what waits for it is put off, one job at a time probes, and
the first answer lets all of it go out. That costs no attempts, and a person is told once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bind_contextvars

from ocunet_pacs.domain.audit import AuditOutcome, Party, Patient, Sent, audit_nothing, no_patient_number
from ocunet_pacs.domain.errors import PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.job import Done, Later, Never, Outcome, Retry
from ocunet_pacs.domain.ports import count_nothing, observe_nothing
from ocunet_pacs.logs import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.ledger import DeliveryRow, Ledger
    from ocunet_pacs.domain.ports import Committer, Count, FileStore, Observe, Sender

GATHER = timedelta(seconds=3)
"""How long a stored object waits before its commitment is asked for: what is stored meanwhile is asked for with it."""
LOOK_AGAIN = timedelta(minutes=1)
"""An answer that comes while the asking step still runs is seen after this at the latest."""
MOST_A_TRANSACTION = 100
_TRIES_UNKNOWN = 6
"""Tries of a delivery to somebody whom our settings do not have: with their pauses about a minute."""
LONGEST_BACKOFF = timedelta(hours=1)
_HOPELESS = {0x0119: "class and instance do not belong together", 0x0122: "it does not support the SOP class"}
"""Failure Reasons (PS3.3 C.14.1.1) that storing again does not mend."""


@dataclass(frozen=True, slots=True)
class CommitmentRule:
    """How a destination is asked to commit; an answer that is not there after `timeout` is asked for again."""

    committer: Committer
    timeout: timedelta
    most_asks: int


@dataclass(frozen=True, slots=True)
class DeliveryTools:
    """All that `deliver` works with. `pause` is how long one probe may take, `longest_pause` between two probes."""

    ledger: Ledger
    files: FileStore
    senders: Mapping[str, Sender]
    commitment: Mapping[str, CommitmentRule]
    pause: timedelta
    longest_pause: timedelta
    clock: Callable[[], datetime]
    new_uid: Callable[[], str]
    count: Count = field(default=count_nothing)
    audit: Audit = field(default=audit_nothing)
    parties: Mapping[str, Party] = field(default_factory=dict)
    """Who the destinations are, by name, for the audit trail."""
    patient_number: Callable[[Path], str] = field(default=no_patient_number)
    """Patient ID of an object of ours, where the audit trail has those."""
    observe: Observe = field(default=observe_nothing)


def deliver(job: Job, tools: DeliveryTools, alive: Callable[[], None]) -> Outcome:
    """As far as it goes now; what the destination answered is kept on the delivery's row."""
    row = tools.ledger.delivery(job.subject_id)
    bind_contextvars(study=Study(row.study_instance_uid))
    alive()
    if row.destination not in tools.senders:
        why = f"{row.destination}: no destination of that name is configured"
        # It may be new, and who made the result may have heard of it before us.
        return Retry(why, code="no_destination") if job.attempt < _TRIES_UNKNOWN else Never(why, code="no_destination")
    rule = tools.commitment.get(row.destination)
    waits = _waits(row, rule, tools.clock()) if rule is not None else None
    if waits is not None:
        return waits
    again = tools.ledger.may_try(row.destination, tools.clock(), tools.pause)
    if again is not None:
        why = f"{row.destination}: nobody answers there; it is tried regularly"
        return Later(why, again - tools.clock(), code="destination_down")
    if rule is None or row.stored_at is None or row.failure is not None:
        outcome = _store(job, row, tools, commits=rule is not None)
    else:
        outcome = _ask(row, rule, tools)
    return outcome


def _waits(row: DeliveryRow, rule: CommitmentRule, now: datetime) -> Outcome | None:
    """What there is to do without talking to the destination; None: there is something to say to it."""
    if row.committed_at is not None:
        return Done("stored, and committed to")
    if row.stored_at is None:
        return None
    if row.failure is not None:
        return _hopeless(row)
    if row.asked_at is not None and now < row.asked_at + rule.timeout:
        left = row.asked_at + rule.timeout - now
        return Later(f"{row.destination}: stored; its commitment is asked for", min(left, LOOK_AGAIN), code="asked")
    if row.asks >= rule.most_asks:
        why = f"{row.destination}: stored, but asked {row.asks} times it did not say that it commits to it"
        return Never(why, code="not_committed")
    return None


def _hopeless(row: DeliveryRow) -> Outcome | None:
    assert row.failure is not None
    why = _HOPELESS.get(row.failure)
    if why is None:
        return None
    return Never(f"{row.destination}: does not commit, {why} (reason 0x{row.failure:04X})", code="not_committed")


def _store(job: Job, row: DeliveryRow, tools: DeliveryTools, *, commits: bool) -> Outcome:
    status: int | None
    outcome: Outcome
    stored = False
    began = time.monotonic()
    try:
        receipt = tools.senders[row.destination].send(tools.files.path(row.output.file_key))
    except PeerUnavailable as error:
        status, comment, outcome = error.status, str(error), _down(row, str(error), tools)
    except PeerBusy as error:
        status, comment, outcome = error.status, str(error), Retry(str(error), LONGEST_BACKOFF, code="busy")
    except PeerRefused as error:
        status, comment, outcome = error.status, str(error), Never(str(error), code="refused")
    else:
        status, comment, stored = receipt.status, receipt.note, True
        if commits:
            outcome = Later(f"{row.destination}: stored; to be committed to", GATHER, code="stored")
        else:
            outcome = Done(receipt.note)
    seconds = time.monotonic() - began
    tools.observe("delivery_seconds", seconds, destination=row.destination)
    if not isinstance(outcome, Later) or stored:
        _up(row.destination, tools)
    # Only what is still to be committed to stays on the list of what is.
    tools.ledger.record_delivery(row.id, status, comment, tools.clock(), stored=stored and commits)
    word = "stored" if stored else type(outcome).__name__.lower()
    if stored or not isinstance(outcome, Later):  # where nobody answered, nothing went anywhere
        tools.audit(_sent(row, tools, outcome, stored=stored))
    tools.count("deliveries", destination=row.destination, kind=str(row.output.kind), outcome=word)
    structlog.get_logger().info(
        "delivery",
        job=job.id,
        destination=row.destination,
        kind=str(row.output.kind),
        outcome=word,
        status=None if status is None else f"0x{status:04X}",
        attempt=job.attempt,
        seconds=round(seconds, 3),
    )
    return outcome


def _sent(row: DeliveryRow, tools: DeliveryTools, outcome: Outcome, *, stored: bool) -> Sent:
    """For the audit trail. What is no DICOM object (a FHIR document, a notice) leaves without a SOP class."""
    failed = AuditOutcome.SERIOUS_FAILURE if isinstance(outcome, Never) else AuditOutcome.MINOR_FAILURE
    return Sent(
        tools.parties.get(row.destination, Party(row.destination)),
        row.study_instance_uid,
        row.output.sop_class_uid if row.output.kind.is_dicom else "",
        Patient(row.patient_digest, tools.patient_number(tools.files.path(row.output.file_key))),
        AuditOutcome.SUCCESS if stored else failed,
    )


def _ask(row: DeliveryRow, rule: CommitmentRule, tools: DeliveryTools) -> Outcome:
    """Ask for everything at this destination that is stored and was not asked for: one transaction, this row in it."""
    now = tools.clock()
    others = tools.ledger.uncommitted(row.destination, now - rule.timeout, MOST_A_TRANSACTION)
    asked = [row, *(other for other in others if other.id != row.id)][:MOST_A_TRANSACTION]
    transaction_uid = tools.new_uid()
    # On record first: the answer may come, on another association, before the request returns.
    tools.ledger.note_asked(transaction_uid, [one.id for one in asked], now)
    try:
        answer = rule.committer.request(
            transaction_uid, [(one.output.sop_class_uid, one.output.sop_instance_uid) for one in asked]
        )
    except PeerUnavailable as error:
        tools.ledger.note_not_asked(transaction_uid)
        return _down(row, str(error), tools)
    except PeerBusy as error:
        tools.ledger.note_not_asked(transaction_uid)
        _up(row.destination, tools)
        return Retry(str(error), LONGEST_BACKOFF, code="busy")
    except PeerRefused as error:
        tools.ledger.note_not_asked(transaction_uid)
        _up(row.destination, tools)
        return Never(str(error), code="refused")
    _up(row.destination, tools)
    tools.count("commitments", destination=row.destination, outcome="asked")
    structlog.get_logger().info("commitment_asked", destination=row.destination, objects=len(asked))
    if answer is not None:
        tools.ledger.record_commitment(answer, tools.clock())
    return _after_asking(tools.ledger.delivery(row.id), rule, tools)


def _after_asking(row: DeliveryRow, rule: CommitmentRule, tools: DeliveryTools) -> Outcome:
    waits = _waits(row, rule, tools.clock())
    if waits is not None:
        return waits
    reason = "no reason" if row.failure is None else f"reason 0x{row.failure:04X}"
    why = f"{row.destination}: it does not have the object any more ({reason}); it is stored again"
    return Retry(why, code="stored_again")


def _down(row: DeliveryRow, reason: str, tools: DeliveryTools) -> Outcome:
    now = tools.clock()
    if tools.ledger.note_down(row.destination, reason, now, tools.longest_pause):
        tools.count("destination_outages", destination=row.destination)
        structlog.get_logger().error("destination_down", destination=row.destination, reason=reason)
    again = tools.ledger.may_try(row.destination, now, timedelta(0))
    delay = max(again - now, timedelta(0)) if again is not None else timedelta(0)
    return Later(reason, delay, code="unavailable")


def _up(destination: str, tools: DeliveryTools) -> None:
    lasted = tools.ledger.note_up(destination, tools.clock())
    if lasted is not None:
        structlog.get_logger().info("destination_up", destination=destination, after=round(lasted.total_seconds(), 1))
