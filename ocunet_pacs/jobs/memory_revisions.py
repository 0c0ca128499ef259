"""Studies that are reported already, in memory: what `sql_revisions` does, as plain assignments under one lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.ledger import PastStudy
from ocunet_pacs.jobs.memory_destinations import MemoryDestinations

if TYPE_CHECKING:
    from datetime import datetime

    from ocunet_pacs.jobs.memory_intake import Study

FINAL = (JobState.DONE, JobState.DISCARDED)


class MemoryRevisions(MemoryDestinations):
    """The part of `Ledger` that looks back."""

    def past_study(self, study_id: int) -> PastStudy | None:
        """See `Ledger.past_study`."""
        with self._lock:
            study = self._studies.get(study_id)
            return None if study is None or study.revision == 0 else self._as_past(study)

    def studies_like(
        self,
        *,
        study_instance_uid: str | None = None,
        since: datetime | None = None,
        bundle_digest: str | None = None,
        after: int = 0,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[PastStudy]:
        """See `Ledger.studies_like`."""
        with self._lock:
            found = [
                past
                for past in (self._as_past(study) for study in self._studies.values() if study.revision)
                if study_instance_uid in {None, past.study_instance_uid}
                and (since is None or past.last_received_at >= since)
                and (bundle_digest is None or (past.finished_at and past.bundle_digest.startswith(bundle_digest)))
                and (past.id > after if not newest_first else not after or past.id < after)
            ]
            return sorted(found, key=lambda past: past.id, reverse=newest_first)[:limit]

    def request_revision(self, study_id: int, now: datetime, max_attempts: int, priority: int) -> int | None:
        """See `Ledger.request_revision`."""
        with self._lock:
            study = self._studies.get(study_id)
            if study is None or study.revision == 0 or study.open_since is not None or study.removed_at is not None:
                return None
            images = [row.stored for row in self._instances.values() if row.study_id == study_id and row.opens_study]
            if not images or any(image.gone for image in images) or self._is_unfinished(study):
                return None
            return self._add_revision(study, max_attempts, now, priority)

    def _is_unfinished(self, study: Study) -> bool:
        mine = {row.id for row in self._analyses.values() if row.study_id == study.id}
        jobs = self._jobs.values()
        return any(j.kind is JobKind.ANALYSE and j.subject_id in mine and j.state not in FINAL for j in jobs)

    def _as_past(self, study: Study) -> PastStudy:
        finished = [row for row in self._analyses.values() if row.study_id == study.id and row.finished_at is not None]
        newest = max(finished, key=lambda row: row.revision, default=None)
        return PastStudy(
            id=study.id,
            study_instance_uid=study.uid,
            revision=study.revision,
            last_received_at=study.last_received_at,
            finished_at=None if newest is None else newest.finished_at,
            urgency=None if newest is None else newest.urgency,
            bundle_digest="" if newest is None else self._bundle_digests[newest.id],
            removed=study.removed_at is not None,
        )
