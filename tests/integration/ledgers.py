"""The product's ledger on an SQLite file of its own, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import for_reading, open_engine, transaction
from ocunet_pacs.jobs.schema import instances
from ocunet_pacs.jobs.sql import SqlJobs

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def open_database(path: Path) -> Engine:
    """An engine on the file, which is made when it is missing."""
    engine = open_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    return engine


class FileLedger(SqlJobs):
    """The ledger that a listener of these tests writes to."""

    def __init__(self, path: Path) -> None:
        self.engine = open_database(path)
        super().__init__(self.engine)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all instances, in order of arrival."""
        with transaction(for_reading(self.engine)) as connection:
            return [dict(row._mapping) for row in connection.execute(select(instances).order_by(instances.c.id))]

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()
