"""Candidates' looks at analyses, on SQLite and PostgreSQL. Nothing here locks a row of a study or of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, insert, or_, select

from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState
from ocunet_pacs.domain.shadow import (
    Candidate,
    Look,
    PastLook,
    ShadowFrame,
    ShadowLedger,
    decode_scores,
    encode_scores,
)
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, jobs, shadow_scores, shadows, studies
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_intake import add_job
from ocunet_pacs.jobs.sql_queue import in_state, move, still_ours
from ocunet_pacs.jobs.transitions import after as becomes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Select

    from ocunet_pacs.domain.job import Job


class SqlShadows(ShadowLedger):
    """`ShadowLedger` over an engine of `open_engine`, whose schema is up to date. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def patients_wait(self, now: datetime) -> bool:
        """See `ShadowLedger.patients_wait`."""
        # Not a bare column: SQLite would go through every analysis that ever was.
        analysing = func.lower(jobs.c.kind) == JobKind.ANALYSE.value
        running = select(jobs.c.id).where(in_state(JobState.RUNNING), analysing).limit(1)
        with transaction(self._reading) as connection:
            return any(connection.execute(query).first() for query in (_due(JobKind.ANALYSE, now), running))

    def look_is_due(self, now: datetime) -> bool:
        """See `ShadowLedger.look_is_due`."""
        with transaction(self._reading) as connection:
            return connection.execute(_due(JobKind.SHADOW, now)).first() is not None

    def enlist(self, candidate: Candidate, since: datetime, now: datetime, max_attempts: int) -> int | None:
        """See `ShadowLedger.enlist`. Where there is nothing it takes no lock."""
        newest = _unseen(candidate, since).order_by(analyses.c.finished_at.desc(), analyses.c.id.desc()).limit(1)
        with transaction(self._reading) as connection:
            analysis_id = connection.execute(newest).scalar_one_or_none()
        if analysis_id is None:
            return None
        with transaction(self._writing) as connection:
            row = insert_into(connection, shadows).values(
                analysis_id=analysis_id,
                bundle_digest=candidate.digest,
                operating_point=candidate.operating_point,
                bundle=candidate.name,
                created_at=now,
            )
            once = row.on_conflict_do_nothing(
                index_elements=[shadows.c.analysis_id, shadows.c.bundle_digest, shadows.c.operating_point]
            )
            look_id = connection.execute(once.returning(shadows.c.id)).scalar_one_or_none()
            if look_id is None:
                return None
            return add_job(connection, JobKind.SHADOW, look_id, max_attempts, now, BACKGROUND)

    def unseen(self, candidate: Candidate, since: datetime) -> int:
        """See `ShadowLedger.unseen`."""
        query = select(func.count()).select_from(_unseen(candidate, since).subquery())
        with transaction(self._reading) as connection:
            return connection.execute(query).scalar_one()

    def look(self, look_id: int) -> Look:
        """See `ShadowLedger.look`."""
        with transaction(self._reading) as connection:
            row = connection.execute(select(shadows).where(shadows.c.id == look_id)).one_or_none()
        if row is None:
            raise KeyError(look_id)
        return Look(row.id, row.analysis_id, Candidate(row.bundle_digest, row.operating_point, row.bundle))

    def finish_look(self, job: Job, frames: Sequence[ShadowFrame], now: datetime, note: str | None = None) -> bool:
        """See `ShadowLedger.finish_look`."""
        if job.kind is not JobKind.SHADOW:
            msg = f"job {job.id} is no shadow but {job.kind}"
            raise ValueError(msg)
        rows = [
            {
                "shadow_id": job.subject_id,
                "sop_instance_uid": frame.sop_instance_uid,
                "frame": frame.frame or 0,
                "scores": None if frame.reason else encode_scores(frame.scores),
                "reason": frame.reason,
            }
            for frame in frames
        ]
        with transaction(self._writing) as connection:
            if connection.execute(select(jobs.c.id).where(still_ours(job)).with_for_update()).first() is None:
                return False
            if rows:
                connection.execute(insert(shadow_scores), rows)
            return move(connection, job, becomes(job, Done(note), now, jitter=0.0))

    def candidates(self) -> list[Candidate]:
        """See `ShadowLedger.candidates`."""
        of_candidate = (shadows.c.bundle_digest, shadows.c.operating_point, shadows.c.bundle)
        query = select(*of_candidate).group_by(*of_candidate).order_by(func.max(shadows.c.id).desc())
        with transaction(self._reading) as connection:
            return [Candidate(*row) for row in connection.execute(query)]

    def past_looks(self, candidate: Candidate, since: datetime | None, after: int, limit: int) -> list[PastLook]:
        """See `ShadowLedger.past_looks`."""
        query = (
            select(
                shadows.c.id,
                jobs.c.id.label("job_id"),
                jobs.c.state,
                jobs.c.reason.label("note"),
                studies.c.study_instance_uid,
                analyses.c.revision,
                analyses.c.finished_at.label("reported_at"),
                analyses.c.result,
            )
            .join_from(shadows, analyses)
            .join(studies)
            .join(jobs, and_(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id == shadows.c.id))
            .where(*_of(candidate), shadows.c.id > after)
            .order_by(shadows.c.id)
            .limit(limit)
        )
        if since is not None:
            query = query.where(analyses.c.finished_at >= since)
        with transaction(self._reading) as connection:
            rows = connection.execute(query).all()
            frames = _frames(connection, [row.id for row in rows])
        return [PastLook(**row._asdict(), frames=tuple(frames.get(row.id, ()))) for row in rows]

    def look_counts(self, candidate: Candidate) -> dict[JobState, int]:
        """See `ShadowLedger.look_counts`."""
        query = (
            select(jobs.c.state, func.count())
            .join_from(shadows, jobs, and_(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id == shadows.c.id))
            .where(*_of(candidate))
            .group_by(jobs.c.state)
        )
        with transaction(self._reading) as connection:
            return {row.state: row[1] for row in connection.execute(query)}

    def last_look(self, candidate: Candidate) -> datetime | None:
        """See `ShadowLedger.last_look`."""
        query = (
            select(jobs.c.finished_at)
            .join_from(shadows, jobs, and_(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id == shadows.c.id))
            .where(*_of(candidate), jobs.c.finished_at.is_not(None))
            .order_by(jobs.c.finished_at.desc())
            .limit(1)
        )
        with transaction(self._reading) as connection:
            return connection.execute(query).scalar_one_or_none()

    def remove_looks(self, before: datetime, limit: int) -> int:
        """See `ShadowLedger.remove_looks`."""
        idle = or_(jobs.c.id.is_(None), jobs.c.finished_at.is_not(None))
        old = (
            select(shadows.c.id)
            .outerjoin(jobs, and_(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id == shadows.c.id))
            .where(shadows.c.created_at < before, idle)
            .order_by(shadows.c.created_at)
            .limit(limit)
        )
        with transaction(self._reading) as connection:
            ids = connection.execute(old).scalars().all()
        if not ids:
            return 0
        with transaction(self._writing) as connection:
            # A person may have let one wait again since it was read.
            finished = jobs.c.finished_at.is_not(None)
            connection.execute(delete(jobs).where(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id.in_(ids), finished))
            busy = select(jobs.c.subject_id).where(jobs.c.kind == JobKind.SHADOW, jobs.c.subject_id.in_(ids))
            gone = [one for one in ids if one not in set(connection.execute(busy).scalars())]
            connection.execute(delete(shadow_scores).where(shadow_scores.c.shadow_id.in_(gone)))
            return connection.execute(delete(shadows).where(shadows.c.id.in_(gone))).rowcount


def _of(candidate: Candidate) -> tuple[ColumnElement[bool], ...]:
    return (shadows.c.bundle_digest == candidate.digest, shadows.c.operating_point == candidate.operating_point)


def _due(kind: JobKind, now: datetime) -> Select[int]:
    return select(jobs.c.id).where(in_state(JobState.WAITING), jobs.c.kind == kind, jobs.c.run_at <= now).limit(1)


def _unseen(candidate: Candidate, since: datetime) -> Select[int]:
    """Ids of the analyses that the candidate may look at and has not. What it costs grows with the window alone."""
    later = analyses.alias()
    newer = (
        select(later.c.id)
        .where(
            later.c.study_id == analyses.c.study_id,
            later.c.revision > analyses.c.revision,
            later.c.key.is_not(None),
        )
        .exists()
    )
    seen = select(shadows.c.id).where(shadows.c.analysis_id == analyses.c.id, *_of(candidate)).exists()
    return (
        select(analyses.c.id)
        .join(studies)
        .where(
            analyses.c.key.is_not(None),
            analyses.c.finished_at >= since,
            studies.c.removed_at.is_(None),
            ~newer,
            ~seen,
        )
    )


def _frames(connection: Connection, look_ids: Sequence[int]) -> dict[int, list[ShadowFrame]]:
    query = select(shadow_scores).where(shadow_scores.c.shadow_id.in_(look_ids)).order_by(shadow_scores.c.id)
    found: dict[int, list[ShadowFrame]] = {}
    for row in connection.execute(query):
        found.setdefault(row.shadow_id, []).append(_frame(row))
    return found


def _frame(row: Row[*tuple[Any, ...]]) -> ShadowFrame:
    reason = None if row.reason is None else ReasonCode(row.reason)
    scores = () if row.scores is None else decode_scores(row.scores)
    return ShadowFrame(row.sop_instance_uid, row.frame or None, scores, reason)
