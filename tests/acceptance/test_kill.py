"""`kill -9` at random moments: every acknowledged photograph has exactly one current result in the PACS."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.domain.errors import DeliveryError
from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, destination, download, photographs_of
from tests.daemon import Daemon, cli
from tests.orthanc import orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 10
PHOTOGRAPHS = 30
A_STUDY = 3


def test_ten_kills_while_thirty_photographs_are_sent_and_analysed(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    seed = int(time.time())
    print(f"moments of death from seed {seed}")  # noqa: T201 - to repeat a failure
    moments = random.Random(seed)
    files: list[Path] = []
    for number in range(PHOTOGRAPHS // A_STUDY):
        photographs = [drawn_photographs[(number + i) % len(drawn_photographs)] for i in range(A_STUDY)]
        files += wrap_study(photographs, tmp_path / f"study-{number}", patient=f"P{number}")
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)])
        camera = _Camera(daemon.port, files)
        daemon.start()
        try:
            daemon.wait_for_listener()
            camera.start()
            for _ in range(KILLS):
                time.sleep(moments.uniform(0.5, 9.0))
                daemon.kill()
                daemon.start()
            daemon.wait_for_listener()
            camera.join(300)
            assert len(camera.acknowledged) == PHOTOGRAPHS
            status = daemon.wait_until_idle(PHOTOGRAPHS // A_STUDY)
            dead = json.loads(cli("jobs", "list", "--state", "dead", "--json", "--config", daemon.config).stdout)
            assert not dead, dead
            assert status["jobs"]["dead"] == status["deliveries"]["dead"] == 0
            contents = Contents.read(download(pacs, tmp_path / "pacs"))
        finally:
            daemon.stop()
    current = contents.current_reports()
    reported = [uid for report in current for uid in photographs_of(report)]
    assert sorted(reported) == sorted(camera.acknowledged), "each acknowledged photograph in exactly one current report"
    assert len(current) == PHOTOGRAPHS // A_STUDY, "one current report a study"
    sources = contents.heatmap_sources()
    assert len(sources) == len(set(sources)), "no photograph has two heatmaps"
    assert {uid for report in current for uid in _heatmaps_of(report)} == {
        str(heatmap.SOPInstanceUID) for heatmap in contents.heatmaps
    }, "the reports name the heatmaps that are there, all of them"


def _heatmaps_of(report) -> set[str]:
    found: set[str] = set()
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                if instance.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.7":
                    found.add(str(instance.ReferencedSOPInstanceUID))
    return found


class _Camera(threading.Thread):
    """Sends every photograph until it is acknowledged, as a camera's outbox does."""

    def __init__(self, port: int, files: list[Path]) -> None:
        super().__init__(daemon=True)
        from datetime import timedelta

        ocunet = Destination("ocunet", "OCUNET", "127.0.0.1", port, timedelta(seconds=10))
        self._sender = CStoreSender(ocunet, "CAMERA")
        self._files = files
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        for path in self._files:
            while True:
                try:
                    self._sender.send(path)
                except DeliveryError:
                    time.sleep(0.3)
                else:
                    break
            self.acknowledged.add(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID))
            time.sleep(0.5)
