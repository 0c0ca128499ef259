"""What was made of a study, in memory: what `sql_results` does, as plain assignments under one lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.ledger import AnalysisRow, DeliveryRow, Finish
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.jobs.memory_intake import MemoryIntake
from ocunet_pacs.jobs.transitions import after, delivery_priority

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from threading import RLock

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import Addressed, Output
    from ocunet_pacs.domain.study import ReasonCode, StoredInstance


@dataclass
class MadeOutput:
    """A row of `outputs`."""

    id: int
    analysis_id: int
    output: Output
    gone: ReasonCode | None = None


class MemoryResults(MemoryIntake):
    """The part of `Ledger` that analysing uses."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._outputs: dict[str, MadeOutput] = {}
        self._deliveries: dict[int, DeliveryRow] = {}
        self._bundle_digests: dict[int, str] = {}

    def analysis(self, analysis_id: int) -> AnalysisRow:
        """See `Ledger.analysis`."""
        with self._lock:
            row = self._analyses[analysis_id]
            study = self._studies[row.study_id]
            return replace(
                row,
                newest_revision=study.revision,
                patient_conflict=study.conflict_at is not None,
                patient_digest=study.patient_digest,
            )

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
            of_uid = (study for study in self._studies.values() if study.uid == study_instance_uid)
            return max((study.revision for study in of_uid), default=0)

    def predecessor(self, analysis_id: int) -> tuple[int, tuple[Output, ...]] | None:
        """See `Ledger.predecessor`."""
        with self._lock:
            this = self._analyses.get(analysis_id)
            if this is None:
                return None
            reports: dict[int, tuple[Output, ...]] = {}
            for made in self._outputs.values():
                if made.output.kind is OutputKind.REPORT:
                    reports[made.analysis_id] = (*reports.get(made.analysis_id, ()), made.output)
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
        outputs: Sequence[Addressed],
        expected_predecessor: int | None,
        delivery_attempts: int,
        now: datetime,
        note: str | None = None,
        urgency: Urgency | None = None,
        bundle_digest: str = "",
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
            self._bundle_digests[row.id] = bundle_digest
            finished = replace(row, finished_at=now, urgency=urgency)
            twin = next((other.id for other in self._analyses.values() if other.key == key), None)
            if twin is not None:
                self._analyses[row.id] = finished
                self._jobs[job.id] = after(job, Done(f"analysis {twin} is the same work"), now, jitter=0.0)
                return Finish.APPLIED
            self._analyses[row.id] = replace(finished, key=key, result=result)
            self._add_outputs(row.id, outputs, delivery_attempts, now, delivery_priority(job, urgency))
            self._jobs[job.id] = after(job, Done(note), now, jitter=0.0)
            return Finish.APPLIED

    def _superseded(self, row: AnalysisRow) -> bool:
        return any(
            other.study_id == row.study_id and other.revision > row.revision and other.finished_at is not None
            for other in self._analyses.values()
        )

    def _add_outputs(
        self, analysis_id: int, outputs: Sequence[Addressed], attempts: int, now: datetime, priority: int
    ) -> None:
        for addressed in outputs:
            new = MadeOutput(len(self._outputs) + 1, analysis_id, addressed.output)
            made = self._outputs.setdefault(new.output.sop_instance_uid, new)
            if made.gone is not None:
                self._replace_file(made, addressed.output.file_key)
            output = made.output
            sent_to = {row.destination for row in self._deliveries.values() if row.output == output}
            for destination in dict.fromkeys(addressed.destinations):
                if destination in sent_to:
                    continue
                delivery_id = len(self._deliveries) + 1
                self._deliveries[delivery_id] = DeliveryRow(delivery_id, output, destination, None, None)
                self._add(JobKind.DELIVER, delivery_id, attempts, now, priority)

    def _replace_file(self, made: MadeOutput, file_key: str) -> None:
        lost, made.output, made.gone = made.output, replace(made.output, file_key=file_key), None
        for row in list(self._deliveries.values()):
            if row.output == lost:
                self._deliveries[row.id] = replace(row, output=made.output)

    def named_results(self, file_keys: Collection[str]) -> set[str]:
        """See `Ledger.named_results`."""
        with self._lock:
            return {made.output.file_key for made in self._outputs.values()} & set(file_keys)

    def output_uids(self) -> Iterator[str]:
        """See `Ledger.output_uids`."""
        with self._lock:
            return iter(list(self._outputs))

    def is_output(self, sop_instance_uid: str) -> bool:
        """See `Ledger.is_output`."""
        with self._lock:
            return sop_instance_uid in self._outputs
