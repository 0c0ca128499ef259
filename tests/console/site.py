"""A site with studies at every stage, and its console: served by a thread, or asked without a network."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from ocunet_pacs.app.console import console_server
from ocunet_pacs.app.console_desk import desk
from ocunet_pacs.imaging.showing import Showing
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.settings import from_tree
from ocunet_pacs.store.files import Files
from tests.dcmtk import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from ocunet_pacs.domain.audit import AuditEvent
    from ocunet_pacs.intake.web import WebServer
    from ocunet_pacs.settings import Settings

TOKEN = "a-token-for-tests-only"
ELSEWHERE = ("192.0.2.7", 50000)
HERE = ("127.0.0.1", 50000)


@dataclass
class Site:
    """Store and database under `folder`."""

    folder: Path
    settings: Settings
    jobs: SqlJobs
    files: Files
    told: list[AuditEvent] = field(default_factory=list)
    """What the audit trail was told."""
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    showing: Showing | None = None
    now: Callable[[], datetime] | None = None
    """The console's clock; None: the database's."""
    metrics: Metrics = field(default_factory=Metrics)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[(name, *labels.values())] += amount

    def server(self) -> WebServer:
        """The console, not yet started."""
        self.showing = Showing(timeout=timedelta(seconds=60), memory_bytes=1 << 31, clock=time.monotonic)
        made = desk(
            lambda: self.settings,
            reading=open_to_read(self.settings.database.url),
            jobs=self.jobs,
            files=self.files,
            showing=self.showing,
            metrics=self.metrics,
            audit=self.told.append,
        )
        if self.now is not None:
            made = replace(made, now=self.now)
        return console_server(self.settings, made, self.count)

    def close(self) -> None:
        if self.showing is not None:
            self.showing.close()


@contextmanager
def site(folder: Path, **more: Any) -> Iterator[Site]:
    """An empty site; keywords are sections of its settings."""
    tree = {
        "database": {"url": f"sqlite:///{folder / 'queue.db'}"},
        "store": {"path": str(folder / "store"), "min_free": 0},
        "model": {"bundle": str(folder / "bundle")},
        "console": {"port": 0} | more.pop("console", {}),
        "metrics": {"port": 0},
        "destinations": [
            {"name": "pacs", "ae_title": "ARCHIVE", "host": "10.0.0.5", "port": 104},
            {"name": "viewer", "ae_title": "VIEWER", "host": "10.0.0.6", "port": 11112},
        ],
        "records": [{"name": "records", "url": "https://fhir.clinic.example/r4"}],
    }
    settings = from_tree(tree | more)
    engine = open_engine(settings.database.url)
    upgrade(engine)  # nothing to do where a database was put there
    made = Site(folder, settings, SqlJobs(engine), Files(settings.store.path))
    yield made
    made.close()
    engine.dispose()


@contextmanager
def served(made: Site) -> Iterator[str]:
    """Its console on a port; the address of its first page, without a slash at the end."""
    server = made.server()
    server.start()
    try:
        scheme = "http" if made.settings.console.certificate is None else "https"
        yield f"{scheme}://{HOST}:{server.port}"
    finally:
        server.stop()


def asked(made: Site, peer: tuple[str, int] = HERE, host: str = "localhost:8043") -> TestClient:
    """A browser at that address, which calls the console by that name."""
    server = made.server()
    return TestClient(server.app, base_url=f"http://{host}", client=peer, follow_redirects=False)
