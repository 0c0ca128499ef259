"""Where each object went, in memory: what `sql_deliveries` does, as plain assignments under one lock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.memory_results import MemoryResults
from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from threading import RLock

    from ocunet_pacs.domain.ledger import DeliveryRow
    from ocunet_pacs.domain.result import Commitment


class MemoryDeliveries(MemoryResults):
    """The part of `Ledger` that delivering uses."""

    def __init__(self, lock: RLock) -> None:
        super().__init__(lock)
        self._requests: set[tuple[str, int]] = set()

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """See `Ledger.delivery`."""
        with self._lock:
            return self._whole(self._deliveries[delivery_id])

    def record_delivery(
        self, delivery_id: int, status: int | None, comment: str, now: datetime, *, stored: bool = False
    ) -> None:
        """See `Ledger.record_delivery`. KeyError when there is no such delivery."""
        with self._lock:
            row = replace(self._deliveries[delivery_id], status=status, comment=storable(comment))
            if stored:
                row = replace(
                    row, stored_at=now, transaction_uid=None, asked_at=None, asks=0, committed_at=None, failure=None
                )
                self._forget_requests(delivery_id)
            self._deliveries[delivery_id] = row

    def uncommitted(self, destination: str, asked_before: datetime, limit: int) -> list[DeliveryRow]:
        """See `Ledger.uncommitted`. Not what failed, which is to be stored again, nor what is no longer waited for."""
        with self._lock:
            waited_for = {
                job.subject_id
                for job in self._jobs.values()
                if job.kind is JobKind.DELIVER and job.state in {JobState.WAITING, JobState.RUNNING}
            }
            found = [
                row
                for row in self._deliveries.values()
                if row.destination == destination
                and row.id in waited_for
                and _is_open(row)
                and (row.asked_at is None or row.asked_at <= asked_before)
            ]
            return [self._whole(row) for row in sorted(found, key=lambda row: (row.stored_at, row.id))[:limit]]

    def _whole(self, row: DeliveryRow) -> DeliveryRow:
        """The row with its study."""
        analysis = self._analyses[self._outputs[row.output.sop_instance_uid].analysis_id]
        study = self._studies[analysis.study_id]
        return replace(row, study_instance_uid=study.uid, patient_digest=study.patient_digest)

    def note_asked(self, transaction_uid: str, delivery_ids: Sequence[int], now: datetime) -> None:
        """See `Ledger.note_asked`. What is settled by now is left as it is."""
        with self._lock:
            for delivery_id in set(delivery_ids):
                row = self._deliveries.get(delivery_id)
                if row is not None and _is_open(row):
                    self._deliveries[delivery_id] = replace(
                        row, transaction_uid=transaction_uid, asked_at=now, asks=row.asks + 1
                    )
                    self._requests.add((transaction_uid, delivery_id))

    def note_not_asked(self, transaction_uid: str) -> None:
        """See `Ledger.note_not_asked`. What was asked again since is left as it is."""
        with self._lock:
            for asked, delivery_id in self._requests:
                row = self._deliveries[delivery_id]
                if asked == row.transaction_uid == transaction_uid and row.asked_at is not None:
                    self._deliveries[delivery_id] = replace(row, asked_at=None, asks=row.asks - 1)

    def record_commitment(self, commitment: Commitment, now: datetime) -> int:
        """See `Ledger.record_commitment`. As `sql_deliveries`: an earlier request may say yes, the last alone no."""
        with self._lock:
            settled = []
            for transaction_uid, delivery_id in sorted(self._requests):
                if transaction_uid != commitment.transaction_uid:
                    continue
                row = self._deliveries[delivery_id]
                uid = row.output.sop_instance_uid
                if uid in commitment.committed:
                    row = replace(row, committed_at=now)
                elif uid in commitment.failed and row.transaction_uid == transaction_uid:
                    row = replace(row, failure=commitment.failed[uid])
                else:
                    continue
                self._deliveries[delivery_id] = row
                self._forget_requests(delivery_id)
                settled.append(delivery_id)
            self._hasten(JobKind.DELIVER, settled, now)
            return len(settled)

    def _forget_requests(self, delivery_id: int) -> None:
        self._requests = {request for request in self._requests if request[1] != delivery_id}


def _is_open(row: DeliveryRow) -> bool:
    return row.stored_at is not None and row.committed_at is None and row.failure is None
