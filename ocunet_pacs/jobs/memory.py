"""Queue, ledger and upkeep in memory: the same ports with nothing durable, for tests of whatever stands on them."""

from __future__ import annotations

from threading import RLock

from ocunet_pacs.domain.ports import Ledger
from ocunet_pacs.domain.upkeep import Upkeep
from ocunet_pacs.jobs.memory_upkeep import MemoryUpkeep


class MemoryJobs(MemoryUpkeep, Ledger, Upkeep):
    """All three ports in memory; threads may share it. Ids count from 1 in each table, as SQLite's do."""

    def __init__(self) -> None:
        super().__init__(RLock())
