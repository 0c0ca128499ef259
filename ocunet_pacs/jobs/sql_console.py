"""What the console reads, on SQLite and PostgreSQL: by the indexes of what is unfinished, or by the newest ids.

Every statement here costs the same after a million studies; `tests/conformance/jobs/test_costs.py` holds that.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, and_, case, func, literal, or_, select, true

from ocunet_pacs.domain.console import (
    About,
    Among,
    Answered,
    ConsoleReader,
    Listing,
    Picture,
    Shown,
    StudyLine,
    StudyStory,
    Subject,
    from_microseconds,
    in_microseconds,
)
from ocunet_pacs.domain.job import Job, JobKind, JobState
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.jobs.columns import UtcDateTime
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, deliveries, instances, jobs, outputs, shadows, studies
from ocunet_pacs.jobs.sql_console_study import (
    INSTANCE,
    JOB_OF_DELIVERY,
    gone,
    revisions,
    senders,
    shown_instances,
)
from ocunet_pacs.jobs.sql_queue import JOB, as_job, in_state, newest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Select

    from ocunet_pacs.domain.console import Place
    from ocunet_pacs.domain.labels import Urgency

_FIRST_PICTURES = 4
"""Among as many of a study's first objects those for a list are looked for."""
_SHOWN_IN_LIST = 2
_DEAD_AT_ONCE = 100
_MOST_WORKERS = 10_000
"""More than any site has."""


class SqlConsole(ConsoleReader):
    """`ConsoleReader` over an engine whose schema is up to date; one that can only read is enough."""

    def __init__(self, engine: Engine) -> None:
        self._reading = for_reading(engine)

    def studies(self, among: Among = Among.ALL, *, after: Place = (), limit: int = 25) -> Listing:
        """See `ConsoleReader.studies`."""
        with transaction(self._reading) as connection:
            found = _chosen(connection, among, after, limit)
            page = found[:limit]
            lines = _lines(connection, [study_id for study_id, _ in page if study_id])
            return Listing(tuple(lines), page[-1][1] if len(found) > limit else ())

    def study(self, study_id: int) -> StudyStory | None:
        """See `ConsoleReader.study`."""
        with transaction(self._reading) as connection:
            found = _lines(connection, [study_id])
            if not found:
                return None
            (line,) = found
            shown = shown_instances(connection, study_id)
            return StudyStory(line, senders(connection, study_id), revisions(connection, study_id), shown)

    def jobs(self, state: JobState, *, before: int | None = None, limit: int = 25) -> list[Subject]:
        """See `ConsoleReader.jobs`."""
        with transaction(self._reading) as connection:
            if state is JobState.DEAD:
                found = _dead(connection, limit, before)
            elif state is JobState.RUNNING:  # as many as there are workers
                running = select(*JOB).where(in_state(state), jobs.c.lease_expires_at.is_not(None))
                found = _as_jobs(connection, running.order_by(jobs.c.lease_expires_at).limit(limit))
            else:
                # Kind by kind: that is the order of the claim's index.
                found = [job for kind in JobKind for job in _as_jobs(connection, _next(kind, limit))]
                found = sorted(found, key=lambda job: (-job.priority, job.run_at, job.id))[:limit]
            return _with_subjects(connection, found)

    def about(self, jobs: Sequence[Job]) -> list[Subject]:
        """See `ConsoleReader.about`."""
        with transaction(self._reading) as connection:
            return _with_subjects(connection, jobs)

    def finished_since(self, moment: datetime) -> dict[Urgency | None, int]:
        """See `ConsoleReader.finished_since`."""
        query = (
            select(analyses.c.urgency, func.count())
            .where(analyses.c.finished_at >= moment, analyses.c.key.is_not(None))
            .group_by(analyses.c.urgency)
        )
        with transaction(self._reading) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def last_answers(self, among: int = 500) -> dict[str, Answered]:
        """See `ConsoleReader.last_answers`."""
        of_one = (deliveries.c.destination, deliveries.c.status, deliveries.c.comment, deliveries.c.answered_at)
        newest = select(*of_one).order_by(deliveries.c.id.desc()).limit(among)
        found: dict[str, Answered] = {}
        with transaction(self._reading) as connection:
            for row in connection.execute(newest):
                known = found.get(row.destination)
                if row.answered_at is not None and (known is None or known.at < row.answered_at):
                    found[row.destination] = Answered(*row)
        return found

    def received_picture(self, instance_id: int) -> Picture | None:
        """See `ConsoleReader.received_picture`."""
        query = _picture_of(instances).join_from(instances, studies).where(instances.c.id == instance_id)
        return self._picture(query)

    def made_picture(self, output_id: int) -> Picture | None:
        """See `ConsoleReader.made_picture`."""
        query = (
            _picture_of(outputs)
            .join_from(outputs, analyses)
            .join(studies)
            .where(outputs.c.id == output_id, outputs.c.kind == OutputKind.HEATMAP)
        )
        return self._picture(query)

    def _picture(self, query: Select[*tuple[Any, ...]]) -> Picture | None:
        with transaction(self._reading) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Picture(row.file_key, row.sop_class_uid, row.study_instance_uid, row.patient_digest, gone(row))


def _chosen(connection: Connection, among: Among, after: Place, limit: int) -> list[tuple[int, Place]]:
    """The ids of the studies of a page in its order, each with its place; one more than `limit` where there are more.

    A page may have fewer, and places without a study (0), where several jobs are of one study.
    """
    if among is Among.ALL:
        below = studies.c.id < after[0] if after else true()
        found = connection.scalars(select(studies.c.id).where(below).order_by(studies.c.id.desc()).limit(limit + 1))
        return [(one, (one,)) for one in found]
    if among is Among.RECEIVING:
        return _receiving(connection, after, limit)
    if among is Among.ATTENTION:
        return _with_dead_jobs(connection, after, limit)
    if among is Among.WAITING:
        under_way = _as_jobs(connection, _next(JobKind.ANALYSE, limit + 1).where(_behind(after)))
        places: list[Place] = [(job.priority, in_microseconds(job.run_at), job.id) for job in under_way]
    else:
        of_analyses = func.lower(jobs.c.kind) == JobKind.ANALYSE.value  # not a bare column: see `sql_destinations`
        running = select(*JOB).where(in_state(JobState.RUNNING), of_analyses, jobs.c.lease_expires_at.is_not(None))
        # As many as there are workers, by the index of leases; those move while somebody reads, so places are of ids.
        at_work = _as_jobs(connection, running.order_by(jobs.c.lease_expires_at).limit(_MOST_WORKERS))
        under_way = sorted((job for job in at_work if (job.id,) > after), key=lambda job: job.id)[: limit + 1]
        places = [(job.id,) for job in under_way]
    ids = [job.subject_id for job in under_way]
    # A study whose newest revision it is: each is listed once.
    of_newest = (
        select(analyses.c.id, analyses.c.study_id)
        .join_from(analyses, studies)
        .where(analyses.c.id.in_(ids), analyses.c.revision == studies.c.revision)
    )
    study_of = {row.id: row.study_id for row in connection.execute(of_newest)}
    return [(study_of.get(one, 0), place) for one, place in zip(ids, places, strict=True)]


def _receiving(connection: Connection, after: Place, limit: int) -> list[tuple[int, Place]]:
    opened = select(studies.c.id, studies.c.open_since).where(studies.c.open_since.is_not(None))
    if after:
        since, last = literal(from_microseconds(after[0]), UtcDateTime()), after[1]
        at, before = studies.c.open_since == since, studies.c.open_since < since
        opened = opened.where(studies.c.open_since <= since, or_(before, and_(at, studies.c.id < last)))
    opened = opened.order_by(studies.c.open_since.desc(), studies.c.id.desc()).limit(limit + 1)
    return [(row.id, (in_microseconds(row.open_since), row.id)) for row in connection.execute(opened)]


def _behind(after: Place) -> ColumnElement[bool]:
    """The waiting jobs that are claimed after that place."""
    if not after:
        return true()
    # Somebody may have written a number that no job has.
    priority = literal(after[0], BigInteger())
    run_at, last = literal(from_microseconds(after[1]), UtcDateTime()), after[2]
    same = and_(jobs.c.run_at == run_at, jobs.c.id > last)
    of_priority = and_(jobs.c.priority == priority, or_(jobs.c.run_at > run_at, same))
    return and_(jobs.c.priority <= priority, or_(jobs.c.priority < priority, of_priority))


def _with_dead_jobs(connection: Connection, after: Place, limit: int) -> list[tuple[int, Place]]:
    """Studies by their newest dead job: whatever else of a study died earlier lists it no more."""
    found: list[tuple[int, Place]] = []
    below = after[0] if after else None
    while len(found) <= limit and (dead := _dead(connection, _DEAD_AT_ONCE, below)):
        below = dead[-1].id
        of: dict[int, int] = {}
        for one in _with_subjects(connection, dead):
            if one.job.kind is not JobKind.SHADOW and one.about.study_id:
                of.setdefault(one.about.study_id, one.job.id)
        newest = _newest_dead(connection, list(of))
        found += [(study_id, (job_id,)) for study_id, job_id in of.items() if newest.get(study_id) == job_id]
    return found[: limit + 1]


def _newest_dead(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """The newest dead job of each of these studies."""
    if not ids:
        return {}
    newest: dict[int, int] = {}
    # Outer joins, and no condition on the state: SQLite would begin with all jobs of a kind, or with all that wait.
    of_study = (analyses.c.study_id, func.max(case((in_state(JobState.DEAD), jobs.c.id), else_=0)))
    of_analyses = and_(jobs.c.kind == JobKind.ANALYSE, jobs.c.subject_id == analyses.c.id)
    sent = select(*of_study).join_from(analyses, outputs).join(deliveries).outerjoin(jobs, JOB_OF_DELIVERY)
    for query in (select(*of_study).outerjoin_from(analyses, jobs, of_analyses), sent):
        of_these = query.where(analyses.c.study_id.in_(ids)).group_by(analyses.c.study_id)
        for study_id, job_id in connection.execute(of_these):
            newest[study_id] = max(job_id, newest.get(study_id, 0))
    return newest


def _next(kind: JobKind, limit: int) -> Select[*tuple[Any, ...]]:
    """The waiting jobs of a kind in the order in which they are claimed, due or not."""
    waiting = select(*JOB).where(in_state(JobState.WAITING), jobs.c.kind == kind)
    return waiting.order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id).limit(limit)


def _dead(connection: Connection, limit: int, before: int | None = None) -> list[Job]:
    return _as_jobs(connection, newest(JobState.DEAD, before=before, limit=limit))


def _lines(connection: Connection, ids: Sequence[int]) -> list[StudyLine]:
    if not ids:
        return []  # SQLite goes through the tables to find that nothing is in an empty list
    finished = analyses.alias()
    newest_finished = (
        select(finished.c.id)
        .where(finished.c.study_id == studies.c.id, finished.c.finished_at.is_not(None))
        .order_by(finished.c.revision.desc())
        .limit(1)
        .scalar_subquery()
    )
    newest, said = analyses.alias(), analyses.alias()
    query = (
        select(
            studies.c.id,
            studies.c.study_instance_uid,
            studies.c.patient_digest,
            studies.c.revision,
            studies.c.open_since,
            studies.c.last_received_at,
            studies.c.conflict_at.is_not(None).label("conflict"),
            studies.c.removed_at.is_not(None).label("removed"),
            jobs.c.state.label("analysis"),
            said.c.finished_at,
            said.c.urgency,
        )
        .select_from(studies)
        .outerjoin(newest, and_(newest.c.study_id == studies.c.id, newest.c.revision == studies.c.revision))
        .outerjoin(jobs, and_(jobs.c.kind == JobKind.ANALYSE, jobs.c.subject_id == newest.c.id))
        .outerjoin(said, said.c.id == newest_finished)
        .where(studies.c.id.in_(ids))
    )
    rows = {row.id: row._asdict() for row in connection.execute(query)}
    went, came = _delivery_states(connection, ids), _arrivals(connection, ids)
    return [StudyLine(**rows[one], deliveries=went[one], **came[one]) for one in ids if one in rows]


def _delivery_states(connection: Connection, ids: Sequence[int]) -> dict[int, dict[JobState, int]]:
    of_studies = select(analyses.c.id, analyses.c.study_id).where(analyses.c.study_id.in_(ids))
    study_of = {row.id: row.study_id for row in connection.execute(of_studies)}
    found: dict[int, dict[JobState, int]] = defaultdict(lambda: defaultdict(int))
    if not study_of:
        return found
    query = (
        select(outputs.c.analysis_id, jobs.c.state, func.count())
        .join_from(outputs, deliveries)
        .outerjoin(jobs, JOB_OF_DELIVERY)
        .where(outputs.c.analysis_id.in_(study_of))
        .group_by(outputs.c.analysis_id, jobs.c.state)
    )
    for analysis_id, state, number in connection.execute(query):
        found[study_of[analysis_id]][state] += number
    return found


def _arrivals(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The fields of a line that are about its instances."""
    of_these = instances.c.study_id.in_(ids)
    numbers = select(instances.c.study_id, func.count()).where(of_these).group_by(instances.c.study_id)
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for study_id, number in connection.execute(numbers):
        found[study_id] = {"objects": number, "pictures": ()}
    first = select(*INSTANCE).where(of_these, instances.c.ordinal <= _FIRST_PICTURES)
    for row in connection.execute(first.order_by(instances.c.study_id, instances.c.ordinal)):
        line = found[row.study_id]
        line.setdefault("source", row.source or row.source_ae_title)
        if row.opens_study and len(line["pictures"]) < _SHOWN_IN_LIST:
            line["pictures"] = (*line["pictures"], Shown(row.id, gone=gone(row)))
    return found


def _with_subjects(connection: Connection, found: Sequence[Job]) -> list[Subject]:
    """Each job with what it is about: one statement for each kind."""
    of_study = (studies.c.id, studies.c.study_instance_uid, analyses.c.revision)
    queries = {
        JobKind.ANALYSE: (select(analyses.c.id, *of_study).join_from(analyses, studies), analyses.c.id),
        JobKind.DELIVER: (
            select(deliveries.c.id, *of_study, deliveries.c.destination, outputs.c.kind)
            .join_from(deliveries, outputs)
            .join(analyses)
            .join(studies),
            deliveries.c.id,
        ),
        JobKind.SHADOW: (
            select(shadows.c.id, *of_study, func.substr(shadows.c.bundle_digest, 1, 12))
            .join_from(shadows, analyses)
            .join(studies),
            shadows.c.id,
        ),
    }
    about: dict[tuple[JobKind, int], About] = {}
    for kind, (query, key) in queries.items():
        for some in _pieces([job.subject_id for job in found if job.kind is kind]):
            for row in connection.execute(query.where(key.in_(some))):
                about[kind, row[0]] = _about(kind, row)
    return [Subject(job, about.get((job.kind, job.subject_id), About())) for job in found]


def _pieces(ids: Sequence[int], most: int = 500) -> Iterable[Sequence[int]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))


def _about(kind: JobKind, row: Row[*tuple[Any, ...]]) -> About:
    _, study_id, uid, revision, *more = row
    if kind is JobKind.DELIVER:
        return About(study_id, uid, revision, destination=more[0], output=more[1])
    return About(study_id, uid, revision, candidate=more[0] if more else "")


def _picture_of(table: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 - a table, whose columns mypy does not know
    return select(
        table.c.file_key,
        table.c.sop_class_uid,
        studies.c.study_instance_uid,
        studies.c.patient_digest,
        table.c.removed_at,
        table.c.missing_at,
    )


def _as_jobs(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[Job]:
    return [as_job(row) for row in connection.execute(query)]
