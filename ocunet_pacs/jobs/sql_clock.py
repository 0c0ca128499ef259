"""Times that a clock wrote which was put back since, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, case, literal, or_, select, update

from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.upkeep import CLOCKS_DIFFER
from ocunet_pacs.jobs.columns import UtcDateTime
from ocunet_pacs.jobs.schema import deliveries, destinations, jobs, studies
from ocunet_pacs.jobs.sql_queue import in_order, in_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Update

    from ocunet_pacs.domain.upkeep import LongestWaits


def mend_times(connection: Connection, now: datetime, longest: LongestWaits) -> int:
    """See `Upkeep.mend_times`."""
    return sum(connection.execute(statement).rowcount for statement in _statements(now, longest))


def _statements(now: datetime, longest: LongestWaits) -> Iterator[Update]:
    late = and_(in_state(JobState.WAITING), jobs.c.run_at > now + longest.job)
    yield update(jobs).where(jobs.c.id.in_(in_order(select(jobs.c.id).where(late))), late).values(run_at=now)
    held = and_(in_state(JobState.RUNNING), jobs.c.lease_expires_at > now + longest.lease)
    renewed = {"lease_expires_at": now + longest.lease}
    yield update(jobs).where(jobs.c.id.in_(in_order(select(jobs.c.id).where(held))), held).values(renewed)
    ahead = now + CLOCKS_DIFFER
    quiet = or_(studies.c.open_since > ahead, studies.c.quiet_until > now + longest.quiet)
    yield (
        update(studies)
        .where(studies.c.open_since.is_not(None), quiet)
        .values(
            open_since=_at_most(studies.c.open_since, now),
            last_received_at=_at_most(studies.c.last_received_at, now),
            quiet_until=_at_most(studies.c.quiet_until, now + longest.quiet),
        )
    )
    # An answer that seems to come from before the failure would not take the destination up.
    down = or_(destinations.c.down_since > ahead, destinations.c.probe_at > now + longest.job)
    mended = {
        "down_since": _at_most(destinations.c.down_since, now),
        "probe_at": _at_most(destinations.c.probe_at, now),
    }
    yield update(destinations).where(destinations.c.down_since.is_not(None), down).values(mended)
    uncommitted = and_(
        deliveries.c.stored_at.is_not(None), deliveries.c.committed_at.is_(None), deliveries.c.failure.is_(None)
    )
    asked = or_(deliveries.c.asked_at > ahead, deliveries.c.stored_at > ahead)
    moments = {column.name: _at_most(column, now) for column in (deliveries.c.stored_at, deliveries.c.asked_at)}
    yield update(deliveries).where(uncommitted, asked).values(moments)


def _at_most(column: ColumnElement[Any], moment: datetime) -> ColumnElement[Any]:
    """NULL stays NULL."""
    latest = literal(moment, UtcDateTime())
    return case((column > latest, latest), else_=column)
