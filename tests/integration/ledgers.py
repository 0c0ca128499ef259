"""A ledger of one SQLite table: what the listener writes, durable when the call returns, readable after a kill."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.study import StoredInstance

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.study import ReceivedInstance


class TableLedger:
    """The part of the Ledger port that receiving uses; a connection for each call, so any thread may call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS instances (sop_instance_uid TEXT PRIMARY KEY, file_key TEXT,"
                " study_instance_uid TEXT, sop_class_uid TEXT, size_bytes INTEGER, sha256 TEXT, opens_study INTEGER,"
                " source_ae_title TEXT)"
            )

    def _connect(self) -> Any:
        connection = sqlite3.connect(self._path, timeout=30)
        connection.row_factory = sqlite3.Row
        return closing(connection)

    def record_instance(self, instance: ReceivedInstance) -> bool:
        values = asdict(instance)
        with self._connect() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO instances VALUES (:sop_instance_uid, :file_key, :study_instance_uid,"
                " :sop_class_uid, :size_bytes, :sha256, :opens_study, :source_ae_title)",
                {**values, "received_at": None},
            )
            connection.commit()
            return bool(cursor.rowcount)

    def find_instance(self, sop_instance_uid: str) -> StoredInstance | None:
        row = next((r for r in self.rows() if r["sop_instance_uid"] == sop_instance_uid), None)
        if row is None:
            return None
        return StoredInstance(1, row["study_instance_uid"], "", sop_instance_uid, "", "", row["file_key"], 1)

    def is_output(self, sop_instance_uid: str) -> bool:
        return False

    def rows(self) -> list[dict[str, Any]]:
        with self._connect() as connection:
            return [dict(row) for row in connection.execute("SELECT * FROM instances")]
