"""How destinations stand, on SQLite and PostgreSQL.

Whoever changes a destination's row holds its lock until it commits (on SQLite, the write lock of the whole file), so of
many who find it down one opens its circuit, and of many who would try it one may. Most calls find a circuit that is
closed, and only read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select, union_all, update

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.circuit import Circuit, answered, probed, unanswered
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import deliveries, destinations, jobs
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_queue import hasten, in_order, in_state

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any

    from sqlalchemy import ColumnElement, CompoundSelect, Connection, Engine, Select

    from ocunet_pacs.domain.ledger import DestinationState


class SqlDestinations:
    """The part of `Ledger` that knows whether anybody answers."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def may_try(self, destination: str, now: datetime, pause: timedelta) -> datetime | None:
        """See `Ledger.may_try`. Whoever may has what else waits for the destination put off until the next may."""
        found = self._look(destination)
        if found.down_since is None or found.closed_until(now):
            return found.closed_until(now)
        with transaction(self._writing) as connection:
            before = _locked(connection, destination)
            if before.down_since is None or before.closed_until(now):
                return before.closed_until(now)
            _put_off(connection, _store(connection, probed(before, now, pause)))
            return None

    def note_down(self, destination: str, reason: str, now: datetime, longest: timedelta) -> bool:
        """See `Ledger.note_down`. Only the first failure counts until somebody was to try again."""
        with transaction(self._writing) as connection:
            before = _locked(connection, destination)
            after = unanswered(before, reason, now, longest)
            if after != before:
                _put_off(connection, _store(connection, after))
            return before.down_since is None

    def note_up(self, destination: str, now: datetime) -> timedelta | None:
        """See `Ledger.note_up`. An answer from before the circuit was opened, by no probe, does not close it."""
        found = self._look(destination)
        if answered(found, now) == found:
            return None
        with transaction(self._writing) as connection:
            before = _locked(connection, destination)
            after = _store(connection, answered(before, now))
            if before.down_since is None or after.down_since is not None:
                return None
            hasten(connection, _unfinished(destination), now)
            return max(now - before.down_since, now - now)

    def destination_states(self) -> list[DestinationState]:
        """See `Ledger.destination_states`."""
        with transaction(self._reading) as connection:
            found = [Circuit(**row._asdict()).state for row in connection.execute(select(*destinations.c))]
        # Not sorted by the database: PostgreSQL has its own idea of the alphabet.
        return sorted(found, key=lambda state: state.name)

    def _look(self, destination: str) -> Circuit:
        with transaction(self._reading) as connection:
            row = connection.execute(_row(destination)).one_or_none()
        return Circuit(destination) if row is None else Circuit(**row._asdict())


def _row(destination: str) -> Select[*tuple[Any, ...]]:
    return select(*destinations.c).where(destinations.c.destination == destination)


def _locked(connection: Connection, destination: str) -> Circuit:
    """The row, made where it was not there, with its lock."""
    new = insert_into(connection, destinations).values(asdict(Circuit(destination)))
    connection.execute(new.on_conflict_do_nothing(index_elements=[destinations.c.destination]))
    return Circuit(**connection.execute(_row(destination).with_for_update()).one()._asdict())


def _store(connection: Connection, circuit: Circuit) -> Circuit:
    mine = destinations.c.destination == circuit.destination
    connection.execute(update(destinations).where(mine).values(asdict(circuit)))
    return circuit


def _put_off(connection: Connection, circuit: Circuit) -> None:
    """What waits for the destination is not due before its next probe."""
    waiting = and_(in_state(JobState.WAITING), jobs.c.run_at < circuit.probe_at)
    ids = _of(circuit.destination, waiting, jobs.c.kind == JobKind.DELIVER)
    change = update(jobs).where(jobs.c.id.in_(in_order(ids)), waiting)
    connection.execute(change.values(run_at=circuit.probe_at))


def _unfinished(destination: str) -> CompoundSelect[int]:
    waiting = _of(destination, in_state(JobState.WAITING), jobs.c.kind == JobKind.DELIVER)
    # Not a bare column: SQLite would go through every delivery that ever was, and not through what runs.
    of_kind = func.lower(jobs.c.kind) == JobKind.DELIVER.value
    return union_all(
        waiting, _of(destination, in_state(JobState.RUNNING), jobs.c.lease_expires_at.is_not(None), of_kind)
    )


def _of(destination: str, *which: ColumnElement[bool]) -> Select[int]:
    """Ids of jobs for the destination. Those that wait or run are few and found by their own indexes."""
    return (
        select(jobs.c.id)
        .join(deliveries, deliveries.c.id == jobs.c.subject_id)
        .where(*which, deliveries.c.destination == destination)
    )
