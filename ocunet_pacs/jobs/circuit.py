"""A destination's circuit: what it becomes by each event, as pure functions that every adapter applies under its lock.

    up ──nobody answers──▶ down ──a probe is due and somebody may try──▶ probed ──it answers──▶ up
                            ▲                                              │
                            └──── nobody answers, or nothing is heard ─────┘

Several callers may be at it when it goes down, and what they find arrives late and in any order. So of the failures
only the first counts until a probe was due; one that comes beside a probe is taken for the probe's. An answer from
before the failure that opened the circuit does not close it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.ledger import DestinationState

if TYPE_CHECKING:
    from datetime import datetime

FIRST_WAIT = timedelta(seconds=5)
ANSWER_GRAIN = timedelta(minutes=1)
"""`answered_at` is not written for every object: it may be this much too old."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A row of `destinations`."""

    destination: str
    down_since: datetime | None = None
    failures: int = 0
    probe_at: datetime | None = None
    probing: bool = False
    reason: str = ""
    answered_at: datetime | None = None

    @property
    def state(self) -> DestinationState:
        """As a reader sees it."""
        return DestinationState(
            self.destination, self.down_since, self.failures, self.probe_at, self.reason, self.answered_at
        )

    def closed_until(self, now: datetime) -> datetime | None:
        """Before when nobody may try it; None: it is up, or a probe is due."""
        return self.probe_at if self.probe_at is not None and now < self.probe_at else None


def probed(circuit: Circuit, now: datetime, pause: timedelta) -> Circuit:
    """Once somebody was told to try it."""
    return replace(circuit, probing=True, probe_at=now + pause)


def unanswered(circuit: Circuit, reason: str, now: datetime, longest: timedelta) -> Circuit:
    """Once nobody answered; the same where that says nothing new. The wait is `FIRST_WAIT`, doubled with each probe."""
    if circuit.down_since is None:
        return replace(
            circuit, down_since=now, failures=0, probe_at=now + _wait(0, longest), probing=False, reason=reason
        )
    if not circuit.probing and circuit.closed_until(now):
        return circuit
    failures = circuit.failures + 1
    return replace(circuit, failures=failures, probe_at=now + _wait(failures, longest), probing=False, reason=reason)


def answered(circuit: Circuit, now: datetime) -> Circuit:
    """Once it answered; the same where that says nothing new."""
    if circuit.down_since is None:
        last = circuit.answered_at
        return circuit if last is not None and now - last < ANSWER_GRAIN else replace(circuit, answered_at=now)
    if not circuit.probing and now < circuit.down_since:
        return circuit
    return Circuit(circuit.destination, answered_at=now)


def _wait(failures: int, longest: timedelta) -> timedelta:
    return min(FIRST_WAIT * (1 << min(failures, 30)), longest)
