"""Studies that are reported already, and one more report of them, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select, update

from ocunet_pacs.domain.ledger import PastStudy
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, instances, studies
from ocunet_pacs.jobs.sql_intake import add_revision
from ocunet_pacs.jobs.sql_retention import unfinished

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Engine, Row, Select


class SqlRevisions:
    """The part of `Ledger` that looks back."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def past_study(self, study_id: int) -> PastStudy | None:
        """See `Ledger.past_study`."""
        with transaction(self._reading) as connection:
            row = connection.execute(_past_studies().where(studies.c.id == study_id)).one_or_none()
        return None if row is None else _as_past(row)

    def studies_like(
        self,
        *,
        study_instance_uid: str | None = None,
        since: datetime | None = None,
        bundle_digest: str | None = None,
        after: int = 0,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[PastStudy]:
        """See `Ledger.studies_like`."""
        query = _past_studies().order_by(studies.c.id.desc() if newest_first else studies.c.id).limit(limit)
        if study_instance_uid is not None:
            query = query.where(studies.c.study_instance_uid == study_instance_uid)
        if since is not None:
            query = query.where(studies.c.last_received_at >= since)
        if bundle_digest is not None:
            # Not LIKE: SQLite's takes capital and small letters for the same.
            begins = func.substr(analyses.c.bundle_digest, 1, len(bundle_digest)) == bundle_digest
            query = query.where(analyses.c.id.is_not(None), begins)
        if not newest_first:
            query = query.where(studies.c.id > after)
        elif after:
            query = query.where(studies.c.id < after)
        with transaction(self._reading) as connection:
            return [_as_past(row) for row in connection.execute(query)]

    def request_revision(self, study_id: int, now: datetime, max_attempts: int, priority: int) -> int | None:
        """See `Ledger.request_revision`."""
        image = and_(instances.c.study_id == studies.c.id, instances.c.opens_study.is_(True))
        lost = or_(instances.c.removed_at.is_not(None), instances.c.missing_at.is_not(None))
        again = (
            update(studies)
            .where(
                studies.c.id == study_id,
                studies.c.revision > 0,
                studies.c.open_since.is_(None),
                studies.c.removed_at.is_(None),
                select(instances.c.id).where(image).exists(),
                ~select(instances.c.id).where(image, lost).exists(),
                ~unfinished(),
            )
            .values(revision=studies.c.revision + 1)
            .returning(studies.c.revision)
        )
        with transaction(self._writing) as connection:
            # A statement of its own, so that the next one sees what the last holder of the lock committed.
            connection.execute(select(studies.c.id).where(studies.c.id == study_id).with_for_update())
            revision = connection.execute(again).scalar_one_or_none()
            return (
                None if revision is None else add_revision(connection, study_id, revision, max_attempts, now, priority)
            )


def _past_studies() -> Select[*tuple[Any, ...]]:
    """Rows for `_as_past`: studies beside their newest finished revision."""
    finished = analyses.alias()
    newest = (
        select(finished.c.id)
        .where(finished.c.study_id == studies.c.id, finished.c.finished_at.is_not(None))
        .order_by(finished.c.revision.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            studies.c.id,
            studies.c.study_instance_uid,
            studies.c.revision,
            studies.c.last_received_at,
            analyses.c.finished_at,
            analyses.c.urgency,
            func.coalesce(analyses.c.bundle_digest, "").label("bundle_digest"),
            studies.c.removed_at.is_not(None).label("removed"),
        )
        .outerjoin_from(studies, analyses, analyses.c.id == newest)
        .where(studies.c.revision > 0)
    )


def _as_past(row: Row[*tuple[Any, ...]]) -> PastStudy:
    return PastStudy(**row._asdict())
