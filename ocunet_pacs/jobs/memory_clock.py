"""Times that a clock wrote which was put back since, in memory: what `sql_clock` does, as plain assignments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.upkeep import CLOCKS_DIFFER
from ocunet_pacs.jobs.memory_revisions import MemoryRevisions

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.domain.upkeep import LongestWaits


class MemoryClock(MemoryRevisions):
    """`Upkeep.mend_times`."""

    def mend_times(self, now: datetime, longest: LongestWaits) -> int:
        """See `Upkeep.mend_times`."""
        with self._lock:
            rows = self._mend_jobs(now, longest) + self._mend_studies(now, longest)
            return rows + self._mend_destinations(now, longest) + self._mend_deliveries(now)

    def _mend_jobs(self, now: datetime, longest: LongestWaits) -> int:
        mended = {}
        for job in self._jobs.values():
            if job.state is JobState.WAITING and job.run_at > now + longest.job:
                mended[job.id] = replace(job, run_at=now)
            elif job.lease_expires_at is not None and job.lease_expires_at > now + longest.lease:
                mended[job.id] = replace(job, lease_expires_at=now + longest.lease)
        self._jobs.update(mended)
        return len(mended)

    def _mend_studies(self, now: datetime, longest: LongestWaits) -> int:
        count = 0
        for study in self._studies.values():
            if study.open_since is None or study.quiet_until is None:
                continue
            if study.open_since > now + CLOCKS_DIFFER or study.quiet_until > now + longest.quiet:
                study.open_since = min(study.open_since, now)
                study.last_received_at = min(study.last_received_at, now)
                study.quiet_until = min(study.quiet_until, now + longest.quiet)
                count += 1
        return count

    def _mend_destinations(self, now: datetime, longest: LongestWaits) -> int:
        mended = {}
        for name, circuit in self._circuits.items():
            if circuit.down_since is None or circuit.probe_at is None:
                continue
            if circuit.down_since > now + CLOCKS_DIFFER or circuit.probe_at > now + longest.job:
                earlier = min(circuit.down_since, now), min(circuit.probe_at, now)
                mended[name] = replace(circuit, down_since=earlier[0], probe_at=earlier[1])
        self._circuits.update(mended)
        return len(mended)

    def _mend_deliveries(self, now: datetime) -> int:
        mended = {}
        for number, row in self._deliveries.items():
            if row.stored_at is None or row.committed_at is not None or row.failure is not None:
                continue
            if max(row.stored_at, row.asked_at or row.stored_at) > now + CLOCKS_DIFFER:
                asked_at = None if row.asked_at is None else min(row.asked_at, now)
                mended[number] = replace(row, stored_at=min(row.stored_at, now), asked_at=asked_at)
        self._deliveries.update(mended)
        return len(mended)
