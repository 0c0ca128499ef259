"""A worker that was stopped for longer than its lease, in the middle of storing a result, goes on when all is done."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from ocunet_pacs.store.files import Files
from tests.acceptance.conftest import wrap_study
from tests.daemon import Daemon, wait_until
from tests.dcmtk import HOST, storescp, storescu
from tests.faults import Faults
from tests.integration.ledgers import open_database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


def test_what_it_stores_then_replaces_nothing_and_does_not_stay(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    faults = Faults(tmp_path / "faults")
    study = wrap_study(drawn_photographs[:2], tmp_path / "study")
    archive = tmp_path / "archive"
    archive.mkdir()
    with storescp(archive, ae_title="ARCHIVE") as port:
        destination = {"name": "archive", "ae_title": "ARCHIVE", "host": HOST, "port": port}
        # One study at a time: another thread of the paused worker would take the job, and hang over it.
        more = {"jobs": {"lease": "15s"}, "model": {"studies_at_once": 1}}
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination], more=more)
        open_database(daemon.folder / "ocunet.db").dispose()
        daemon.start("listen")
        try:
            daemon.wait_for_listener()
            faults.hold("storing")
            daemon.environment = faults.environment
            daemon.start("work")
            paused = daemon.processes.pop("work-0")
            assert storescu(daemon.port, *study, options=("-R", "-xy")).status == 0
            faults.wait_until_held("storing")
            paused.send_signal(signal.SIGSTOP)
            daemon.environment = {}
            daemon.start("work", "deliver")
            daemon.wait_until_idle(1)
            faults.release("storing")
            paused.send_signal(signal.SIGCONT)
            daemon.processes["paused"] = paused
            wait_until(lambda: '"job_lost"' in daemon.log_text(), "it to hear that it lost its job")
        finally:
            ended = daemon.stop()
        sent = {one.SOPInstanceUID: one for one in map(dcmread, archive.iterdir())}
    assert ended == [0, 0, 0, 0]
    kept = {key: dcmread(path) for key, path in files_of(daemon.folder / "store")}
    assert {one.SOPInstanceUID: one for one in kept.values()} == sent
    assert len(kept) == len(sent) == 3, "two heatmaps and a report"


def files_of(store: Path) -> list[tuple[str, Path]]:
    files = Files(store)
    return [(key, files.path(key)) for key, _ in files.named("results")]
