"""Where each object went, and what its destination says of it, on SQLite and PostgreSQL.

What an archive answers comes whenever it likes: late, twice, after it was asked again, or after the object was stored
again. So a request is a row of its own, and means something as long as its row is there: until the delivery is settled,
or its object stored anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.ledger import DeliveryRow
from ocunet_pacs.domain.result import Output
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import analyses, commitment_requests, deliveries, jobs, outputs, studies
from ocunet_pacs.jobs.sql_insert import insert_into
from ocunet_pacs.jobs.sql_queue import hasten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection, Engine, Row, Select

    from ocunet_pacs.domain.result import Commitment

OUTPUT = (
    outputs.c.kind,
    outputs.c.sop_class_uid,
    outputs.c.sop_instance_uid,
    outputs.c.series_instance_uid,
    outputs.c.file_key,
    outputs.c.form,
)
DELIVERY_PROGRESS = (
    deliveries.c.status,
    deliveries.c.comment,
    deliveries.c.answered_at,
    deliveries.c.stored_at,
    deliveries.c.asked_at,
    deliveries.c.asks,
    deliveries.c.committed_at,
    deliveries.c.failure,
)
"""How far a delivery is, for people who look."""
_DELIVERY = (
    deliveries.c.id,
    deliveries.c.destination,
    deliveries.c.status,
    deliveries.c.comment,
    deliveries.c.stored_at,
    deliveries.c.transaction_uid,
    deliveries.c.asked_at,
    deliveries.c.asks,
    deliveries.c.committed_at,
    deliveries.c.failure,
)


class SqlDeliveries:
    """The part of `Ledger` that delivering uses."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def delivery(self, delivery_id: int) -> DeliveryRow:
        """See `Ledger.delivery`."""
        with transaction(self._reading) as connection:
            row = connection.execute(_rows().where(deliveries.c.id == delivery_id)).one_or_none()
        if row is None:
            raise KeyError(delivery_id)
        return _as_delivery(row)

    def record_delivery(
        self, delivery_id: int, status: int | None, comment: str, now: datetime, *, stored: bool = False
    ) -> None:
        """See `Ledger.record_delivery`. KeyError when there is no such delivery."""
        answer: dict[str, Any] = {"status": status, "comment": comment, "answered_at": now}
        if stored:
            answer |= {"stored_at": now, "transaction_uid": None, "asked_at": None, "asks": 0}
            answer |= {"committed_at": None, "failure": None}
        with transaction(self._writing) as connection:
            change = update(deliveries).where(deliveries.c.id == delivery_id).values(answer)
            if connection.execute(change).rowcount == 0:
                raise KeyError(delivery_id)
            if stored:
                _forget_requests(connection, [delivery_id])

    def uncommitted(self, destination: str, asked_before: datetime, limit: int) -> list[DeliveryRow]:
        """See `Ledger.uncommitted`. Not what failed, which is to be stored again, nor what is no longer waited for."""
        # Not EXISTS: with a long backlog PostgreSQL would read all jobs that ever were, to join them.
        waited_for = (
            select(jobs.c.finished_at.is_(None))
            .where(jobs.c.kind == JobKind.DELIVER, jobs.c.subject_id == deliveries.c.id)
            .scalar_subquery()
        )
        query = (
            _rows()
            .where(
                deliveries.c.destination == destination,
                deliveries.c.stored_at.is_not(None),
                deliveries.c.committed_at.is_(None),
                deliveries.c.failure.is_(None),
                deliveries.c.asked_at.is_(None) | (deliveries.c.asked_at <= asked_before),
                waited_for,
            )
            .order_by(deliveries.c.stored_at, deliveries.c.id)
            .limit(limit)
        )
        with transaction(self._reading) as connection:
            return [_as_delivery(row) for row in connection.execute(query)]

    def note_asked(self, transaction_uid: str, delivery_ids: Sequence[int], now: datetime) -> None:
        """See `Ledger.note_asked`. What is settled by now is left as it is."""
        with transaction(self._writing) as connection:
            for delivery_id in sorted(set(delivery_ids)):
                change = (
                    update(deliveries)
                    .where(
                        deliveries.c.id == delivery_id,
                        deliveries.c.stored_at.is_not(None),
                        deliveries.c.committed_at.is_(None),
                        deliveries.c.failure.is_(None),
                    )
                    .values(transaction_uid=transaction_uid, asked_at=now, asks=deliveries.c.asks + 1)
                )
                if connection.execute(change).rowcount:
                    request = insert_into(connection, commitment_requests).values(
                        transaction_uid=transaction_uid, delivery_id=delivery_id
                    )
                    connection.execute(request.on_conflict_do_nothing())

    def note_not_asked(self, transaction_uid: str) -> None:
        """See `Ledger.note_not_asked`. What was asked again since is left as it is."""
        asked = select(commitment_requests.c.delivery_id).where(
            commitment_requests.c.transaction_uid == transaction_uid
        )
        last = (deliveries.c.transaction_uid == transaction_uid, deliveries.c.asked_at.is_not(None))
        with transaction(self._writing) as connection:
            _lock(connection, asked)
            change = update(deliveries).where(deliveries.c.id.in_(asked), *last)
            connection.execute(change.values(asked_at=None, asks=deliveries.c.asks - 1))

    def record_commitment(self, commitment: Commitment, now: datetime) -> int:
        """See `Ledger.record_commitment`.

        That it is kept counts from any request about the copy that is stored now; that it is not, from the last alone.
        """
        of_it = commitment_requests.c.transaction_uid == commitment.transaction_uid
        with transaction(self._writing) as connection:
            asked = select(commitment_requests.c.delivery_id).where(of_it)
            _lock(connection, asked)
            # Asked once more: whoever held a lock may have stored the object again.
            query = (
                select(deliveries.c.id, outputs.c.sop_instance_uid, deliveries.c.transaction_uid)
                .join_from(commitment_requests, deliveries)
                .join(outputs)
                .where(of_it)
                .order_by(deliveries.c.id)
            )
            kept, failed = [], {}
            for row in connection.execute(query):
                if row.sop_instance_uid in commitment.committed:
                    kept.append(row.id)
                elif row.sop_instance_uid in commitment.failed and row.transaction_uid == commitment.transaction_uid:
                    failed[row.id] = commitment.failed[row.sop_instance_uid]
            for delivery_id in kept:
                change = update(deliveries).where(deliveries.c.id == delivery_id)
                connection.execute(change.values(committed_at=now))
            for delivery_id, reason in failed.items():
                change = update(deliveries).where(deliveries.c.id == delivery_id)
                connection.execute(change.values(failure=reason))
            settled = [*kept, *failed]
            _forget_requests(connection, settled)
            if settled:
                hasten(connection, _jobs_of(settled), now)
            return len(settled)


def _rows() -> Select[*tuple[Any, ...]]:
    """Rows for `_as_delivery`."""
    return (
        select(*OUTPUT, *_DELIVERY, studies.c.study_instance_uid, studies.c.patient_digest)
        .join_from(deliveries, outputs)
        .join(analyses, analyses.c.id == outputs.c.analysis_id)
        .join(studies, studies.c.id == analyses.c.study_id)
    )


def _as_delivery(row: Row[*tuple[Any, ...]]) -> DeliveryRow:
    values = row._asdict()
    output = Output(**{column.name: values.pop(column.name) for column in OUTPUT})
    return DeliveryRow(output=output, **values)


def _lock(connection: Connection, delivery_ids: Select[int]) -> None:
    """Lock these rows in their order: two who change several never wait for each other."""
    lock = select(deliveries.c.id).where(deliveries.c.id.in_(delivery_ids)).order_by(deliveries.c.id)
    connection.execute(lock.with_for_update())


def _forget_requests(connection: Connection, delivery_ids: Iterable[int]) -> None:
    connection.execute(delete(commitment_requests).where(commitment_requests.c.delivery_id.in_(delivery_ids)))


def _jobs_of(delivery_ids: Iterable[int]) -> Select[int]:
    return select(jobs.c.id).where(jobs.c.kind == JobKind.DELIVER, jobs.c.subject_id.in_(delivery_ids))
