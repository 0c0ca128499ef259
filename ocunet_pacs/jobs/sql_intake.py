"""What arrives, on SQLite and PostgreSQL: instances into studies, and studies into revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, select, update

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.study import Arrival, OpenStudy, ReasonCode, StoredInstance
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, instances, jobs, studies
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_studies import flag, opened, touch_study

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta
    from typing import Any

    from sqlalchemy import Connection, Engine, Row, Select

    from ocunet_pacs.domain.study import ReceivedInstance


class SqlIntake:
    """The part of `Ledger` that the listener and the closer of studies use."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def record_instance(self, instance: ReceivedInstance, has_file: Callable[[str], bool] | None = None) -> Arrival:
        """See `Ledger.record_instance`. A UID that any study holds already is a resend."""
        with transaction(self._writing) as connection:
            study_id, conflict = touch_study(connection, instance)
            if _add_instance(connection, study_id, instance):
                return Arrival(added=True, conflict=conflict)
            connection.rollback()
        return self._record_again(instance, has_file)

    def _record_again(self, instance: ReceivedInstance, has_file: Callable[[str], bool] | None) -> Arrival:
        query = (
            select(
                instances.c.id,
                instances.c.study_id,
                instances.c.file_key,
                instances.c.removed_at,
                instances.c.missing_at,
                studies.c.patient_digest,
            )
            .join_from(instances, studies)
            .where(instances.c.sop_instance_uid == instance.sop_instance_uid)
        )
        with transaction(self._reading) as connection:
            row = connection.execute(query).one()
        known = instance.opens_study and row.patient_digest and instance.patient_digest
        if known and row.patient_digest != instance.patient_digest:
            with transaction(self._writing) as connection:
                flag(connection, [row.study_id], instance)
            return Arrival(added=False, conflict=True)
        removed = row.removed_at is not None
        if not removed and row.missing_at is None and (has_file is None or has_file(row.file_key)):
            return Arrival(added=False)
        with transaction(self._writing) as connection:
            return Arrival(added=False, healed=_heal(connection, row, instance, reopen=not removed))

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """See `Ledger.find_instance`."""
        query = stored_instances().where(instances.c.sop_instance_uid == sop_instance_uid)
        with transaction(self._reading) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else as_stored(row)

    def studies_due(self, now: datetime, force_after: timedelta) -> list[OpenStudy]:
        """See `Ledger.studies_due`. The one that has been open longest comes first."""
        query = (
            select(
                studies.c.id,
                studies.c.study_instance_uid,
                studies.c.open_since,
                studies.c.last_received_at,
                studies.c.quiet_until,
            )
            .where(
                studies.c.open_since.is_not(None),
                (studies.c.quiet_until <= now) | (studies.c.open_since <= now - force_after),
            )
            .order_by(studies.c.open_since, studies.c.id)
        )
        with transaction(self._reading) as connection:
            return [OpenStudy(**row._asdict()) for row in connection.execute(query)]

    def hasten_studies(self, study_instance_uids: Collection[str]) -> int:
        """See `Ledger.hasten_studies`."""
        hasten = (
            update(studies)
            .where(
                studies.c.study_instance_uid.in_(sorted(study_instance_uids)),
                studies.c.open_since.is_not(None),
                studies.c.quiet_until > studies.c.last_received_at,
            )
            .values(quiet_until=studies.c.last_received_at)
        )
        with transaction(self._writing) as connection:
            return connection.execute(hasten).rowcount

    def close_study(self, study: OpenStudy, now: datetime, max_attempts: int) -> int | None:
        """See `Ledger.close_study`."""
        close = (
            update(studies)
            .where(
                studies.c.id == study.id,
                studies.c.open_since == study.open_since,
                studies.c.last_received_at == study.last_received_at,
            )
            .values(open_since=None, quiet_until=None, revision=studies.c.revision + 1)
            .returning(studies.c.revision)
        )
        with transaction(self._writing) as connection:
            revision = connection.execute(close).scalar_one_or_none()
            if revision is None:
                return None
            return add_revision(connection, study.id, revision, max_attempts, now)


def add_revision(
    connection: Connection, study_id: int, revision: int, max_attempts: int, now: datetime, priority: int = 0
) -> int:
    """Give the study's unassigned instances to the revision, and add its analysis and its job; the job's id."""
    connection.execute(
        update(instances)
        .where(instances.c.study_id == study_id, instances.c.revision.is_(None))
        .values(revision=revision)
    )
    insert = analyses.insert().values(study_id=study_id, revision=revision, superseded=False, created_at=now)
    analysis_id = connection.execute(insert.returning(analyses.c.id)).scalar_one()
    return add_job(connection, JobKind.ANALYSE, analysis_id, max_attempts, now, priority)


def stored_instances() -> Select[*tuple[Any, ...]]:
    """Rows for `as_stored`."""
    return select(
        instances.c.id,
        studies.c.study_instance_uid,
        instances.c.series_instance_uid,
        instances.c.sop_instance_uid,
        instances.c.sop_class_uid,
        instances.c.transfer_syntax_uid,
        instances.c.file_key,
        instances.c.ordinal,
        instances.c.source,
        instances.c.source_ae_title,
        case(
            (instances.c.removed_at.is_not(None), ReasonCode.FILE_REMOVED.value),
            (instances.c.missing_at.is_not(None), ReasonCode.FILE_MISSING.value),
            else_=None,
        ).label("gone"),
    ).join_from(instances, studies)


def as_stored(row: Row[*tuple[Any, ...]]) -> StoredInstance:
    """A row of `stored_instances` as the domain knows it."""
    values = row._asdict()
    gone = values.pop("gone")
    return StoredInstance(**values, gone=None if gone is None else ReasonCode(gone))


def add_job(
    connection: Connection, kind: JobKind, subject_id: int, max_attempts: int, now: datetime, priority: int = 0
) -> int:
    """Add a waiting job; its id."""
    insert = jobs.insert().values(
        kind=kind,
        state=JobState.WAITING,
        subject_id=subject_id,
        attempt=0,
        max_attempts=max_attempts,
        run_at=now,
        created_at=now,
        priority=priority,
    )
    job_id: int = connection.execute(insert.returning(jobs.c.id)).scalar_one()
    return job_id


def _add_instance(connection: Connection, study_id: int, instance: ReceivedInstance) -> bool:
    """Add the row with the study's next ordinal; False when its SOP Instance UID is there already."""
    next_ordinal = select(func.coalesce(func.max(instances.c.ordinal), 0) + 1).where(instances.c.study_id == study_id)
    insert = insert_into(connection, instances).values(
        study_id=study_id,
        series_instance_uid=instance.series_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        file_key=instance.file_key,
        size_bytes=instance.size_bytes,
        sha256=instance.sha256,
        source_ae_title=instance.source_ae_title,
        source=instance.source,
        received_at=instance.received_at,
        opens_study=instance.opens_study,
        ordinal=next_ordinal.scalar_subquery(),
    )
    insert_once = insert.on_conflict_do_nothing(index_elements=[instances.c.sop_instance_uid])
    return connection.execute(insert_once.returning(instances.c.id)).first() is not None


def _heal(connection: Connection, row: Row[*tuple[Any, ...]], instance: ReceivedInstance, *, reopen: bool) -> bool:
    """Give the row the file that came again, if it still names the one that is lost."""
    connection.execute(select(studies.c.id).where(studies.c.id == row.study_id).with_for_update())
    adopt = (
        update(instances)
        .where(instances.c.id == row.id, instances.c.file_key == row.file_key)
        .values(
            file_key=instance.file_key,
            size_bytes=instance.size_bytes,
            sha256=instance.sha256,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            removed_at=None,
            missing_at=None,
        )
    )
    if connection.execute(adopt).rowcount == 0:
        return False
    change = opened(instance)
    if not (reopen and instance.opens_study):
        # Its age starts anew, or retention would take the file away again before anybody used it.
        change = {name: change[name] for name in ("last_received_at", "removed_at")}
    connection.execute(update(studies).where(studies.c.id == row.study_id).values(change))
    return True
