"""Where the fetching of past studies stands, on SQLite and PostgreSQL: guarded statements, as for the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ocunet_pacs.domain.backfill import FINAL, BackfillLedger, BackfillState, BackfillStudy
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import backfill_studies as past
from ocunet_pacs.jobs.schema import instances, jobs, outputs, studies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Engine, Row

_AT_ONCE = 500
"""Values in one statement: far below what either database takes."""


class SqlBackfill(BackfillLedger):
    """`BackfillLedger` over an engine of `open_engine`, whose schema is up to date. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def note_found(
        self, archive: str, study_instance_uids: Sequence[str], modalities: Sequence[str], now: datetime
    ) -> list[BackfillStudy]:
        """See `BackfillLedger.note_found`."""
        wanted = set(modalities)
        with transaction(self._writing) as connection:
            for uids in _pieces(study_instance_uids):
                _add_missing(connection, archive, uids, wanted, now)
            rows = _by_uid(connection, archive, study_instance_uids)
            for row in rows.values():
                if not wanted <= set(row.modalities) and row.state is not BackfillState.FETCHING:
                    _want_more(connection, row, wanted, now)
            rows = _by_uid(connection, archive, study_instance_uids)
        return [rows[uid] for uid in study_instance_uids]

    def look_up(self, archive: str, study_instance_uids: Sequence[str]) -> dict[str, BackfillStudy]:
        """See `BackfillLedger.look_up`."""
        with transaction(self._reading) as connection:
            return _by_uid(connection, archive, study_instance_uids)

    def claim_study(self, study: BackfillStudy, owner: str, now: datetime) -> BackfillStudy | None:
        """See `BackfillLedger.claim_study`. None for a final one."""
        if study.state in FINAL:
            return None
        claim = (
            update(past)
            .where(_as_seen(study))
            .values(
                state=BackfillState.FETCHING, owner=owner, attempts=past.c.attempts + 1, reason=None, changed_at=now
            )
            .returning(*past.c)
        )
        with transaction(self._writing) as connection:
            row = connection.execute(claim).one_or_none()
        return None if row is None else _study(row)

    def settle_study(
        self,
        study: BackfillStudy,
        state: BackfillState,
        now: datetime,
        *,
        instances: int = 0,
        reason: str | None = None,
    ) -> bool:
        """See `BackfillLedger.settle_study`."""
        given_back = 1 if state is BackfillState.FOUND else 0
        settle = (
            update(past)
            .where(_as_seen(study), past.c.state == BackfillState.FETCHING)
            .values(
                state=state,
                owner=None,
                attempts=past.c.attempts - given_back,
                instances=instances,
                reason=reason,
                changed_at=now,
            )
        )
        with transaction(self._writing) as connection:
            return connection.execute(settle).rowcount == 1

    def retry_failed(self, archive: str, now: datetime) -> int:
        """See `BackfillLedger.retry_failed`."""
        again = (
            update(past)
            .where(past.c.archive == archive, past.c.state == BackfillState.FAILED)
            .values(state=BackfillState.FOUND, attempts=0, changed_at=now)
        )
        with transaction(self._writing) as connection:
            return connection.execute(again).rowcount

    def past_studies(
        self, *, archive: str | None = None, state: BackfillState | None = None, after: int = 0, limit: int = 100
    ) -> list[BackfillStudy]:
        """See `BackfillLedger.past_studies`."""
        query = select(past).where(past.c.id > after)
        if archive is not None:
            query = query.where(past.c.archive == archive)
        if state is not None:
            query = query.where(past.c.state == state)
        with transaction(self._reading) as connection:
            return [_study(row) for row in connection.execute(query.order_by(past.c.id).limit(limit))]

    def past_study_counts(self) -> dict[tuple[str, BackfillState], int]:
        """See `BackfillLedger.past_study_counts`."""
        query = select(past.c.archive, past.c.state, func.count()).group_by(past.c.archive, past.c.state)
        with transaction(self._reading) as connection:
            return {(archive, state): number for archive, state, number in connection.execute(query)}

    def known_instances(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """See `BackfillLedger.known_instances`."""
        known: set[str] = set()
        with transaction(self._reading) as connection:
            for uids in _pieces(sop_instance_uids):
                received = instances.c.sop_instance_uid.in_(uids), instances.c.missing_at.is_(None)
                known.update(connection.execute(select(instances.c.sop_instance_uid).where(*received)).scalars())
                made = outputs.c.sop_instance_uid.in_(uids)
                known.update(connection.execute(select(outputs.c.sop_instance_uid).where(made)).scalars())
        return known

    def unfinished_studies(self, at_most: int) -> int:
        """See `BackfillLedger.unfinished_studies`. Reads no more than about `at_most` entries of two small indexes."""
        open_ones = select(studies.c.id).where(studies.c.open_since.is_not(None)).limit(at_most)
        waiting = (
            select(jobs.c.id).where(jobs.c.kind == JobKind.ANALYSE, jobs.c.state == JobState.WAITING).limit(at_most)
        )
        with transaction(self._reading) as connection:
            return sum(
                connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
                for query in (open_ones, waiting)
            )


def _add_missing(connection: Connection, archive: str, uids: list[str], wanted: set[str], now: datetime) -> None:
    """One statement for all; two runs at once add each study once."""
    row = {
        "archive": archive,
        "modalities": "\\".join(sorted(wanted)),
        "state": BackfillState.FOUND,
        "attempts": 0,
        "instances": 0,
        "found_at": now,
        "changed_at": now,
    }
    insert = sqlite.insert(past) if connection.dialect.name == "sqlite" else postgresql.insert(past)
    # In one order everywhere, so that two runs that add the same studies wait for each other instead of dead-locking.
    values = [{**row, "study_instance_uid": uid} for uid in sorted(uids)]
    connection.execute(
        insert.values(values).on_conflict_do_nothing(index_elements=[past.c.archive, past.c.study_instance_uid])
    )


def _want_more(connection: Connection, study: BackfillStudy, wanted: set[str], now: datetime) -> None:
    """Find it again, for these modalities too."""
    connection.execute(
        update(past)
        .where(_as_seen(study))
        .values(
            state=BackfillState.FOUND,
            attempts=0,
            reason=None,
            modalities="\\".join(sorted(wanted.union(study.modalities))),
            changed_at=now,
        )
    )


def _by_uid(connection: Connection, archive: str, uids: Sequence[str]) -> dict[str, BackfillStudy]:
    found: dict[str, BackfillStudy] = {}
    for piece in _pieces(uids):
        query = select(past).where(past.c.archive == archive, past.c.study_instance_uid.in_(piece))
        found |= {row.study_instance_uid: _study(row) for row in connection.execute(query)}
    return found


def _as_seen(study: BackfillStudy) -> ColumnElement[bool]:
    """The row, while nobody changed it."""
    owner = past.c.owner.is_(None) if study.owner is None else past.c.owner == study.owner
    return and_(past.c.id == study.id, past.c.state == study.state, past.c.attempts == study.attempts, owner)


def _study(row: Row[*tuple[Any, ...]]) -> BackfillStudy:
    columns = row._asdict()
    return BackfillStudy(**{**columns, "modalities": tuple(columns["modalities"].split("\\"))})


def _pieces(values: Sequence[str]) -> Iterator[list[str]]:
    different = list(dict.fromkeys(values))
    return (different[start : start + _AT_ONCE] for start in range(0, len(different), _AT_ONCE))
