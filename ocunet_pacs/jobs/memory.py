"""Queue and ledger in memory: the same ports with nothing durable, for tests of whatever stands on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.ledger import AnalysisRow, DeliveryRow, Finish
from ocunet_pacs.domain.ports import Ledger
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.study import OpenStudy, StoredInstance
from ocunet_pacs.jobs.memory_queue import MemoryQueue
from ocunet_pacs.jobs.text import storable
from ocunet_pacs.jobs.transitions import after

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.result import Output
    from ocunet_pacs.domain.study import ReceivedInstance


@dataclass
class _Study:
    id: int
    uid: str
    open_since: datetime | None
    last_received_at: datetime
    revision: int = 0


@dataclass
class _Instance:
    stored: StoredInstance
    study_id: int
    opens_study: bool
    revision: int | None = None


class MemoryJobs(MemoryQueue, Ledger):
    """`JobQueue` and `Ledger` in memory; threads may share it. Ids count from 1 in each table, as SQLite's do."""

    def __init__(self) -> None:
        super().__init__(RLock())
        self._studies: dict[str, _Study] = {}
        self._instances: dict[str, _Instance] = {}
        self._analyses: dict[int, AnalysisRow] = {}
        self._outputs: dict[str, tuple[int, Output]] = {}
        self._deliveries: dict[int, DeliveryRow] = {}

    def record_instance(self, instance: ReceivedInstance) -> bool:
        """See `Ledger.record_instance`."""
        with self._lock:
            if instance.sop_instance_uid in self._instances:
                return False
            study = self._touch_study(instance)
            ordinal = 1 + sum(other.study_id == study.id for other in self._instances.values())
            stored = StoredInstance(
                id=len(self._instances) + 1,
                study_instance_uid=study.uid,
                series_instance_uid=instance.series_instance_uid,
                sop_instance_uid=instance.sop_instance_uid,
                sop_class_uid=instance.sop_class_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
                file_key=instance.file_key,
                ordinal=ordinal,
            )
            self._instances[instance.sop_instance_uid] = _Instance(stored, study.id, instance.opens_study)
            return True

    def _touch_study(self, instance: ReceivedInstance) -> _Study:
        arrived = instance.received_at
        study = self._studies.get(instance.study_instance_uid)
        if study is None:
            study = _Study(len(self._studies) + 1, instance.study_instance_uid, None, arrived)
            self._studies[study.uid] = study
        if instance.opens_study:
            if study.open_since is None:
                study.open_since = study.last_received_at = arrived
            study.last_received_at = max(study.last_received_at, arrived)
        return study

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """See `Ledger.find_instance`."""
        with self._lock:
            found = self._instances.get(sop_instance_uid)
            return None if found is None else found.stored

    def studies_due(self, now: datetime, quiet_period: timedelta, force_after: timedelta) -> list[OpenStudy]:
        """See `Ledger.studies_due`. The one that has been open longest comes first."""
        with self._lock:
            due = [
                OpenStudy(study.id, study.uid, study.open_since, study.last_received_at)
                for study in self._studies.values()
                if study.open_since is not None
                and (study.last_received_at <= now - quiet_period or study.open_since <= now - force_after)
            ]
            return sorted(due, key=lambda study: (study.open_since, study.id))

    def open_studies(self) -> int:
        """How many studies are open."""
        with self._lock:
            return sum(study.open_since is not None for study in self._studies.values())

    def close_study(self, study: OpenStudy, now: datetime, max_attempts: int) -> int | None:
        """See `Ledger.close_study`."""
        with self._lock:
            row = self._studies.get(study.study_instance_uid)
            if row is None or (row.open_since, row.last_received_at) != (study.open_since, study.last_received_at):
                return None
            row.open_since = None
            row.revision += 1
            for instance in self._instances.values():
                if instance.study_id == row.id and instance.revision is None:
                    instance.revision = row.revision
            analysis_id = len(self._analyses) + 1
            self._analyses[analysis_id] = AnalysisRow(analysis_id, row.id, row.uid, row.revision, None, None, None)
            return self._add(JobKind.ANALYSE, analysis_id, max_attempts, now)

    def analysis(self, analysis_id: int) -> AnalysisRow:
        """See `Ledger.analysis`."""
        with self._lock:
            return self._analyses[analysis_id]

    def analysis_instances(self, analysis_id: int) -> list[StoredInstance]:
        """See `Ledger.analysis_instances`."""
        with self._lock:
            row = self._analyses.get(analysis_id)
            if row is None:
                return []
            return [
                instance.stored
                for instance in self._instances.values()
                if instance.study_id == row.study_id
                and instance.opens_study
                and instance.revision is not None
                and instance.revision <= row.revision
            ]

    def newest_revision(self, study_instance_uid: str) -> int:
        """See `Ledger.newest_revision`."""
        with self._lock:
            study = self._studies.get(study_instance_uid)
            return 0 if study is None else study.revision

    def predecessor(self, analysis_id: int) -> tuple[int, Output] | None:
        """See `Ledger.predecessor`."""
        with self._lock:
            this = self._analyses.get(analysis_id)
            if this is None:
                return None
            reports: dict[int, Output] = {}
            for made_by, output in self._outputs.values():
                if output.kind is OutputKind.REPORT:
                    reports.setdefault(made_by, output)
            earlier = [
                row
                for row in self._analyses.values()
                if row.study_id == this.study_id
                and row.revision < this.revision
                and row.finished_at is not None
                and row.id in reports
            ]
            if not earlier:
                return None
            latest = max(earlier, key=lambda row: row.revision)
            return latest.id, reports[latest.id]

    def finish_analysis(
        self,
        job: Job,
        *,
        key: str,
        result: str,
        outputs: Sequence[Output],
        destinations: Sequence[str],
        expected_predecessor: int | None,
        delivery_attempts: int,
        now: datetime,
        note: str | None = None,
    ) -> Finish:
        """See `Ledger.finish_analysis`. When another analysis holds `key` already, nothing is added: APPLIED."""
        if job.kind is not JobKind.ANALYSE:
            msg = f"job {job.id} is no analysis but {job.kind}"
            raise ValueError(msg)
        with self._lock:
            if not self._still_ours(job):
                return Finish.LOST
            row = self._analyses[job.subject_id]
            if self._superseded(row):
                self._jobs[job.id] = after(job, Done("a later revision is finished already"), now, jitter=0.0)
                return Finish.SUPERSEDED
            predecessor = self.predecessor(row.id)
            if (None if predecessor is None else predecessor[0]) != expected_predecessor:
                return Finish.PREDECESSOR_CHANGED
            twin = next((other.id for other in self._analyses.values() if other.key == key), None)
            if twin is not None:
                self._analyses[row.id] = replace(row, finished_at=now)
                self._jobs[job.id] = after(job, Done(f"analysis {twin} is the same work"), now, jitter=0.0)
                return Finish.APPLIED
            self._analyses[row.id] = replace(row, key=key, result=result, finished_at=now)
            self._add_outputs(row.id, outputs, destinations, delivery_attempts, now)
            self._jobs[job.id] = after(job, Done(note), now, jitter=0.0)
            return Finish.APPLIED

    def _superseded(self, row: AnalysisRow) -> bool:
        return any(
            other.study_id == row.study_id and other.revision > row.revision and other.finished_at is not None
            for other in self._analyses.values()
        )

    def _add_outputs(
        self, analysis_id: int, outputs: Sequence[Output], destinations: Sequence[str], attempts: int, now: datetime
    ) -> None:
        for output in outputs:
            if output.sop_instance_uid in self._outputs:
                continue
            self._outputs[output.sop_instance_uid] = (analysis_id, output)
            for destination in dict.fromkeys(destinations):
                delivery_id = len(self._deliveries) + 1
                self._deliveries[delivery_id] = DeliveryRow(delivery_id, output, destination, None, None)
                self._add(JobKind.DELIVER, delivery_id, attempts, now)

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """See `Ledger.delivery`."""
        with self._lock:
            return self._deliveries[delivery_id]

    def record_delivery(self, delivery_id: int, status: int | None, comment: str, now: datetime) -> None:  # noqa: ARG002
        """See `Ledger.record_delivery`. KeyError when there is no such delivery."""
        with self._lock:
            row = self._deliveries[delivery_id]
            self._deliveries[delivery_id] = replace(row, status=status, comment=storable(comment))

    def output_uids(self) -> Iterator[str]:
        """See `Ledger.output_uids`."""
        with self._lock:
            return iter(list(self._outputs))

    def is_output(self, sop_instance_uid: str) -> bool:
        """See `Ledger.is_output`."""
        with self._lock:
            return sop_instance_uid in self._outputs
