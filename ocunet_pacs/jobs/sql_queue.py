"""The queue on SQLite and PostgreSQL: one guarded statement for each move, the same on both.

A guarded statement names in its WHERE what the caller believes, and changes nothing when that is no longer so. That
holds without further locks on PostgreSQL (READ COMMITTED: a statement that waited for a row looks at its new version
again) and on SQLite (one writer at a time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import String, and_, bindparam, case, false, func, literal, select, true, union_all, update

from ocunet_pacs.domain.job import Job, JobKind, JobQueue, JobState, Later
from ocunet_pacs.jobs.clock import QueueClock
from ocunet_pacs.jobs.columns import UtcDateTime
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import job_tallies, jobs
from ocunet_pacs.jobs.transitions import after, taken_away

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from sqlalchemy import ColumnElement, CompoundSelect, Connection, Engine, Row, Select

    from ocunet_pacs.domain.job import Outcome

JOB = tuple(column for column in jobs.c if column is not jobs.c.hastened)
"""What `as_job` needs."""


class SqlQueue(JobQueue):
    """`JobQueue` over an engine of `open_engine`, whose schema is up to date. Threads may share it; forks may not.

    `clock` tells the time that all hosts of this queue go by: every `now` of the queue and of the ledgers is of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)
        self.clock = QueueClock(self._reading)

    def claim(self, kinds: Sequence[JobKind], owner: str, now: datetime, lease: timedelta) -> Job | None:
        """See `JobQueue.claim`. Rows that another worker is claiming right now are skipped, not waited for."""
        first_due = (
            select(jobs.c.id)
            .where(in_state(JobState.WAITING), jobs.c.kind.in_(kinds), jobs.c.run_at <= now)
            .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        take = (
            update(jobs)
            .where(jobs.c.id == first_due)
            .values(
                state=JobState.RUNNING,
                attempt=jobs.c.attempt + 1,
                lease_owner=owner,
                lease_expires_at=now + lease,
                hastened=False,
            )
            .returning(*JOB)
        )
        with transaction(self._writing) as connection:
            row = connection.execute(take).one_or_none()
        return None if row is None else as_job(row)

    def renew(self, job: Job, now: datetime, lease: timedelta) -> bool:
        """See `JobQueue.renew`."""
        extend = update(jobs).where(still_ours(job)).values(lease_expires_at=now + lease)
        with transaction(self._writing) as connection:
            return connection.execute(extend).rowcount == 1

    def finish(self, job: Job, outcome: Outcome, now: datetime, jitter: float) -> bool:
        """See `JobQueue.finish`. What a step puts off is due at once where its job was hastened meanwhile."""
        becomes = after(job, outcome, now, jitter)
        run_at: ColumnElement[Any] = literal(becomes.run_at, UtcDateTime())
        if isinstance(outcome, Later):
            run_at = case((jobs.c.hastened, literal(min(now, becomes.run_at), UtcDateTime())), else_=run_at)
        with transaction(self._writing) as connection:
            return move(connection, job, becomes, run_at=run_at)

    def reap(self, now: datetime, is_gone: Callable[[str], bool]) -> int:
        """See `JobQueue.reap`. Asks `is_gone` once for each owner, outside the write transaction."""
        with transaction(self._reading) as connection:
            running_first_to_expire = (
                select(*JOB).where(in_state(JobState.RUNNING)).order_by(jobs.c.lease_expires_at, jobs.c.id)
            )
            running = [as_job(row) for row in connection.execute(running_first_to_expire)]
        gone = {owner for owner in {job.lease_owner for job in running} if owner is not None and is_gone(owner)}
        lost = [job for job in running if job.lease_owner in gone or _expired(job, now)]
        if not lost:
            return 0
        with transaction(self._writing) as connection:
            # A lease that was renewed since it was read is not taken: its owner lives.
            return sum(
                move(connection, job, taken_away(job, now), jobs.c.lease_expires_at == job.lease_expires_at)
                for job in lost
            )

    def get(self, job_id: int) -> Job | None:
        """See `JobQueue.get`."""
        with transaction(self._reading) as connection:
            row = connection.execute(select(*JOB).where(jobs.c.id == job_id)).one_or_none()
        return None if row is None else as_job(row)

    def find(self, *, state: JobState | None = None, kind: JobKind | None = None, limit: int = 100) -> list[Job]:
        """See `JobQueue.find`."""
        with transaction(self._reading) as connection:
            return [as_job(row) for row in connection.execute(newest(state, kind, limit=limit))]

    def retry(self, job_id: int, now: datetime) -> bool:
        """See `JobQueue.retry`."""
        again = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == JobState.DEAD)
            .values(state=JobState.WAITING, attempt=0, run_at=now, finished_at=None)
        )
        with transaction(self._writing) as connection:
            return connection.execute(again).rowcount == 1

    def discard(self, job_id: int, now: datetime) -> bool:
        """See `JobQueue.discard`. The reason why it died stays."""
        away = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == JobState.DEAD)
            .values(state=JobState.DISCARDED, finished_at=now)
        )
        with transaction(self._writing) as connection:
            return connection.execute(away).rowcount == 1

    def counts(self) -> dict[tuple[JobKind, JobState], int]:
        """See `JobQueue.counts`."""
        total = func.sum(job_tallies.c.number)
        query = select(job_tallies.c.kind, job_tallies.c.state, total).group_by(job_tallies.c.kind, job_tallies.c.state)
        with transaction(self._reading) as connection:
            return {(kind, state): int(number) for kind, state, number in connection.execute(query.having(total != 0))}


def still_ours(job: Job) -> ColumnElement[bool]:
    """The guard: the row is still running, leased to the owner that `job` names, in the same attempt."""
    return and_(
        jobs.c.id == job.id,
        jobs.c.state == JobState.RUNNING,
        jobs.c.lease_owner == job.lease_owner,
        jobs.c.attempt == job.attempt,
    )


def move(
    connection: Connection,
    job: Job,
    becomes: Job,
    *also: ColumnElement[bool],
    run_at: ColumnElement[Any] | None = None,
) -> bool:
    """Write what the running `job` becomes, if it is still ours (and `also` holds); whether it was.

    `run_at` in place of the one in `becomes`.
    """
    change = (
        update(jobs)
        .where(still_ours(job), *also)
        .values(
            state=becomes.state,
            attempt=becomes.attempt,
            run_at=becomes.run_at if run_at is None else run_at,
            lease_owner=becomes.lease_owner,
            lease_expires_at=becomes.lease_expires_at,
            finished_at=becomes.finished_at,
            reason=becomes.reason,
        )
    )
    return connection.execute(change).rowcount == 1


def in_order(ids: Select[int] | CompoundSelect[int]) -> Select[int]:
    """The same jobs, locked in their order: two who change several never wait for each other."""
    return select(jobs.c.id).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update()


def hasten(connection: Connection, ids: Select[int] | CompoundSelect[int], now: datetime) -> None:
    """Of these jobs those that wait are due now; those that run are due at once when their step puts them off.

    One statement for both, so that none slips through by moving from one state to the other.
    """
    waiting = in_state(JobState.WAITING)
    change = update(jobs).where(jobs.c.id.in_(in_order(ids)), jobs.c.finished_at.is_(None))
    connection.execute(
        change.values(
            run_at=case((and_(waiting, jobs.c.run_at > now), literal(now, UtcDateTime())), else_=jobs.c.run_at),
            hastened=case((waiting, false()), else_=true()),
        )
    )


def as_job(row: Row[*tuple[object, ...]]) -> Job:
    """The job in a row that holds `JOB`, whatever else it holds; the columns are named as the fields are."""
    return Job(**{column.name: getattr(row, column.name) for column in JOB})


def in_state(state: JobState) -> ColumnElement[bool]:
    """With the state as a literal in the statement: a partial index is not used for a value that is bound later."""
    return jobs.c.state == bindparam(None, state, jobs.c.state.type, literal_execute=True)


def newest(
    state: JobState | None = None, kind: JobKind | None = None, *, before: int | None = None, limit: int
) -> Select[*tuple[Any, ...]]:
    """Rows of `JOB`, newest first; those with an id below `before`.

    Jobs of one state and kind stand together in an index, in the order of their ids. As many of each as fill the page
    are taken from there and merged, so a list costs the same whatever there is of what it does not show.
    """
    page = select(*JOB).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        page = page.where(jobs.c.id < before)
    if state is None and kind is None:
        return page
    runs = [
        page.where(run_of(one, of)).subquery()
        for one in ([state] if state else JobState)
        for of in ([kind] if kind else JobKind)
    ]
    merged = union_all(*(select(run) for run in runs)).subquery()
    return select(merged).order_by(merged.c.id.desc()).limit(limit)


def run_of(state: JobState, kind: JobKind) -> ColumnElement[bool]:
    """Of that state and kind, in the words of the index that holds them."""
    if state is JobState.DONE:
        # Not a bare column: see the index.
        of_kind = func.lower(jobs.c.kind) == bindparam(None, kind.value, String(), literal_execute=True)
        return and_(in_state(state), of_kind)
    return and_(in_state(state), _not_done(), jobs.c.kind == kind)


def _not_done() -> ColumnElement[bool]:
    """The condition of the index of what is not done: SQLite must be told it beside the state that is looked for."""
    return jobs.c.state != bindparam(None, JobState.DONE, jobs.c.state.type, literal_execute=True)


def _expired(job: Job, now: datetime) -> bool:
    return job.lease_expires_at is not None and job.lease_expires_at <= now
