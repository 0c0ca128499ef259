"""Which files may go, on SQLite and PostgreSQL.

The question is asked twice: once to find candidates, and once more, under the study's lock, before the rows say that
their files are removed. Only then does the caller remove them, so a crash leaves files too many and never too few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select, update

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.upkeep import KeptStudy
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, deliveries, instances, jobs, outputs, studies

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Engine


class SqlRetention:
    """The part of `Upkeep` that removes files."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def removable_studies(self, before: datetime, after: KeptStudy | None, limit: int) -> list[KeptStudy]:
        """See `Upkeep.removable_studies`."""
        query = (
            select(studies.c.last_received_at, studies.c.id)
            .where(studies.c.last_received_at < before, *_needless())
            .order_by(studies.c.last_received_at, studies.c.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(
                studies.c.last_received_at >= after.last_received_at,
                or_(studies.c.last_received_at > after.last_received_at, studies.c.id > after.id),
            )
        with transaction(self._reading) as connection:
            return [KeptStudy(*row) for row in connection.execute(query)]

    def mark_removed(self, study_id: int, now: datetime) -> list[str]:
        """See `Upkeep.mark_removed`."""
        of_study = select(analyses.c.id).where(analyses.c.study_id == study_id)
        with transaction(self._writing) as connection:
            # A statement of its own, so that the next one sees what the last holder of the lock committed.
            connection.execute(select(studies.c.id).where(studies.c.id == study_id).with_for_update())
            mark = update(studies).where(studies.c.id == study_id, *_needless()).values(removed_at=now)
            if connection.execute(mark).rowcount == 0:
                return []
            gone = {"removed_at": now, "missing_at": None}
            keys: list[str] = []
            for table, rows in (
                (instances, instances.c.study_id == study_id),
                (outputs, outputs.c.analysis_id.in_(of_study)),
            ):
                change = update(table).where(rows, table.c.removed_at.is_(None)).values(gone)
                keys += connection.execute(change.returning(table.c.file_key)).scalars()
            return keys


def unfinished() -> ColumnElement[bool]:
    """An analysis of the study whose job is not final."""
    return (
        select(analyses.c.id)
        .outerjoin(jobs, and_(jobs.c.kind == JobKind.ANALYSE, jobs.c.subject_id == analyses.c.id))
        .where(analyses.c.study_id == studies.c.id, _not_final())
        .exists()
    )


def _needless() -> tuple[ColumnElement[bool], ...]:
    """No step that is still to come needs a file of the study, and its results are not here alone."""
    return (
        studies.c.removed_at.is_(None),
        studies.c.open_since.is_(None),
        ~unfinished(),
        ~_on_its_way(),
        ~_only_here(),
    )


def _on_its_way() -> ColumnElement[bool]:
    """A result of the study that does not count as delivered yet, wherever it was to go."""
    return (
        select(outputs.c.id)
        .join(analyses, outputs.c.analysis_id == analyses.c.id)
        .join(deliveries, deliveries.c.output_id == outputs.c.id)
        .outerjoin(jobs, and_(jobs.c.kind == JobKind.DELIVER, jobs.c.subject_id == deliveries.c.id))
        .where(analyses.c.study_id == studies.c.id, _not_final())
        .exists()
    )


def _only_here() -> ColumnElement[bool]:
    """A revision of the study that has results, and nobody was to get any of them: then ours are the only copies."""
    theirs = outputs.alias()
    sent = (
        select(deliveries.c.id)
        .join(theirs, deliveries.c.output_id == theirs.c.id)
        .where(theirs.c.analysis_id == outputs.c.analysis_id)
        .exists()
    )
    return (
        select(outputs.c.id)
        .join(analyses, outputs.c.analysis_id == analyses.c.id)
        .where(analyses.c.study_id == studies.c.id, ~sent)
        .exists()
    )


def _not_final() -> ColumnElement[bool]:
    """Of an outer join with `jobs`. The first half keeps SQLite from beginning with all the jobs there are."""
    return or_(jobs.c.id.is_(None), jobs.c.state.not_in([JobState.DONE, JobState.DISCARDED]))
