"""What holds between rows after every commit of ours, though no constraint of the database says so.

A row that breaks one was not written by this program alone: by hand, by a disk, or by a fault of ours to be reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.schema import analyses, deliveries, instances, job_tallies, jobs, outputs, shadows, studies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection, Select, Table

_SUBJECTS = {JobKind.ANALYSE: analyses, JobKind.DELIVER: deliveries, JobKind.SHADOW: shadows}
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows of `table` of which `what` is true: how many, and the ids of the first."""

    what: str
    table: str
    count: int
    ids: tuple[int, ...]

    def __str__(self) -> str:
        named = ", ".join(map(str, self.ids)) + (", …" if self.count > len(self.ids) else "")
        return f"{self.count} of {self.table}: {self.what} (id {named})"


def broken(connection: Connection) -> Iterator[Broken]:
    """Every invariant that does not hold, in one look at the whole database."""
    for what, table, wrong in _invariants():
        query: Select[int] = select(table.c.id).where(wrong)
        ids = tuple(connection.execute(query.order_by(table.c.id).limit(_EXAMPLES)).scalars())
        if ids:
            counted = select(func.count()).select_from(query.subquery())
            yield Broken(what, table.name, connection.execute(counted).scalar_one(), ids)


def _invariants() -> Iterator[tuple[str, Table, ColumnElement[bool]]]:
    for kind, subjects in _SUBJECTS.items():
        of_kind = jobs.c.kind == kind
        there = select(subjects.c.id).where(subjects.c.id == jobs.c.subject_id).exists()
        yield f"{kind} jobs whose subject is not there", jobs, and_(of_kind, ~there)
        queued = select(jobs.c.id).where(of_kind, jobs.c.subject_id == subjects.c.id).exists()
        yield "rows without a job, so that nobody will do them", subjects, ~queued
    yield from _of_studies()
    finished = select(analyses.c.id).where(analyses.c.finished_at.is_not(None))
    idle = jobs.c.state.not_in([JobState.DONE, JobState.DISCARDED])
    again = and_(jobs.c.kind == JobKind.ANALYSE, idle, jobs.c.subject_id.in_(finished))
    yield "analyse jobs that would do again what is finished", jobs, again
    yield "tallies that are not the number of jobs", job_tallies, _miscounted()
    yield "results of an analysis that is not finished", outputs, outputs.c.analysis_id.not_in(finished)


def _miscounted() -> ColumnElement[bool]:
    other, destination = job_tallies.alias(), func.coalesce(deliveries.c.destination, "")
    same = (other.c[name] == job_tallies.c[name] for name in ("kind", "state", "destination"))
    kept = select(func.sum(other.c.number)).where(*same).scalar_subquery()
    delivered = and_(jobs.c.kind == JobKind.DELIVER, deliveries.c.id == jobs.c.subject_id)
    of_key = (jobs.c.kind == job_tallies.c.kind, jobs.c.state == job_tallies.c.state)
    there = select(func.count()).select_from(jobs.outerjoin(deliveries, delivered))
    return kept != there.where(*of_key, destination == job_tallies.c.destination).scalar_subquery()


def _of_studies() -> Iterator[tuple[str, Table, ColumnElement[bool]]]:
    of_instance, of_analysis = studies.c.id == instances.c.study_id, studies.c.id == analyses.c.study_id
    closed = select(studies.c.id).where(of_instance, studies.c.open_since.is_(None)).exists()
    forgotten = and_(instances.c.opens_study.is_(True), instances.c.revision.is_(None), closed)
    yield "images that no revision holds, in a study that is closed", instances, forgotten
    latest = select(analyses.c.id).where(of_analysis, analyses.c.revision == studies.c.revision).exists()
    yield "studies without an analysis of their newest revision", studies, and_(studies.c.revision > 0, ~latest)
    for table, of in ((instances, of_instance), (analyses, of_analysis)):
        beyond = select(studies.c.id).where(of, table.c.revision > studies.c.revision).exists()
        yield "rows of a revision that their study does not have", table, or_(beyond, table.c.revision < 1)
