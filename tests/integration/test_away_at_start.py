"""A role that starts while its database is away: whoever started it must try again, until the database is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import units
from tests.daemon import Daemon, cli
from tests.dcmtk import free_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("role", ["listen", "deliver"])
def test_a_database_that_is_away_is_no_reason_not_to_be_started_again(role: str, tmp_path: Path) -> None:
    """A host that comes up before its database, or crashes while it is away, stays down otherwise."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    daemon = Daemon(tmp_path / "site", tmp_path / "no-bundle", [], database=url)
    done = cli(role, "--config", daemon.config, check=False)
    assert done.returncode == 75
    assert "database" in done.stderr
    for unit in units.SERVICES:
        for line in units.values(unit, "RestartPreventExitStatus"):
            assert str(done.returncode) not in line.split(), unit


def test_settings_that_cannot_work_are_one(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", tmp_path / "no-bundle", [])
    cli("db", "upgrade", "--config", daemon.config)
    assert cli("work", "--config", daemon.config, check=False).returncode == 2
