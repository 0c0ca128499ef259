"""Files that rows name, files that are lost, and who last looked, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from ocunet_pacs.domain.upkeep import FileOwner, KeptFile, TaskRun, Upkeep, UpkeepCounts
from ocunet_pacs.jobs.engine import transaction
from ocunet_pacs.jobs.schema import housekeeping, instances, outputs, studies
from ocunet_pacs.jobs.sql_clock import mend_times
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_retention import SqlRetention

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Table

    from ocunet_pacs.domain.upkeep import LongestWaits


class SqlUpkeep(SqlRetention, Upkeep):
    """`Upkeep` over an engine of `open_engine`, whose schema is up to date. Threads may share it; forks may not."""

    def kept_files(self, owner: FileOwner, after_id: int, limit: int) -> list[KeptFile]:
        """See `Upkeep.kept_files`."""
        table = _table(owner)
        query = (
            select(table.c.id, table.c.file_key, table.c.missing_at.is_not(None))
            .where(table.c.id > after_id, table.c.removed_at.is_(None))
            .order_by(table.c.id)
            .limit(limit)
        )
        with transaction(self._reading) as connection:
            return [KeptFile(*row) for row in connection.execute(query)]

    def file_states(self, owner: FileOwner, keys: Sequence[str]) -> dict[str, bool]:
        """See `Upkeep.file_states`."""
        table = _table(owner)
        query = select(table.c.file_key, table.c.removed_at.is_not(None)).where(table.c.file_key.in_(keys))
        with transaction(self._reading) as connection:
            return {row.file_key: row[1] for row in connection.execute(query)}

    def mark_missing(self, owner: FileOwner, rows: Sequence[KeptFile], now: datetime) -> int:
        """See `Upkeep.mark_missing`."""
        return self._mark(owner, rows, now)

    def mark_found(self, owner: FileOwner, rows: Sequence[KeptFile]) -> int:
        """See `Upkeep.mark_found`."""
        return self._mark(owner, rows, None)

    def _mark(self, owner: FileOwner, rows: Sequence[KeptFile], missing_at: datetime | None) -> int:
        table = _table(owner)
        with transaction(self._writing) as connection:
            return sum(
                connection.execute(
                    update(table)
                    .where(table.c.id == row.id, table.c.file_key == row.file_key, table.c.removed_at.is_(None))
                    .values(missing_at=missing_at)
                ).rowcount
                for row in rows
            )

    def upkeep_counts(self) -> UpkeepCounts:
        """See `Upkeep.upkeep_counts`."""
        with transaction(self._reading) as connection:
            return UpkeepCounts(
                *(
                    connection.execute(select(func.count()).where(column.is_not(None))).scalar_one()
                    for column in (studies.c.conflict_at, instances.c.missing_at, outputs.c.missing_at)
                )
            )

    def mend_times(self, now: datetime, longest: LongestWaits) -> int:
        """See `Upkeep.mend_times`."""
        with transaction(self._writing) as connection:
            return mend_times(connection, now, longest)

    def record_run(self, task: str, started_at: datetime, seconds: float, *, succeeded: bool, note: str) -> None:
        """See `Upkeep.record_run`."""
        ended_at = started_at + timedelta(seconds=seconds)
        run = {"started_at": started_at, "seconds": seconds, "succeeded": succeeded, "note": note}
        if succeeded:
            run["succeeded_at"] = ended_at
        with transaction(self._writing) as connection:
            insert = insert_into(connection, housekeeping).values(task=task, **run)
            newer = insert.on_conflict_do_update(
                index_elements=[housekeeping.c.task], set_=run, where=housekeeping.c.started_at <= started_at
            )
            connection.execute(newer)

    def task_runs(self) -> list[TaskRun]:
        """See `Upkeep.task_runs`."""
        query = select(
            housekeeping.c.task,
            housekeeping.c.started_at,
            housekeeping.c.seconds,
            housekeeping.c.succeeded,
            housekeeping.c.succeeded_at,
            housekeeping.c.note,
        ).order_by(housekeeping.c.task)
        with transaction(self._reading) as connection:
            return [TaskRun(**row._asdict()) for row in connection.execute(query)]


def _table(owner: FileOwner) -> Table:
    return instances if owner is FileOwner.INSTANCES else outputs
