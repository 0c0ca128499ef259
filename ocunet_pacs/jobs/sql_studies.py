"""The rows of `studies` while instances arrive, on SQLite and PostgreSQL.

Whatever changes a study holds the lock of its row until it commits (on SQLite, the write lock of the whole file). So an
image that arrives while its study is being closed is either in the new revision or opens the study again, and of two
revisions that finish at once the second sees the first. The first object of each patient of a study also waits for its
siblings (an advisory lock on PostgreSQL): of two patients who arrive at once, one sees the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, literal, select, text, update

from ocunet_pacs.jobs.columns import UtcDateTime
from ocunet_pacs.jobs.schema import instances, studies

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Row

    from ocunet_pacs.domain.study import ReceivedInstance


def touch_study(connection: Connection, instance: ReceivedInstance) -> tuple[int, bool]:
    """Make or open the study as the instance asks, and hold its row's lock: (its id, whether it is another patient's).

    Our own results go to whichever study of that UID is there: an archive may have changed whom they name.
    """
    if not instance.opens_study:
        return _shelve(connection, instance), False
    of_patient = and_(
        studies.c.study_instance_uid == instance.study_instance_uid,
        studies.c.patient_digest == instance.patient_digest,
    )
    found = connection.execute(
        update(studies).where(of_patient).values(opened(instance)).returning(studies.c.id, studies.c.conflict_at)
    ).one_or_none()
    if found is None:
        return _first_of_patient(connection, instance)
    if found.conflict_at is None:
        return found.id, False
    first = select(func.min(studies.c.id)).where(studies.c.study_instance_uid == instance.study_instance_uid)
    return found.id, connection.execute(first).scalar_one() != found.id


def _first_of_patient(connection: Connection, instance: ReceivedInstance) -> tuple[int, bool]:
    siblings = _siblings(connection, instance)
    mine = next((row.id for row in siblings if row.patient_digest in {instance.patient_digest, ""}), None)
    others = [row.id for row in siblings if row.id != mine]
    if mine is None:
        insert = studies.insert().values(
            study_instance_uid=instance.study_instance_uid,
            patient_digest=instance.patient_digest,
            last_received_at=instance.received_at,
            open_since=instance.received_at,
            quiet_until=instance.received_at + instance.quiet_period,
            revision=0,
        )
        mine = connection.execute(insert.returning(studies.c.id)).scalar_one()
    else:
        # Somebody was quicker, or it is a study whose patient nobody has noted yet: it is this one's.
        change = opened(instance) | {"patient_digest": instance.patient_digest}
        connection.execute(update(studies).where(studies.c.id == mine).values(change))
    if others:
        flag(connection, [*others, mine], instance)
    return mine, bool(others)


def _shelve(connection: Connection, instance: ReceivedInstance) -> int:
    siblings = _siblings(connection, instance)
    if siblings:
        first: int = siblings[0].id
        connection.execute(update(studies).where(studies.c.id == first).values(removed_at=None))
        return first
    insert = studies.insert().values(
        study_instance_uid=instance.study_instance_uid,
        patient_digest="",
        last_received_at=instance.received_at,
        revision=0,
    )
    study_id: int = connection.execute(insert.returning(studies.c.id)).scalar_one()
    return study_id


def _siblings(connection: Connection, instance: ReceivedInstance) -> list[Row[*tuple[Any, ...]]]:
    """The studies of that UID, locked, in the order in which they came; nobody adds another until we commit."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))")
        connection.execute(lock, {"uid": instance.study_instance_uid})
    query = (
        select(studies.c.id, studies.c.patient_digest)
        .where(studies.c.study_instance_uid == instance.study_instance_uid)
        .order_by(studies.c.id)
        .with_for_update()
    )
    return list(connection.execute(query).all())


def opened(instance: ReceivedInstance) -> dict[str, ColumnElement[Any] | None]:
    """What an instance makes of its study. Times of an open study never go back: two listeners' clocks may differ."""
    arrived = literal(instance.received_at, UtcDateTime())
    quiet_until = literal(instance.received_at + instance.quiet_period, UtcDateTime())
    is_open = studies.c.open_since.is_not(None)
    return {
        "open_since": func.coalesce(studies.c.open_since, arrived),
        "last_received_at": case(
            (and_(is_open, studies.c.last_received_at > arrived), studies.c.last_received_at), else_=arrived
        ),
        "quiet_until": case(
            (and_(is_open, studies.c.quiet_until > quiet_until), studies.c.quiet_until), else_=quiet_until
        ),
        "removed_at": None,
    }


def flag(connection: Connection, study_ids: list[int], instance: ReceivedInstance) -> None:
    """Note the conflict on studies that did not know of it, and open those that were reported without it."""
    unknown = and_(studies.c.id.in_(study_ids), studies.c.conflict_at.is_(None))
    ids = connection.execute(
        update(studies).where(unknown).values(conflict_at=instance.received_at).returning(studies.c.id)
    )
    newly = list(ids.scalars())
    if not newly:
        return
    has_files = (
        select(instances.c.id)
        .where(
            instances.c.study_id == studies.c.id,
            instances.c.opens_study.is_(True),
            instances.c.removed_at.is_(None),
            instances.c.missing_at.is_(None),
        )
        .exists()
    )
    reported = and_(studies.c.id.in_(newly), studies.c.open_since.is_(None), studies.c.revision > 0, has_files)
    connection.execute(update(studies).where(reported).values(opened(instance)))
