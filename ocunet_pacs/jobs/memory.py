"""Queue, ledger, upkeep, shadows and drift in memory: the same ports with nothing durable, for tests of their users."""

from __future__ import annotations

from threading import RLock

from ocunet_pacs.domain.backlog import BacklogReader
from ocunet_pacs.domain.drift import DriftLedger
from ocunet_pacs.domain.ledger import Ledger
from ocunet_pacs.domain.shadow import ShadowLedger
from ocunet_pacs.domain.upkeep import Upkeep
from ocunet_pacs.jobs.memory_backlog import MemoryBacklog


class MemoryJobs(MemoryBacklog, Ledger, Upkeep, ShadowLedger, DriftLedger, BacklogReader):
    """All six ports in memory; threads may share it. Ids count from 1 in each table, as SQLite's do."""

    def __init__(self) -> None:
        super().__init__(RLock())
