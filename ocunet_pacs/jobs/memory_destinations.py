"""How destinations stand, in memory: what `sql_destinations` does, as plain assignments under one lock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.circuit import Circuit, answered, probed, unanswered
from ocunet_pacs.jobs.memory_deliveries import MemoryDeliveries
from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from threading import RLock

    from ocunet_pacs.domain.ledger import DestinationState


class MemoryDestinations(MemoryDeliveries):
    """The part of `Ledger` that knows whether anybody answers."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._circuits: dict[str, Circuit] = {}

    def may_try(self, destination: str, now: datetime, pause: timedelta) -> datetime | None:
        """See `Ledger.may_try`. Whoever may has what else waits for the destination put off until the next may."""
        with self._lock:
            before = self._circuit(destination)
            if before.down_since is None or before.closed_until(now):
                return before.closed_until(now)
            self._put_off(probed(before, now, pause))
            return None

    def note_down(self, destination: str, reason: str, now: datetime, longest: timedelta) -> bool:
        """See `Ledger.note_down`. Only the first failure counts until somebody was to try again."""
        with self._lock:
            before = self._circuit(destination)
            after = unanswered(before, storable(reason), now, longest)
            if after != before:
                self._put_off(after)
            return before.down_since is None

    def note_up(self, destination: str, now: datetime) -> timedelta | None:
        """See `Ledger.note_up`. An answer from before the circuit was opened, by no probe, does not close it."""
        with self._lock:
            before = self._circuit(destination)
            after = self._circuits[destination] = answered(before, now)
            if before.down_since is None or after.down_since is not None:
                return None
            self._hasten(JobKind.DELIVER, self._bound_for(destination), now)
            return max(now - before.down_since, now - now)

    def destination_states(self) -> list[DestinationState]:
        """See `Ledger.destination_states`."""
        with self._lock:
            return [self._circuits[name].state for name in sorted(self._circuits)]

    def _circuit(self, destination: str) -> Circuit:
        return self._circuits.get(destination) or Circuit(destination)

    def _put_off(self, circuit: Circuit) -> None:
        self._circuits[circuit.destination] = circuit
        assert circuit.probe_at is not None
        going = self._bound_for(circuit.destination)
        for job in self._jobs.values():
            if job.kind is JobKind.DELIVER and job.state is JobState.WAITING and job.subject_id in going:
                self._jobs[job.id] = replace(job, run_at=max(job.run_at, circuit.probe_at))

    def _bound_for(self, destination: str) -> set[int]:
        return {row.id for row in self._deliveries.values() if row.destination == destination}
