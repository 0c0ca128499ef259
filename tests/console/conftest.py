"""A database with the schema, made once and copied for each site."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from tests.browser import Chromium, chromium
from tests.console.site import Site, site
from tests.console.studies import Drawn, a_day, write_manifest
from tests.viewers.example import make_study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Not of the session: while Playwright is open, this thread has a running asyncio loop, over which other tests trip.
@pytest.fixture(scope="package")
def browser() -> Iterator[Chromium]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("console") / "queue.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """One pair of eyes for all studies: what differs between studies is where they stand."""
    sick = make_study(tmp_path_factory.mktemp("eyes"), size=(512, 384))
    return Drawn(sick, sick, sick)


@pytest.fixture
def folder(empty_database: Path, tmp_path: Path) -> Path:
    """Where a site can be made."""
    (tmp_path / "queue.db").write_bytes(empty_database.read_bytes())
    return tmp_path


@pytest.fixture(scope="session")
def a_day_long(empty_database: Path, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    (folder / "queue.db").write_bytes(empty_database.read_bytes())
    with site(folder) as made:
        write_manifest(folder / "bundle")
        a_day(made, drawn, datetime.now(UTC))
    return folder


@pytest.fixture
def day(a_day_long: Path, tmp_path: Path) -> Iterator[Site]:
    """A site that has seen a day with faults; a copy for each test."""
    folder = tmp_path / "site"
    shutil.copytree(a_day_long, folder)
    with site(folder) as made:
        yield made
