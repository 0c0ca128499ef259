"""The same product on PostgreSQL: roles as separate processes, two workers, every study analysed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, assert_valid, destination, download, photographs_of
from tests.daemon import Daemon, cli
from tests.dcmtk import storescu
from tests.orthanc import orthanc
from tests.pg import postgres_url  # noqa: F401  # a fixture

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


def test_two_workers_share_the_studies(
    untrained_bundle: Path,
    drawn_photographs: list[Path],
    tmp_path: Path,
    postgres_url: str,  # noqa: F811
) -> None:
    studies = [
        wrap_study(drawn_photographs[number % 4 : number % 4 + 2], tmp_path / f"study-{number}", patient=f"P{number}")
        for number in range(6)
    ]
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)], database=postgres_url)
        refused = cli("serve", "--config", daemon.config, check=False)
        assert refused.returncode == 2
        assert "db upgrade" in refused.stderr
        cli("db", "upgrade", "--config", daemon.config)
        cli("db", "check", "--config", daemon.config)
        daemon.start("listen", "work", "work", "deliver")
        try:
            daemon.wait_for_listener()
            for files in studies:
                assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
            status = daemon.wait_until_idle(6)
            assert status["jobs"] == {"waiting": 0, "running": 0, "done": 6, "dead": 0, "discarded": 0}
            downloaded = download(pacs, tmp_path / "pacs")
        finally:
            statuses = daemon.stop()
    contents = Contents.read(downloaded)
    assert len(contents.reports) == 6
    assert len({uid for report in contents.reports for uid in photographs_of(report)}) == 12
    assert_valid(downloaded)
    analysed = [line for line in daemon.log_text().splitlines() if '"study_analysed"' in line]
    assert len(analysed) == 6, "every study analysed once"
    assert statuses == [0, 0, 0, 0]
