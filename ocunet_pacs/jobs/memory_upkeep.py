"""Which files may go and which are lost, in memory: what `sql_upkeep` does, as plain assignments under one lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.domain.upkeep import FileOwner, KeptFile, KeptStudy, TaskRun, UpkeepCounts
from ocunet_pacs.jobs.memory_clock import MemoryClock
from ocunet_pacs.jobs.memory_results import MadeOutput
from ocunet_pacs.jobs.memory_revisions import FINAL
from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from threading import RLock

    from ocunet_pacs.jobs.memory_intake import Instance, Study


class MemoryUpkeep(MemoryClock):
    """The methods of `Upkeep`."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._runs: dict[str, TaskRun] = {}

    def removable_studies(self, before: datetime, after: KeptStudy | None, limit: int) -> list[KeptStudy]:
        """See `Upkeep.removable_studies`."""
        with self._lock:
            found = sorted(
                KeptStudy(study.last_received_at, study.id)
                for study in self._studies.values()
                if study.last_received_at < before and self._is_needless(study)
            )
            return [study for study in found if after is None or study > after][:limit]

    def mark_removed(self, study_id: int, now: datetime) -> list[str]:
        """See `Upkeep.mark_removed`."""
        with self._lock:
            study = self._studies.get(study_id)
            if study is None or not self._is_needless(study):
                return []
            study.removed_at = now
            keys = []
            for instance in self._instances.values():
                if instance.study_id == study_id and instance.stored.gone is not ReasonCode.FILE_REMOVED:
                    instance.stored = replace(instance.stored, gone=ReasonCode.FILE_REMOVED)
                    keys.append(instance.stored.file_key)
            for made in self._made_for(study_id):
                if made.gone is not ReasonCode.FILE_REMOVED:
                    made.gone = ReasonCode.FILE_REMOVED
                    keys.append(made.output.file_key)
            return keys

    def _is_needless(self, study: Study) -> bool:
        if study.removed_at is not None or study.open_since is not None or self._is_unfinished(study):
            return False
        # A revision whose results nobody was to get: then ours are the only copies.
        sent: dict[int, bool] = {}
        for made in self._made_for(study.id):
            going = self._going(made)
            states = [j.state for j in self._jobs.values() if j.kind is JobKind.DELIVER and j.subject_id in going]
            if not all(state in FINAL for state in states):
                return False
            sent[made.analysis_id] = sent.get(made.analysis_id, False) or bool(going)
        return all(sent.values())

    def _going(self, made: MadeOutput) -> set[int]:
        uid = made.output.sop_instance_uid
        return {row.id for row in self._deliveries.values() if row.output.sop_instance_uid == uid}

    def _made_for(self, study_id: int) -> Iterator[MadeOutput]:
        return (made for made in self._outputs.values() if self._analyses[made.analysis_id].study_id == study_id)

    def kept_files(self, owner: FileOwner, after_id: int, limit: int) -> list[KeptFile]:
        """See `Upkeep.kept_files`."""
        with self._lock:
            rows = [
                KeptFile(row_id, key, gone is ReasonCode.FILE_MISSING)
                for row_id, key, gone in self._files_of(owner)
                if row_id > after_id and gone is not ReasonCode.FILE_REMOVED
            ]
            return rows[:limit]

    def _files_of(self, owner: FileOwner) -> Iterator[tuple[int, str, ReasonCode | None]]:
        if owner is FileOwner.INSTANCES:
            yield from ((i.stored.id, i.stored.file_key, i.stored.gone) for i in self._instances.values())
        else:
            yield from ((made.id, made.output.file_key, made.gone) for made in self._outputs.values())

    def file_states(self, owner: FileOwner, keys: Sequence[str]) -> dict[str, bool]:
        """See `Upkeep.file_states`."""
        with self._lock:
            wanted = set(keys)
            return {key: gone is ReasonCode.FILE_REMOVED for _, key, gone in self._files_of(owner) if key in wanted}

    def mark_missing(self, owner: FileOwner, rows: Sequence[KeptFile], now: datetime) -> int:  # noqa: ARG002
        """See `Upkeep.mark_missing`."""
        return self._mark(owner, rows, ReasonCode.FILE_MISSING)

    def mark_found(self, owner: FileOwner, rows: Sequence[KeptFile]) -> int:
        """See `Upkeep.mark_found`."""
        return self._mark(owner, rows, None)

    def _mark(self, owner: FileOwner, rows: Sequence[KeptFile], gone: ReasonCode | None) -> int:
        with self._lock:
            wanted = {(row.id, row.file_key) for row in rows}
            marked = [
                row_id
                for row_id, key, was in self._files_of(owner)
                if (row_id, key) in wanted and was is not ReasonCode.FILE_REMOVED
            ]
            for row in self._rows_of(owner):
                if isinstance(row, MadeOutput):
                    row.gone = gone if row.id in marked else row.gone
                elif row.stored.id in marked:
                    row.stored = replace(row.stored, gone=gone)
            return len(marked)

    def _rows_of(self, owner: FileOwner) -> list[Instance | MadeOutput]:
        return list(self._instances.values() if owner is FileOwner.INSTANCES else self._outputs.values())

    def upkeep_counts(self) -> UpkeepCounts:
        """See `Upkeep.upkeep_counts`."""
        with self._lock:
            missing = ReasonCode.FILE_MISSING
            return UpkeepCounts(
                patient_conflicts=sum(study.conflict_at is not None for study in self._studies.values()),
                missing_instances=sum(gone is missing for _, _, gone in self._files_of(FileOwner.INSTANCES)),
                missing_results=sum(gone is missing for _, _, gone in self._files_of(FileOwner.RESULTS)),
            )

    def record_run(self, task: str, started_at: datetime, seconds: float, *, succeeded: bool, note: str) -> None:
        """See `Upkeep.record_run`."""
        with self._lock:
            last = self._runs.get(task)
            if last is not None and last.started_at > started_at:
                return
            before = None if last is None else last.succeeded_at
            ended_at = started_at + timedelta(seconds=seconds) if succeeded else before
            self._runs[task] = TaskRun(task, started_at, seconds, succeeded, ended_at, storable(note))

    def task_runs(self) -> list[TaskRun]:
        """See `Upkeep.task_runs`."""
        with self._lock:
            return [self._runs[task] for task in sorted(self._runs)]
