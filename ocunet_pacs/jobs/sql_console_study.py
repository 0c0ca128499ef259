"""One study as the console shows it, on SQLite and PostgreSQL: who sent it, its revisions, and where results went."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select

from ocunet_pacs.domain.console import DeliveryStory, OutputStory, Received, RevisionStory, Shown
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.jobs.schema import analyses, deliveries, instances, jobs, outputs
from ocunet_pacs.jobs.sql_deliveries import DELIVERY_PROGRESS
from ocunet_pacs.jobs.sql_queue import JOB, as_job

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_MOST_INSTANCES = 200
JOB_OF_DELIVERY = and_(jobs.c.kind == JobKind.DELIVER, jobs.c.subject_id == deliveries.c.id)
"""For outer joins, although every delivery has its job: of an inner one SQLite begins with all jobs of the kind."""
INSTANCE = (
    instances.c.id,
    instances.c.study_id,
    instances.c.sop_instance_uid,
    instances.c.ordinal,
    instances.c.opens_study,
    instances.c.source,
    instances.c.source_ae_title,
    instances.c.removed_at,
    instances.c.missing_at,
)


def shown_instances(connection: Connection, study_id: int) -> dict[str, Shown]:
    """The first of those that start an analysis, by SOP Instance UID."""
    query = (
        select(*INSTANCE)
        .where(instances.c.study_id == study_id, instances.c.opens_study.is_(True))
        .order_by(instances.c.ordinal)
        .limit(_MOST_INSTANCES)
    )
    return {row.sop_instance_uid: Shown(row.id, gone=gone(row)) for row in connection.execute(query)}


def senders(connection: Connection, study_id: int) -> tuple[Received, ...]:
    """The first to send first."""
    of_sender = (instances.c.source, instances.c.source_ae_title)
    first = func.min(instances.c.received_at)
    query = (
        select(*of_sender, first, func.max(instances.c.received_at), func.count())
        .where(instances.c.study_id == study_id)
        .group_by(*of_sender)
        .order_by(first)
    )
    return tuple(Received(*row) for row in connection.execute(query))


def revisions(connection: Connection, study_id: int) -> tuple[RevisionStory, ...]:
    """The newest first."""
    query = (
        select(
            analyses.c.id.label("analysis_id"),
            analyses.c.revision,
            analyses.c.created_at.label("closed_at"),
            analyses.c.finished_at.label("analysed_at"),
            analyses.c.superseded,
            analyses.c.urgency,
            analyses.c.bundle_digest,
            analyses.c.result,
            *JOB,
        )
        .outerjoin_from(analyses, jobs, and_(jobs.c.kind == JobKind.ANALYSE, jobs.c.subject_id == analyses.c.id))
        .where(analyses.c.study_id == study_id)
        .order_by(analyses.c.revision.desc())
    )
    made = _outputs(connection, study_id)
    return tuple(
        RevisionStory(
            row.analysis_id,
            row.revision,
            row.closed_at,
            row.analysed_at,
            row.superseded,
            row.urgency,
            row.bundle_digest,
            row.result,
            None if row.id is None else as_job(row),
            tuple(made[row.analysis_id]),
        )
        for row in connection.execute(query)
    )


def _outputs(connection: Connection, study_id: int) -> dict[int, list[OutputStory]]:
    """Of each analysis, in the order in which they were made."""
    query = (
        select(
            outputs.c.id,
            outputs.c.kind,
            outputs.c.sop_instance_uid,
            outputs.c.created_at,
            outputs.c.analysis_id,
            outputs.c.removed_at,
            outputs.c.missing_at,
        )
        .join_from(analyses, outputs)
        .where(analyses.c.study_id == study_id)
        .order_by(outputs.c.id)
    )
    went = _deliveries(connection, study_id)
    found: dict[int, list[OutputStory]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.analysis_id].append(OutputStory(*row[:4], gone(row), tuple(went[row.id])))
    return found


def _deliveries(connection: Connection, study_id: int) -> dict[int, list[DeliveryStory]]:
    """Of each output, in the order in which they were added."""
    query = (
        select(
            deliveries.c.output_id,
            deliveries.c.destination,
            *DELIVERY_PROGRESS,
            *JOB,
        )
        .join_from(analyses, outputs)
        .join(deliveries)
        .outerjoin(jobs, JOB_OF_DELIVERY)
        .where(analyses.c.study_id == study_id)
        .order_by(deliveries.c.id)
    )
    found: dict[int, list[DeliveryStory]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.output_id].append(DeliveryStory(row.destination, as_job(row), *row[2:10]))
    return found


def gone(row: Row[*tuple[Any, ...]]) -> ReasonCode | None:
    """Why the file of an instance or output is not there any more; None: it is."""
    if row.removed_at is not None:
        return ReasonCode.FILE_REMOVED
    return None if row.missing_at is None else ReasonCode.FILE_MISSING
