"""The ledger on SQLite and PostgreSQL: what arrives, and what was made of it."""

from __future__ import annotations

from ocunet_pacs.domain.ports import Ledger
from ocunet_pacs.jobs.sql_intake import SqlIntake
from ocunet_pacs.jobs.sql_results import SqlResults


class SqlLedger(SqlIntake, SqlResults, Ledger):
    """`Ledger` over an engine of `open_engine`, whose schema is up to date. Threads may share it; forks may not."""
