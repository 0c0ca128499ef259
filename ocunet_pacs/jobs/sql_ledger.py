"""The ledger on SQLite and PostgreSQL.

Whatever changes a study holds the lock of its row in `studies` until it commits (on SQLite, the write lock of the whole
file). So an image that arrives while its study is being closed is either in the new revision or opens the study again,
and of two revisions that finish at once the second sees the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ocunet_pacs.domain.job import Done, JobKind, JobState
from ocunet_pacs.domain.ledger import AnalysisRow, DeliveryRow, Finish
from ocunet_pacs.domain.ports import Ledger
from ocunet_pacs.domain.result import Output, OutputKind
from ocunet_pacs.domain.study import OpenStudy, StoredInstance
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import UtcDateTime, analyses, deliveries, instances, jobs, outputs, studies
from ocunet_pacs.jobs.sql_queue import move, still_ours
from ocunet_pacs.jobs.transitions import after

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from sqlalchemy import Connection, Engine, Select, Table

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.study import ReceivedInstance

_PAGE = 1000

_STORED = (
    instances.c.id,
    studies.c.study_instance_uid,
    instances.c.series_instance_uid,
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    instances.c.transfer_syntax_uid,
    instances.c.file_key,
    instances.c.ordinal,
)
_OUTPUT = (
    outputs.c.kind,
    outputs.c.sop_class_uid,
    outputs.c.sop_instance_uid,
    outputs.c.series_instance_uid,
    outputs.c.file_key,
)


class SqlLedger(Ledger):
    """`Ledger` over an engine of `open_engine`, whose schema is up to date. Threads may share it; forks may not."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def record_instance(self, instance: ReceivedInstance) -> bool:
        """See `Ledger.record_instance`. A UID that any study holds already changes nothing."""
        with transaction(self._writing) as connection:
            study_id = _touch_study(connection, instance)
            added = _add_instance(connection, study_id, instance)
            if not added:
                connection.rollback()
            return added

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """See `Ledger.find_instance`."""
        query = _stored_instances().where(instances.c.sop_instance_uid == sop_instance_uid)
        with transaction(self._reading) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else StoredInstance(**row._asdict())

    def studies_due(self, now: datetime, quiet_period: timedelta, force_after: timedelta) -> list[OpenStudy]:
        """See `Ledger.studies_due`. The one that has been open longest comes first."""
        query = (
            select(studies.c.id, studies.c.study_instance_uid, studies.c.open_since, studies.c.last_received_at)
            .where(
                studies.c.open_since.is_not(None),
                (studies.c.last_received_at <= now - quiet_period) | (studies.c.open_since <= now - force_after),
            )
            .order_by(studies.c.open_since, studies.c.id)
        )
        with transaction(self._reading) as connection:
            return [OpenStudy(**row._asdict()) for row in connection.execute(query)]

    def close_study(self, study: OpenStudy, now: datetime, max_attempts: int) -> int | None:
        """See `Ledger.close_study`."""
        close = (
            update(studies)
            .where(
                studies.c.id == study.id,
                studies.c.open_since == study.open_since,
                studies.c.last_received_at == study.last_received_at,
            )
            .values(open_since=None, revision=studies.c.revision + 1)
            .returning(studies.c.revision)
        )
        with transaction(self._writing) as connection:
            revision = connection.execute(close).scalar_one_or_none()
            if revision is None:
                return None
            connection.execute(
                update(instances)
                .where(instances.c.study_id == study.id, instances.c.revision.is_(None))
                .values(revision=revision)
            )
            analysis_id = connection.execute(
                analyses.insert()
                .values(study_id=study.id, revision=revision, superseded=False, created_at=now)
                .returning(analyses.c.id)
            ).scalar_one()
            return _add_job(connection, JobKind.ANALYSE, analysis_id, max_attempts, now)

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
            _stored_instances()
            .join(analyses, analyses.c.study_id == studies.c.id)
            .where(
                analyses.c.id == analysis_id,
                instances.c.opens_study.is_(True),
                instances.c.revision <= analyses.c.revision,
            )
            .order_by(instances.c.ordinal)
        )
        with transaction(self._reading) as connection:
            return [StoredInstance(**row._asdict()) for row in connection.execute(query)]

    def newest_revision(self, study_instance_uid: str) -> int:
        """See `Ledger.newest_revision`."""
        query = select(studies.c.revision).where(studies.c.study_instance_uid == study_instance_uid)
        with transaction(self._reading) as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def predecessor(self, analysis_id: int) -> tuple[int, Output] | None:
        """See `Ledger.predecessor`."""
        with transaction(self._reading) as connection:
            return _predecessor(connection, analysis_id)

    def finish_analysis(
        self,
        job: Job,
        *,
        key: str,
        result: str,
        outputs: Sequence[Output],
        destinations: Sequence[str],
        expected_predecessor: int | None,
        delivery_attempts: int,
        now: datetime,
        note: str | None = None,
    ) -> Finish:
        """See `Ledger.finish_analysis`. When another analysis holds `key` already, nothing is added: APPLIED."""
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
                connection.execute(update(analyses).where(this).values(finished_at=now))
                move(connection, job, after(job, Done(f"analysis {twin} is the same work"), now, jitter=0.0))
                return Finish.APPLIED
            connection.execute(update(analyses).where(this).values(key=key, result=result, finished_at=now))
            for output in outputs:
                output_id = _add_output(connection, job.subject_id, output, now)
                if output_id is not None:
                    _add_deliveries(connection, output_id, destinations, delivery_attempts, now)
            move(connection, job, after(job, Done(note), now, jitter=0.0))
            return Finish.APPLIED

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """See `Ledger.delivery`."""
        query = (
            select(*_OUTPUT, deliveries.c.destination, deliveries.c.status, deliveries.c.comment)
            .join_from(deliveries, outputs)
            .where(deliveries.c.id == delivery_id)
        )
        with transaction(self._reading) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise KeyError(delivery_id)
        *output, destination, status, comment = row
        return DeliveryRow(delivery_id, Output(*output), destination, status, comment)

    def record_delivery(self, delivery_id: int, status: int | None, comment: str, now: datetime) -> None:
        """See `Ledger.record_delivery`. KeyError when there is no such delivery."""
        answer = (
            update(deliveries)
            .where(deliveries.c.id == delivery_id)
            .values(status=status, comment=comment, answered_at=now)
        )
        with transaction(self._writing) as connection:
            if connection.execute(answer).rowcount == 0:
                raise KeyError(delivery_id)

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


def _stored_instances() -> Select[*tuple[Any, ...]]:
    return select(*_STORED).join_from(instances, studies)


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """INSERT that knows ON CONFLICT: both databases have it, SQLAlchemy's common INSERT has not."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _touch_study(connection: Connection, instance: ReceivedInstance) -> int:
    """Make or open the study as the instance asks, and hold its row's lock; the study's id."""
    arrived = literal(instance.received_at, UtcDateTime())
    insert = _insert(connection, studies).values(
        study_instance_uid=instance.study_instance_uid,
        open_since=instance.received_at if instance.opens_study else None,
        last_received_at=instance.received_at,
        revision=0,
    )
    if instance.opens_study:
        # Two listeners' clocks may differ: the time of an open study never goes back.
        is_newest = and_(studies.c.open_since.is_not(None), studies.c.last_received_at > arrived)
        change: dict[str, object] = {
            "open_since": func.coalesce(studies.c.open_since, arrived),
            "last_received_at": case((is_newest, studies.c.last_received_at), else_=arrived),
        }
    else:
        # Changes nothing, but takes the lock.
        change = {"revision": studies.c.revision}
    upsert = insert.on_conflict_do_update(
        index_elements=[studies.c.study_instance_uid, studies.c.patient_digest], set_=change
    )
    study_id: int = connection.execute(upsert.returning(studies.c.id)).scalar_one()
    return study_id


def _add_instance(connection: Connection, study_id: int, instance: ReceivedInstance) -> bool:
    """Add the row with the study's next ordinal; False when its SOP Instance UID is there already."""
    next_ordinal = select(func.coalesce(func.max(instances.c.ordinal), 0) + 1).where(instances.c.study_id == study_id)
    insert = _insert(connection, instances).values(
        study_id=study_id,
        series_instance_uid=instance.series_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        file_key=instance.file_key,
        size_bytes=instance.size_bytes,
        sha256=instance.sha256,
        source_ae_title=instance.source_ae_title,
        received_at=instance.received_at,
        opens_study=instance.opens_study,
        ordinal=next_ordinal.scalar_subquery(),
    )
    insert_once = insert.on_conflict_do_nothing(index_elements=[instances.c.sop_instance_uid])
    return connection.execute(insert_once.returning(instances.c.id)).first() is not None


def _add_job(connection: Connection, kind: JobKind, subject_id: int, max_attempts: int, now: datetime) -> int:
    insert = jobs.insert().values(
        kind=kind,
        state=JobState.WAITING,
        subject_id=subject_id,
        attempt=0,
        max_attempts=max_attempts,
        run_at=now,
        created_at=now,
    )
    job_id: int = connection.execute(insert.returning(jobs.c.id)).scalar_one()
    return job_id


def _add_output(connection: Connection, analysis_id: int, output: Output, now: datetime) -> int | None:
    """Add the row; None when its SOP Instance UID is there already (an image's heatmap outlives a revision)."""
    insert = _insert(connection, outputs).values(
        analysis_id=analysis_id,
        kind=output.kind,
        sop_class_uid=output.sop_class_uid,
        sop_instance_uid=output.sop_instance_uid,
        series_instance_uid=output.series_instance_uid,
        file_key=output.file_key,
        created_at=now,
    )
    insert_once = insert.on_conflict_do_nothing(index_elements=[outputs.c.sop_instance_uid])
    output_id: int | None = connection.execute(insert_once.returning(outputs.c.id)).scalar_one_or_none()
    return output_id


def _add_deliveries(
    connection: Connection, output_id: int, destinations: Sequence[str], max_attempts: int, now: datetime
) -> None:
    for destination in dict.fromkeys(destinations):
        insert = deliveries.insert().values(output_id=output_id, destination=destination).returning(deliveries.c.id)
        _add_job(connection, JobKind.DELIVER, connection.execute(insert).scalar_one(), max_attempts, now)


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


def _predecessor(connection: Connection, analysis_id: int) -> tuple[int, Output] | None:
    this = analyses.alias()
    query = (
        select(analyses.c.id, *_OUTPUT)
        .join(this, and_(analyses.c.study_id == this.c.study_id, analyses.c.revision < this.c.revision))
        .join(outputs, outputs.c.analysis_id == analyses.c.id)
        .where(this.c.id == analysis_id, analyses.c.finished_at.is_not(None), outputs.c.kind == OutputKind.REPORT)
        .order_by(analyses.c.revision.desc(), outputs.c.id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], Output(*row[1:]))
