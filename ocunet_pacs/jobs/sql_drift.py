"""Cameras, what was observed of their photographs, references and nights, on SQLite and PostgreSQL.

Nothing here locks a row of a study or of a result.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from ocunet_pacs.domain.drift import (
    SEEN_EVERY,
    Baseline,
    Camera,
    DriftLedger,
    Finding,
    KnownCamera,
    Night,
    Observed,
    decode_numbers,
    encode_numbers,
)
from ocunet_pacs.jobs.engine import for_reading, transaction
from ocunet_pacs.jobs.schema import cameras, drift_baselines, drift_findings, instances, observations
from ocunet_pacs.jobs.sql_insert import insert_into

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Engine

    from ocunet_pacs.domain.drift import Observation


class SqlDrift(DriftLedger):
    """`DriftLedger` over an engine of `open_engine`, whose schema is up to date. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._writing = engine
        self._reading = for_reading(engine)

    def note_observations(self, observations: Sequence[Observation], bundle_digest: str, now: datetime) -> None:
        """See `DriftLedger.note_observations`."""
        if not observations:
            return
        # By digest: two studies of the same cameras then lock their rows in the same order.
        seen = sorted({one.camera for one in observations}, key=lambda camera: camera.digest)
        with transaction(self._writing) as connection:
            ids = {camera: _camera_id(connection, camera, now) for camera in seen}
            for one in observations:
                _add(connection, one, ids[one.camera], bundle_digest, now)

    def cameras(self) -> list[KnownCamera]:
        """See `DriftLedger.cameras`."""
        with transaction(self._reading) as connection:
            return [KnownCamera(*row) for row in connection.execute(select(cameras).order_by(cameras.c.id))]

    def observed(self, camera_id: int, since: datetime | None = None, until: datetime | None = None) -> list[Observed]:
        """See `DriftLedger.observed`."""
        query = (
            select(
                instances.c.study_id,
                observations.c.observed_at,
                observations.c.bundle_digest,
                observations.c.numbers,
                observations.c.refused,
                observations.c.pattern,
            )
            .join_from(observations, instances)
            .where(observations.c.camera_id == camera_id)
            .order_by(observations.c.observed_at, observations.c.id)
        )
        if since is not None:
            query = query.where(observations.c.observed_at > since)
        if until is not None:
            query = query.where(observations.c.observed_at <= until)
        with transaction(self._reading) as connection:
            return [
                Observed(
                    row.study_id,
                    row.observed_at,
                    row.bundle_digest,
                    *decode_numbers(row.numbers),
                    row.refused,
                    bytes(row.pattern),
                )
                for row in connection.execute(query)
            ]

    def baselines(self, camera_id: int) -> list[Baseline]:
        """See `DriftLedger.baselines`."""
        query = (
            select(
                drift_baselines.c.camera_id,
                drift_baselines.c.part,
                drift_baselines.c.bundle_digest,
                drift_baselines.c.until,
                drift_baselines.c.content,
            )
            .where(drift_baselines.c.camera_id == camera_id)
            .order_by(drift_baselines.c.id)
        )
        with transaction(self._reading) as connection:
            return [Baseline(*row) for row in connection.execute(query)]

    def keep_baseline(self, baseline: Baseline) -> None:
        """See `DriftLedger.keep_baseline`."""
        with transaction(self._writing) as connection:
            row = insert_into(connection, drift_baselines).values(
                camera_id=baseline.camera_id,
                part=baseline.part,
                bundle_digest=baseline.bundle_digest,
                until=baseline.until,
                content=baseline.content,
            )
            table = drift_baselines.c
            connection.execute(
                row.on_conflict_do_nothing(index_elements=[table.camera_id, table.part, table.bundle_digest])
            )

    def forget_baselines(self, camera_id: int, since: datetime) -> int:
        """See `DriftLedger.forget_baselines`."""
        with transaction(self._writing) as connection:
            connection.execute(update(cameras).where(cameras.c.id == camera_id).values(reference_since=since))
            gone = delete(drift_baselines).where(drift_baselines.c.camera_id == camera_id)
            return connection.execute(gone).rowcount

    def keep_night(self, night: Night) -> None:
        """See `DriftLedger.keep_night`. Two processes that do the same night at once both end with one of it."""
        rows = [
            {
                "day": night.day,
                "ran_at": night.ran_at,
                "camera_id": found.camera_id,
                "part": found.part,
                "measure": found.measure,
                "value": found.value,
                "most": found.limit,
                "alert": found.alert,
                "photographs": found.photographs,
                "studies": found.studies,
                "words": found.words,
            }
            for found in night.findings
        ]
        table = drift_findings.c
        with transaction(self._writing) as connection:
            connection.execute(delete(drift_findings).where(table.day == night.day))
            if rows:
                once = insert_into(connection, drift_findings).on_conflict_do_nothing(
                    index_elements=[table.day, table.camera_id, table.part, table.measure]
                )
                connection.execute(once, rows)

    def nights(self, since: date | None = None, limit: int = 1) -> list[Night]:
        """See `DriftLedger.nights`."""
        table = drift_findings.c
        days = select(table.day).distinct().order_by(table.day.desc()).limit(limit)
        if since is not None:
            days = days.where(table.day >= since)
        with transaction(self._reading) as connection:
            wanted = connection.execute(days).scalars().all()
            query = select(drift_findings).where(table.day.in_(wanted)).order_by(table.day.desc(), table.id)
            rows = connection.execute(query).all()
        return [
            Night(
                day,
                of_day[0].ran_at,
                tuple(
                    Finding(
                        row.camera_id,
                        row.part,
                        row.measure,
                        row.value,
                        row.most,
                        row.alert,
                        row.photographs,
                        row.studies,
                        row.words,
                    )
                    for row in of_day
                ),
            )
            for day, group in itertools.groupby(rows, key=lambda row: row.day)
            if (of_day := list(group))
        ]

    def remove_observations(self, before: datetime, limit: int) -> int:
        """See `DriftLedger.remove_observations`."""
        old = select(observations.c.id).where(observations.c.observed_at < before)
        oldest = old.order_by(observations.c.observed_at).limit(limit)
        with transaction(self._reading) as connection:
            ids = connection.execute(oldest).scalars().all()
        if not ids:
            return 0
        with transaction(self._writing) as connection:
            return connection.execute(delete(observations).where(observations.c.id.in_(ids))).rowcount

    def remove_nights(self, before: date) -> int:
        """See `DriftLedger.remove_nights`."""
        with transaction(self._writing) as connection:
            return connection.execute(delete(drift_findings).where(drift_findings.c.day < before)).rowcount


def _camera_id(connection: Connection, camera: Camera, now: datetime) -> int:
    """The camera's row, with the moment at which it was seen."""
    known = select(cameras.c.id, cameras.c.last_seen_at).where(cameras.c.digest == camera.digest)
    if (there := connection.execute(known).one_or_none()) is not None:
        # Not each time: studies of one camera would wait for each other at its row.
        if now - there.last_seen_at >= SEEN_EVERY:
            connection.execute(update(cameras).where(cameras.c.id == there.id).values(last_seen_at=now))
        return int(there.id)
    row = insert_into(connection, cameras).values(
        digest=camera.digest, words=camera.words, first_seen_at=now, last_seen_at=now
    )
    again = row.on_conflict_do_update(index_elements=[cameras.c.digest], set_={"last_seen_at": now})
    found: int = connection.execute(again.returning(cameras.c.id)).scalar_one()
    return found


def _add(connection: Connection, one: Observation, camera_id: int, bundle_digest: str, now: datetime) -> None:
    row = insert_into(connection, observations).values(
        instance_id=one.instance_id,
        frame=one.frame or 0,
        camera_id=camera_id,
        observed_at=now,
        bundle_digest=bundle_digest,
        numbers=encode_numbers(one.measures, one.scores),
        refused=one.refused,
        pattern=one.pattern,
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=[observations.c.instance_id, observations.c.frame]))
