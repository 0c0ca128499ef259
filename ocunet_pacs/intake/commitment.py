"""Reports of storage commitment (PS3.4 section J.3.3): an archive says what it keeps of what we sent, on its own time.

It associates with us, which is why this is part of the listener, and proposes the SCP's role for itself.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import structlog
from pynetdicom.presentation import build_context

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.imaging.commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    SOP_CLASS,
    TRANSFER_SYNTAXES,
    read_commitment,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pynetdicom.events import Event
    from pynetdicom.presentation import PresentationContext

    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.result import Commitment


class EventStatus(IntEnum):
    """How a report is answered (PS3.7 section 10.1.1.1.8)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115
    NO_SUCH_SOP_CLASS = 0x0118
    UNRECOGNISED_OPERATION = 0x0211


def supported_context() -> PresentationContext:
    """Storage Commitment Push Model with the roles turned round: who associates is the provider, we are the user."""
    context = build_context(SOP_CLASS, list(TRANSFER_SYNTAXES))
    context.scu_role, context.scp_role = False, True
    return context


def refuse_to_commit(_event: Event) -> tuple[int, None]:
    """The answer to an N-ACTION: nobody gets a commitment from us."""
    return int(EventStatus.UNRECOGNISED_OPERATION), None


class CommitmentReports:
    """Takes reports into the ledger. Used by many threads at once.

    An association learns of a report's fate by its status: success only once the rows are committed, a processing
    failure while the database cannot be asked, so that the archive says it again.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], datetime], count: Count) -> None:
        self._ledger = ledger
        self._now = now
        self._count = count

    def receive(self, destination: str, event_type: int, content: bytes, transfer_syntax_uid: str) -> EventStatus:
        """The answer to a report of `destination`. Logs one line, counts, and never raises.

        A transaction that the ledger does not know is acknowledged, and nothing else: it was given up when its answer
        took too long, or it is settled and the archive did not hear us say so; no repetition would change that.
        """
        log = structlog.get_logger().bind(destination=destination)
        if event_type not in {ALL_COMMITTED, FAILURES_EXIST}:
            return self._refuse(log, destination, EventStatus.NO_SUCH_EVENT_TYPE, "no such event type")
        try:
            commitment = read_commitment(content, transfer_syntax_uid)
            settled = self._ledger.record_commitment(commitment, self._now())
        except BadInput as error:
            return self._refuse(log, destination, EventStatus.INVALID_ARGUMENT_VALUE, error.reason.detail)
        except Exception:
            # The database is away; and whatever else one report does to it, the listener must survive.
            log.exception("commitment_not_recorded")
        else:
            self._said(log, destination, commitment, settled)
            return EventStatus.SUCCESS
        self._count("commitments", destination=destination, outcome="not_recorded")
        return EventStatus.PROCESSING_FAILURE

    def _said(
        self, log: structlog.typing.FilteringBoundLogger, destination: str, commitment: Commitment, settled: int
    ) -> None:
        outcome = "unknown" if not settled else "failed" if commitment.failed else "committed"
        self._count("commitments", destination=destination, outcome=outcome)
        (log.info if outcome == "committed" else log.warning)(
            "commitment_unknown" if outcome == "unknown" else "commitment_reported",
            committed=len(commitment.committed),
            failed=len(commitment.failed),
            reasons=sorted({f"0x{reason:04X}" for reason in commitment.failed.values()}),
            deliveries=settled,
        )

    def _refuse(
        self, log: structlog.typing.FilteringBoundLogger, destination: str, status: EventStatus, reason: str
    ) -> EventStatus:
        log.warning("commitment_refused", status=f"0x{status:04X}", reason=reason)
        self._count("commitments", destination=destination, outcome="refused")
        return status
