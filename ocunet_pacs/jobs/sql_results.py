"""What was made of a study, on SQLite and PostgreSQL: analyses, and outputs with their destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select, update

from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.ledger import AnalysisRow, Finish
from ocunet_pacs.domain.result import Output, OutputKind
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, deliveries, instances, jobs, outputs, studies
from ocunet_pacs.jobs.sql_deliveries import OUTPUT
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_intake import add_job, as_stored, stored_instances
from ocunet_pacs.jobs.sql_queue import move, still_ours
from ocunet_pacs.jobs.transitions import after, delivery_priority

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import Addressed
    from ocunet_pacs.domain.study import StoredInstance

_PAGE = 1000


class SqlResults:
    """The part of `Ledger` that analysing uses."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def analysis(self, analysis_id: int) -> AnalysisRow:
        """See `Ledger.analysis`."""
        query = (
            select(
                analyses.c.id,
                analyses.c.study_id,
                studies.c.study_instance_uid,
                analyses.c.revision,
                analyses.c.key,
                analyses.c.finished_at,
                analyses.c.result,
                studies.c.revision.label("newest_revision"),
                studies.c.conflict_at.is_not(None).label("patient_conflict"),
                analyses.c.urgency,
                studies.c.patient_digest,
            )
            .join_from(analyses, studies)
            .where(analyses.c.id == analysis_id)
        )
        with transaction(self._reading) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise KeyError(analysis_id)
        return AnalysisRow(**row._asdict())

    def analysis_instances(self, analysis_id: int) -> list[StoredInstance]:
        """See `Ledger.analysis_instances`."""
        query = (
            stored_instances()
            .join(analyses, analyses.c.study_id == studies.c.id)
            .where(
                analyses.c.id == analysis_id,
                instances.c.opens_study.is_(True),
                instances.c.revision <= analyses.c.revision,
            )
            .order_by(instances.c.ordinal)
        )
        with transaction(self._reading) as connection:
            return [as_stored(row) for row in connection.execute(query)]

    def newest_revision(self, study_instance_uid: str) -> int:
        """See `Ledger.newest_revision`."""
        query = select(func.max(studies.c.revision)).where(studies.c.study_instance_uid == study_instance_uid)
        with transaction(self._reading) as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def predecessor(self, analysis_id: int) -> tuple[int, tuple[Output, ...]] | None:
        """See `Ledger.predecessor`."""
        with transaction(self._reading) as connection:
            return _predecessor(connection, analysis_id)

    def finish_analysis(
        self,
        job: Job,
        *,
        key: str,
        result: str,
        outputs: Sequence[Addressed],
        expected_predecessor: int | None,
        delivery_attempts: int,
        now: datetime,
        note: str | None = None,
        urgency: Urgency | None = None,
        bundle_digest: str = "",
    ) -> Finish:
        """See `Ledger.finish_analysis`. When another analysis holds `key` already, nothing is added: APPLIED."""
        finished = {"finished_at": now, "urgency": urgency, "bundle_digest": bundle_digest}
        with transaction(self._writing) as connection:
            if not _lock_for_finish(connection, job):
                return Finish.LOST
            this = analyses.c.id == job.subject_id
            if _superseded(connection, job.subject_id):
                connection.execute(update(analyses).where(this).values(superseded=True))
                move(connection, job, after(job, Done("a later revision is finished already"), now, jitter=0.0))
                return Finish.SUPERSEDED
            predecessor = _predecessor(connection, job.subject_id)
            if (None if predecessor is None else predecessor[0]) != expected_predecessor:
                return Finish.PREDECESSOR_CHANGED
            twin = connection.execute(select(analyses.c.id).where(analyses.c.key == key)).scalar_one_or_none()
            if twin is not None:
                connection.execute(update(analyses).where(this).values(finished))
                move(connection, job, after(job, Done(f"analysis {twin} is the same work"), now, jitter=0.0))
                return Finish.APPLIED
            connection.execute(update(analyses).where(this).values(key=key, result=result, **finished))
            priority = delivery_priority(job, urgency)
            for made in outputs:
                output_id = _add_output(connection, job.subject_id, made.output, now)
                _add_deliveries(connection, output_id, made.destinations, delivery_attempts, now, priority)
            move(connection, job, after(job, Done(note), now, jitter=0.0))
            return Finish.APPLIED

    def named_results(self, file_keys: Collection[str]) -> set[str]:
        """See `Ledger.named_results`."""
        query = select(outputs.c.file_key).where(outputs.c.file_key.in_(list(file_keys)))
        with transaction(self._reading) as connection:
            return set(connection.execute(query).scalars())

    def output_uids(self) -> Iterator[str]:
        """See `Ledger.output_uids`. In pages, so that no transaction stays open while the caller works."""
        last = 0
        while True:
            query = select(outputs.c.id, outputs.c.sop_instance_uid).where(outputs.c.id > last)
            with transaction(self._reading) as connection:
                page = connection.execute(query.order_by(outputs.c.id).limit(_PAGE)).all()
            if not page:
                return
            last = page[-1].id
            yield from (row.sop_instance_uid for row in page)

    def is_output(self, sop_instance_uid: str) -> bool:
        """See `Ledger.is_output`."""
        query = select(outputs.c.id).where(outputs.c.sop_instance_uid == sop_instance_uid)
        with transaction(self._reading) as connection:
            return connection.execute(query).first() is not None


def _add_output(connection: Connection, analysis_id: int, output: Output, now: datetime) -> int:
    """Add the row, unless its SOP Instance UID is there already (an image's heatmap outlives a revision); its id.

    A row whose file was removed or missing gets the one that was just written.
    """
    insert = insert_into(connection, outputs).values(
        analysis_id=analysis_id,
        kind=output.kind,
        sop_class_uid=output.sop_class_uid,
        sop_instance_uid=output.sop_instance_uid,
        series_instance_uid=output.series_instance_uid,
        file_key=output.file_key,
        form=output.form,
        created_at=now,
    )
    insert_once = insert.on_conflict_do_nothing(index_elements=[outputs.c.sop_instance_uid])
    output_id: int | None = connection.execute(insert_once.returning(outputs.c.id)).scalar_one_or_none()
    if output_id is None:
        known = outputs.c.sop_instance_uid == output.sop_instance_uid
        lost = or_(outputs.c.removed_at.is_not(None), outputs.c.missing_at.is_not(None))
        connection.execute(
            update(outputs).where(known, lost).values(file_key=output.file_key, removed_at=None, missing_at=None)
        )
        output_id = connection.execute(select(outputs.c.id).where(known)).scalar_one()
    return output_id


def _add_deliveries(
    connection: Connection,
    output_id: int,
    destinations: Sequence[str],
    max_attempts: int,
    now: datetime,
    priority: int,
) -> None:
    """To those destinations that the output was not sent to yet."""
    for destination in dict.fromkeys(destinations):
        insert = insert_into(connection, deliveries).values(output_id=output_id, destination=destination)
        insert_once = insert.on_conflict_do_nothing(index_elements=[deliveries.c.output_id, deliveries.c.destination])
        delivery_id = connection.execute(insert_once.returning(deliveries.c.id)).scalar_one_or_none()
        if delivery_id is not None:
            add_job(connection, JobKind.DELIVER, delivery_id, max_attempts, now, priority)


def _lock_for_finish(connection: Connection, job: Job) -> bool:
    """Lock the study's row, then the job's; whether the job is still ours."""
    if job.kind is not JobKind.ANALYSE:
        msg = f"job {job.id} is no analysis but {job.kind}"
        raise ValueError(msg)
    study_of = select(analyses.c.study_id).where(analyses.c.id == job.subject_id).scalar_subquery()
    connection.execute(select(studies.c.id).where(studies.c.id == study_of).with_for_update())
    mine = connection.execute(select(jobs.c.id).where(still_ours(job)).with_for_update())
    return mine.first() is not None


def _superseded(connection: Connection, analysis_id: int) -> bool:
    this = analyses.alias()
    query = (
        select(analyses.c.id)
        .join(this, and_(analyses.c.study_id == this.c.study_id, analyses.c.revision > this.c.revision))
        .where(this.c.id == analysis_id, analyses.c.finished_at.is_not(None))
    )
    return connection.execute(query).first() is not None


def _predecessor(connection: Connection, analysis_id: int) -> tuple[int, tuple[Output, ...]] | None:
    this = analyses.alias()
    query = (
        select(analyses.c.id, *OUTPUT)
        .join(this, and_(analyses.c.study_id == this.c.study_id, analyses.c.revision < this.c.revision))
        .join(outputs, outputs.c.analysis_id == analyses.c.id)
        .where(this.c.id == analysis_id, analyses.c.finished_at.is_not(None), outputs.c.kind == OutputKind.REPORT)
        .order_by(analyses.c.revision.desc(), outputs.c.id)
    )
    # A study has few revisions, and each few reports.
    rows = connection.execute(query).all()
    return (rows[0][0], tuple(Output(*row[1:]) for row in rows if row[0] == rows[0][0])) if rows else None
