"""The main job: photographs by C-STORE in, report and heatmaps in a real PACS (Orthanc), nothing twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, assert_valid, destination, download, photographs_of
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import storescu
from tests.orthanc import orthanc

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


@pytest.mark.shared
def test_nine_photographs_as_three_studies(shared: Path, reference_bundle: Path, tmp_path: Path) -> None:
    with (shared / "data" / "fullres" / "manifest.csv").open(newline="") as file:
        names = sorted(row["image"] for row in csv.DictReader(file))
    photographs = [shared / "data" / "fullres" / name for name in names]
    studies = [
        wrap_study(photographs[start : start + 3], tmp_path / f"study-{start}", patient=f"P{start}")
        for start in (0, 3, 6)
    ]
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", reference_bundle, [destination(pacs)])
        daemon.start()
        try:
            daemon.wait_for_listener()
            assert cli("echo", "pacs", "--config", daemon.config).returncode == 0
            for files in studies:
                sent = storescu(daemon.port, *files, options=("-R", "-xy"))
                assert sent.status == 0, sent.text
            daemon.wait_until_idle(3)
            before = download(pacs, tmp_path / "first")
            contents = Contents.read(before)
            assert len(contents.reports) == 3
            sent_uids = {uid for report in contents.reports for uid in photographs_of(report)}
            assert len(sent_uids) == 9
            assert len(set(contents.heatmap_sources())) == len(contents.heatmaps) > 0
            assert set(contents.heatmap_sources()) <= sent_uids
            assert {str(r.StudyInstanceUID) for r in contents.reports} == {
                str(h.StudyInstanceUID) for h in contents.heatmaps
            }, "every study of these weights has a positive label"
            assert {str(report.PatientName) for report in contents.reports} == {"Marked^P0", "Marked^P3", "Marked^P6"}
            assert_valid(before)

            for files in studies:
                assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
            daemon.wait_until_idle(3)
            after = download(pacs, tmp_path / "second")
            assert sorted(path.name for path in after) == sorted(path.name for path in before)
            status = daemon.status()
            assert status["ready"], status
            assert status["jobs"]["done"] == 3
            assert "Marked" not in daemon.log_text()
        finally:
            statuses = daemon.stop()
        assert statuses == [0]


def test_a_late_image_makes_a_report_that_names_the_first(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:3], tmp_path / "study")
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)])
        daemon.start()
        try:
            daemon.wait_for_listener()
            storescu(daemon.port, *files[:2], options=("-R", "-xy"))
            daemon.wait_until_idle(1)
            storescu(daemon.port, files[2], options=("-R", "-xy"))
            daemon.wait_until_idle(2)
            downloaded = download(pacs, tmp_path / "pacs")
            contents = Contents.read(downloaded)
            assert len(contents.reports) == 2
            (current,) = contents.current_reports()
            assert len(photographs_of(current)) == 3
            assert len(contents.heatmap_sources()) == len(set(contents.heatmap_sources())), "no heatmap twice"
            assert_valid(downloaded)
            [night] = json.loads(cli("drift", "run", "--json", "--config", daemon.config).stdout)
            [camera] = night["cameras"]
            assert camera["standing"].startswith("collecting its reference: 3 of 200 photographs"), "each counts once"
            assert camera["patients"] == 1
        finally:
            daemon.stop()


def test_an_untrained_bundle_is_refused_unless_it_is_allowed(untrained_bundle: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    daemon.config.write_text(daemon.config.read_text().replace("allow_untrained: true", "allow_untrained: false"))
    refused = cli("serve", "--config", daemon.config, check=False)
    assert refused.returncode == 2
    assert "allow_untrained" in refused.stderr


def test_results_wait_for_a_pacs_that_is_down_and_no_analysis_is_repeated(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study")
    with orthanc(tmp_path / "orthanc") as pacs:
        target = destination(pacs)
    daemon = Daemon(tmp_path / "site", untrained_bundle, [target])
    daemon.start()
    try:
        daemon.wait_for_listener()
        storescu(daemon.port, *files, options=("-R", "-xy"))
        wait_until(lambda: daemon.status()["jobs"]["done"] == 1, "the analysis")
        assert daemon.status()["deliveries"]["done"] == 0
        with orthanc(tmp_path / "orthanc", dicom_port=target["port"]) as pacs:
            status = daemon.wait_until_idle(1)
            assert status["deliveries"]["dead"] == 0
            assert len(Contents.read(download(pacs, tmp_path / "pacs")).reports) == 1
            jobs = json.loads(cli("jobs", "list", "--json", "--config", daemon.config).stdout)
            assert {job["attempt"] for job in jobs} == {1}, "waiting for the PACS cost no attempt"
    finally:
        daemon.stop()
