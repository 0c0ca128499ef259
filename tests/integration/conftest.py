"""A listener on a free port of this machine, and what it kept."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.scp import Listener, ListenerConfig
from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ocunet_pacs.domain.audit import AuditEvent


@dataclass
class Receiver:
    """A running listener with its store, its ledger, and every line that it logged."""

    listener: Listener
    files: Files
    ledger: FileLedger
    logged: list[Any] = field(default_factory=list)
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Of each counter with its labels' values, in the order of their names."""
    released: list[frozenset[str]] = field(default_factory=list)
    told: list[AuditEvent] = field(default_factory=list)
    """What the audit trail was told."""

    @property
    def port(self) -> int:
        return self.listener.port

    def stored(self) -> list[Path]:
        return sorted(p for p in (self.files.root / "instances").rglob("*") if p.is_file())

    def half_received(self) -> list[Path]:
        return list(self.files.incoming.iterdir())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Start a listener; keyword arguments go into its configuration, the named ones replace its usual parts."""
    running: list[Receiver] = []
    with structlog.testing.capture_logs() as logged:

        def begin(
            *, files: Any = None, ledger: Any = None, monotonic: Callable[[], float] = time.monotonic, **settings: Any
        ) -> Receiver:
            store = files or Files(tmp_path / "store")
            rows = ledger or FileLedger(tmp_path / "rows.db")
            config = ListenerConfig(
                **{"ae_title": "OCUNET", "host": "127.0.0.1", "port": 0, "min_free_bytes": 0} | settings
            )
            counted: Counter[tuple[str, ...]] = Counter()
            released: list[frozenset[str]] = []
            told: list[AuditEvent] = []

            def count(name: str, amount: int = 1, /, **labels: str) -> None:
                counted[name, *(labels[label] for label in sorted(labels))] += amount

            listener = Listener(
                config,
                store,
                rows,
                read_header=read_identity,
                now=lambda: datetime.now(UTC),
                new_token=lambda: uuid.uuid4().hex,
                monotonic=monotonic,
                count=count,
                audit=told.append,
                released=released.append,
            )
            receiver = Receiver(listener, store, rows, logged, counted, released, told)
            running.append(receiver)
            listener.start()
            return receiver

        yield begin
        for receiver in running:
            receiver.listener.stop(grace=timedelta(seconds=2))
            receiver.ledger.close()


@pytest.fixture
def receiver(start: Callable[..., Receiver]) -> Receiver:
    return start()
