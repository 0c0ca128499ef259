"""What arrives, in memory: what `sql_intake` does, as plain assignments under one lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.ledger import AnalysisRow
from ocunet_pacs.domain.study import Arrival, OpenStudy, ReasonCode, StoredInstance
from ocunet_pacs.jobs.memory_queue import MemoryQueue
from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta
    from threading import RLock

    from ocunet_pacs.domain.study import ReceivedInstance


@dataclass
class Study:
    """A row of `studies`."""

    id: int
    uid: str
    patient_digest: str
    last_received_at: datetime
    open_since: datetime | None = None
    quiet_until: datetime | None = None
    revision: int = 0
    conflict_at: datetime | None = None
    removed_at: datetime | None = None

    def open(self, instance: ReceivedInstance) -> None:
        """As `sql_studies.opened`."""
        arrived, quiet_until = instance.received_at, instance.received_at + instance.quiet_period
        if self.open_since is None or self.quiet_until is None:
            self.open_since, self.last_received_at, self.quiet_until = arrived, arrived, quiet_until
        self.last_received_at = max(self.last_received_at, arrived)
        self.quiet_until = max(self.quiet_until, quiet_until)
        self.removed_at = None


@dataclass
class Instance:
    """A row of `instances`."""

    stored: StoredInstance
    study_id: int
    opens_study: bool
    revision: int | None = None


class MemoryIntake(MemoryQueue):
    """The part of `Ledger` that the listener and the closer of studies use."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._studies: dict[int, Study] = {}
        self._instances: dict[str, Instance] = {}
        self._analyses: dict[int, AnalysisRow] = {}

    def record_instance(self, instance: ReceivedInstance, has_file: Callable[[str], bool] | None = None) -> Arrival:
        """See `Ledger.record_instance`."""
        with self._lock:
            row = self._instances.get(instance.sop_instance_uid)
            if row is not None:
                return self._record_again(row, instance, has_file)
            study, conflict = self._touch_study(instance)
            stored = StoredInstance(
                id=len(self._instances) + 1,
                study_instance_uid=study.uid,
                series_instance_uid=instance.series_instance_uid,
                sop_instance_uid=instance.sop_instance_uid,
                sop_class_uid=instance.sop_class_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
                file_key=instance.file_key,
                ordinal=1 + sum(other.study_id == study.id for other in self._instances.values()),
                source=instance.source,
                source_ae_title=storable(instance.source_ae_title),
            )
            self._instances[instance.sop_instance_uid] = Instance(stored, study.id, instance.opens_study)
            return Arrival(added=True, conflict=conflict)

    def _touch_study(self, instance: ReceivedInstance) -> tuple[Study, bool]:
        siblings = [study for study in self._studies.values() if study.uid == instance.study_instance_uid]
        if not instance.opens_study:
            study = siblings[0] if siblings else self._new_study(instance, "")
            study.removed_at = None
            return study, False
        mine = next((s for s in siblings if s.patient_digest == instance.patient_digest), None)
        if mine is not None:
            mine.open(instance)
            return mine, mine.conflict_at is not None and mine is not siblings[0]
        mine = next((s for s in siblings if not s.patient_digest), None) or self._new_study(instance, "")
        mine.patient_digest = instance.patient_digest
        mine.open(instance)
        others = [study for study in siblings if study is not mine]
        if others:
            self._flag([*others, mine], instance)
        return mine, bool(others)

    def _new_study(self, instance: ReceivedInstance, patient_digest: str) -> Study:
        study_id = len(self._studies) + 1
        study = Study(study_id, instance.study_instance_uid, patient_digest, instance.received_at)
        self._studies[study_id] = study
        return study

    def _flag(self, studies: list[Study], instance: ReceivedInstance) -> None:
        for study in studies:
            if study.conflict_at is not None:
                continue
            study.conflict_at = instance.received_at
            has_files = any(
                row.study_id == study.id and row.opens_study and row.stored.gone is None
                for row in self._instances.values()
            )
            if study.open_since is None and study.revision > 0 and has_files:
                study.open(instance)

    def _record_again(
        self, row: Instance, instance: ReceivedInstance, has_file: Callable[[str], bool] | None
    ) -> Arrival:
        study = self._studies[row.study_id]
        known = instance.opens_study and study.patient_digest and instance.patient_digest
        if known and study.patient_digest != instance.patient_digest:
            self._flag([study], instance)
            return Arrival(added=False, conflict=True)
        if row.stored.gone is None and (has_file is None or has_file(row.stored.file_key)):
            return Arrival(added=False)
        removed = row.stored.gone is ReasonCode.FILE_REMOVED
        row.stored = replace(
            row.stored, file_key=instance.file_key, transfer_syntax_uid=instance.transfer_syntax_uid, gone=None
        )
        if instance.opens_study and not removed:
            study.open(instance)
        elif study.open_since is None:
            study.last_received_at = instance.received_at
        else:
            study.last_received_at = max(study.last_received_at, instance.received_at)
        study.removed_at = None
        return Arrival(added=False, healed=True)

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """See `Ledger.find_instance`."""
        with self._lock:
            found = self._instances.get(sop_instance_uid)
            return None if found is None else found.stored

    def studies_due(self, now: datetime, force_after: timedelta) -> list[OpenStudy]:
        """See `Ledger.studies_due`. The one that has been open longest comes first."""
        with self._lock:
            due = [
                OpenStudy(study.id, study.uid, study.open_since, study.last_received_at, study.quiet_until)
                for study in self._studies.values()
                if study.open_since is not None
                and study.quiet_until is not None
                and (study.quiet_until <= now or study.open_since <= now - force_after)
            ]
            return sorted(due, key=lambda study: (study.open_since, study.id))

    def open_studies(self) -> int:
        """How many studies are open."""
        with self._lock:
            return sum(study.open_since is not None for study in self._studies.values())

    def hasten_studies(self, study_instance_uids: Collection[str]) -> int:
        """See `Ledger.hasten_studies`."""
        with self._lock:
            hastened = [
                study
                for study in self._studies.values()
                if study.uid in study_instance_uids
                and study.quiet_until is not None
                and study.quiet_until > study.last_received_at
            ]
            for study in hastened:
                study.quiet_until = study.last_received_at
            return len(hastened)

    def close_study(self, study: OpenStudy, now: datetime, max_attempts: int) -> int | None:
        """See `Ledger.close_study`."""
        with self._lock:
            row = self._studies.get(study.id)
            if row is None or (row.open_since, row.last_received_at) != (study.open_since, study.last_received_at):
                return None
            row.open_since = row.quiet_until = None
            return self._add_revision(row, max_attempts, now)

    def _add_revision(self, study: Study, max_attempts: int, now: datetime, priority: int = 0) -> int:
        study.revision += 1
        for instance in self._instances.values():
            if instance.study_id == study.id and instance.revision is None:
                instance.revision = study.revision
        analysis_id = len(self._analyses) + 1
        self._analyses[analysis_id] = AnalysisRow(analysis_id, study.id, study.uid, study.revision, None, None, None)
        return self._add(JobKind.ANALYSE, analysis_id, max_attempts, now, priority)
