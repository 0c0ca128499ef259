"""Where the fetching of past studies stands, in memory: the same port with nothing durable, for tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.backfill import FINAL, BackfillLedger, BackfillState, BackfillStudy
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_Key = tuple[str, str]


class MemoryBackfill(BackfillLedger):
    """`BackfillLedger` in memory; `jobs` knows the instances and analyses. For one thread."""

    def __init__(self, jobs: MemoryJobs | None = None) -> None:
        self._jobs = jobs or MemoryJobs()
        self._rows: dict[_Key, BackfillStudy] = {}

    def note_found(
        self, archive: str, study_instance_uids: Sequence[str], modalities: Sequence[str], now: datetime
    ) -> list[BackfillStudy]:
        """See `BackfillLedger.note_found`."""
        for uid in sorted(set(study_instance_uids)):
            key, wanted = (archive, uid), tuple(sorted(set(modalities)))
            row = self._rows.get(key)
            if row is None:
                self._rows[key] = BackfillStudy(
                    len(self._rows) + 1, archive, uid, wanted, BackfillState.FOUND, 0, 0, None, None, now, now
                )
            elif not set(wanted) <= set(row.modalities) and row.state is not BackfillState.FETCHING:
                together = tuple(sorted({*wanted, *row.modalities}))
                self._rows[key] = replace(
                    row, state=BackfillState.FOUND, attempts=0, reason=None, modalities=together, changed_at=now
                )
        return [self._rows[archive, uid] for uid in study_instance_uids]

    def look_up(self, archive: str, study_instance_uids: Sequence[str]) -> dict[str, BackfillStudy]:
        """See `BackfillLedger.look_up`."""
        return {uid: self._rows[archive, uid] for uid in study_instance_uids if (archive, uid) in self._rows}

    def claim_study(self, study: BackfillStudy, owner: str, now: datetime) -> BackfillStudy | None:
        """See `BackfillLedger.claim_study`. None for a final one."""
        if study.state in FINAL or not self._is_as_seen(study):
            return None
        return self._put(
            study, state=BackfillState.FETCHING, owner=owner, attempts=study.attempts + 1, reason=None, changed_at=now
        )

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
        if study.state is not BackfillState.FETCHING or not self._is_as_seen(study):
            return False
        self._put(
            study,
            state=state,
            owner=None,
            attempts=study.attempts - (state is BackfillState.FOUND),
            instances=instances,
            reason=None if reason is None else storable(reason),
            changed_at=now,
        )
        return True

    def retry_failed(self, archive: str, now: datetime) -> int:
        """See `BackfillLedger.retry_failed`."""
        failed = [r for r in self._rows.values() if r.archive == archive and r.state is BackfillState.FAILED]
        for row in failed:
            self._put(row, state=BackfillState.FOUND, attempts=0, changed_at=now)
        return len(failed)

    def past_studies(
        self, *, archive: str | None = None, state: BackfillState | None = None, after: int = 0, limit: int = 100
    ) -> list[BackfillStudy]:
        """See `BackfillLedger.past_studies`."""
        rows = [
            row
            for row in self._rows.values()
            if row.id > after and archive in {None, row.archive} and state in {None, row.state}
        ]
        return sorted(rows, key=lambda row: row.id)[:limit]

    def past_study_counts(self) -> dict[tuple[str, BackfillState], int]:
        """See `BackfillLedger.past_study_counts`."""
        return dict(Counter((row.archive, row.state) for row in self._rows.values()))

    def known_instances(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """See `BackfillLedger.known_instances`."""
        return {uid for uid in sop_instance_uids if self._is_here(uid) or self._jobs.is_output(uid)}

    def unfinished_studies(self, at_most: int) -> int:
        """See `BackfillLedger.unfinished_studies`."""
        waiting = self._jobs.counts().get((JobKind.ANALYSE, JobState.WAITING), 0)
        return min(self._jobs.open_studies(), at_most) + min(waiting, at_most)

    def _is_here(self, sop_instance_uid: str) -> bool:
        found = self._jobs.find_instance(sop_instance_uid)
        return found is not None and found.gone is not ReasonCode.FILE_MISSING

    def _is_as_seen(self, study: BackfillStudy) -> bool:
        row = self._rows.get((study.archive, study.study_instance_uid))
        return row is not None and (row.state, row.attempts, row.owner) == (study.state, study.attempts, study.owner)

    def _put(self, study: BackfillStudy, **changes: object) -> BackfillStudy:
        row = replace(study, **changes)  # type: ignore[arg-type]
        self._rows[study.archive, study.study_instance_uid] = row
        return row
