"""The ledger on SQLite and PostgreSQL: what arrives, what was made of it, and where that went."""

from __future__ import annotations

from ocunet_pacs.domain.ledger import Ledger
from ocunet_pacs.jobs.sql_deliveries import SqlDeliveries
from ocunet_pacs.jobs.sql_destinations import SqlDestinations
from ocunet_pacs.jobs.sql_intake import SqlIntake
from ocunet_pacs.jobs.sql_results import SqlResults
from ocunet_pacs.jobs.sql_revisions import SqlRevisions


class SqlLedger(SqlIntake, SqlResults, SqlRevisions, SqlDeliveries, SqlDestinations, Ledger):
    """`Ledger` over an engine of `open_engine`, whose schema is up to date. Threads may share it; forks may not."""
