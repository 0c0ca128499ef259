"""Queue, ledger, upkeep, shadows and drift in one object over one engine, with what operators ask about a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.jobs.engine import transaction
from ocunet_pacs.jobs.migrate import current_revision
from ocunet_pacs.jobs.schema import analyses, deliveries, outputs, shadows, studies
from ocunet_pacs.jobs.sql_backlog import SqlBacklog
from ocunet_pacs.jobs.sql_deliveries import DELIVERY_PROGRESS
from ocunet_pacs.jobs.sql_drift import SqlDrift
from ocunet_pacs.jobs.sql_ledger import SqlLedger
from ocunet_pacs.jobs.sql_queue import SqlQueue
from ocunet_pacs.jobs.sql_shadows import SqlShadows
from ocunet_pacs.jobs.sql_upkeep import SqlUpkeep

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import RowMapping

    from ocunet_pacs.domain.job import Job


class SqlJobs(SqlQueue, SqlLedger, SqlUpkeep, SqlShadows, SqlDrift, SqlBacklog):
    """The ports of queue, ledger, upkeep, shadows, drift and backlog over an engine of `open_engine`.

    Threads may share it; a fork opens its own.
    """

    def describe(self, job: Job) -> dict[str, str]:
        """What the job is about, as words for a person; empty when its subject is not there.

        An analysis: study (UID), revision. A delivery: object (UID), kind, study, revision, destination, answer, and
        where the destination commits to what it stores, how far that got: stored, asked, committed. A shadow: study,
        revision, candidate (the beginning of its digest).
        """
        of_study = (studies.c.study_instance_uid.label("study"), analyses.c.revision)
        if job.kind is JobKind.ANALYSE:
            query = select(*of_study).join_from(analyses, studies).where(analyses.c.id == job.subject_id)
        elif job.kind is JobKind.SHADOW:
            candidate = func.substr(shadows.c.bundle_digest, 1, 12).label("candidate")
            query = (
                select(*of_study, candidate)
                .join_from(shadows, analyses)
                .join(studies)
                .where(shadows.c.id == job.subject_id)
            )
        else:
            query = (
                select(
                    outputs.c.sop_instance_uid.label("object"),
                    outputs.c.kind,
                    *of_study,
                    deliveries.c.destination,
                    *DELIVERY_PROGRESS,
                )
                .join_from(deliveries, outputs)
                .join(analyses)
                .join(studies)
                .where(deliveries.c.id == job.subject_id)
            )
        with transaction(self._reading) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return {}
        words = {name: str(row[name]) for name in _SUBJECT if name in row}
        return words | _progress(row) if job.kind is JobKind.DELIVER else words

    @property
    def schema_version(self) -> str | None:
        """The revision of the database's schema; None when there is none."""
        with transaction(self._reading) as connection:
            return current_revision(connection)


_SUBJECT = ("object", "kind", "study", "revision", "destination", "candidate")


def _progress(delivery: RowMapping) -> dict[str, str]:
    """How far a delivery got. No answer of DICOM's: what was said instead stands alone."""
    status, comment = delivery["status"], delivery["comment"]
    if delivery["answered_at"] is None:
        answer = "not tried yet"
    elif status is None:
        answer = comment or "no answer"
    else:
        answer = f"0x{status:04X}: {comment}" if comment else f"0x{status:04X}"
    words = {"answer": answer}
    if delivery["stored_at"] is not None:
        words["stored"] = _time(delivery["stored_at"])
    if delivery["asked_at"] is not None:
        times = "once" if delivery["asks"] == 1 else f"{delivery['asks']} times"
        words["asked"] = f"{times}, last {_time(delivery['asked_at'])}"
    if delivery["failure"] is not None:
        words["committed"] = f"no: failure reason 0x{delivery['failure']:04X}"
    elif delivery["committed_at"] is not None:
        words["committed"] = _time(delivery["committed_at"])
    return words


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
