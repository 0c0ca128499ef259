"""Every way out at once: one study by C-STORE in; a committing PACS, a web archive, an archive of files, a pager."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydicom import dcmread

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, assert_valid, destination, download
from tests.conftest import plugin
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import HOST, free_port, storescu
from tests.faulty_web import Reply, faulty_web
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.shared, pytest.mark.timeout(600)]

PDF, MAP = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.7.2"
ENHANCED, COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.34"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def test_each_destination_gets_what_it_takes_and_keeps_it(
    reference_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study", patient="P9")
    port = free_port()
    web = {"Plugins": [plugin("libOrthancDicomWeb.so")], "DicomWeb": {"Enable": True}}
    with (
        orthanc(tmp_path / "pacs", modalities={"us": ("OCUNET", HOST, port)}) as pacs,
        orthanc(tmp_path / "web", **web) as cloud,
        faulty_web(lambda _request: Reply(204)) as pager,
    ):
        daemon = Daemon(
            tmp_path / "site",
            reference_bundle,
            [
                destination(pacs) | {"commitment": True, "report_title": "imaging-report"},
                {
                    "name": "cloud",
                    "url": f"http://{HOST}:{cloud.http_port}/dicom-web",
                    "results": ["report", "heatmap", "map", "pdf"],
                    "report_class": "enhanced",
                    "heatmap_encoding": "jpeg",
                },
            ],
            port=port,
        )
        tree = yaml.safe_load(daemon.config.read_text())
        tree["notifications"] = [
            {"name": "pager", "url": pager.url, "secret": "sixteen characters or more", "minimum_urgency": "none"}
        ]
        daemon.config.write_text(yaml.safe_dump(tree))
        daemon.start()
        try:
            daemon.wait_for_listener()
            assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
            status = daemon.wait_until_idle(1)
            wait_until(lambda: pager.requests, "the pager to be told")
            assert status["deliveries"]["dead"] == 0, status["dead"]
            assert status["recent"][0]["urgency"] is not None
            assert {d["name"] for d in status["destinations"]} == {"pacs", "cloud", "pager"}
            jobs = json.loads(cli("jobs", "list", "--kind", "deliver", "--json", "--config", daemon.config).stdout)
            committed = [job for job in jobs if job["destination"] == "pacs"]
            assert committed
            assert all(job["reason"] == "stored, and committed to" for job in committed)

            mine, theirs = download(pacs, tmp_path / "mine"), download(cloud, tmp_path / "theirs")
            assert_valid([*mine, *theirs])
            assert cli("validate", *mine, *theirs).returncode == 0
            _check(Contents.read(mine), Contents.read(theirs), [dcmread(path) for path in theirs])
            (told,) = pager.requests
            assert json.loads(told.content)["report_sop_instance_uid"]
            assert b"P9" not in told.content
            assert b"Marked" not in told.content
        finally:
            statuses = daemon.stop()
        assert statuses == [0]
        assert "Marked" not in daemon.log_text()


def _check(mine: Contents, theirs: Contents, everything: list[Any]) -> None:
    (report,), (other) = mine.reports, theirs.reports[0]
    assert report.SOPClassUID == COMPREHENSIVE_3D
    assert report.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert other.SOPClassUID == ENHANCED
    assert other.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.SOPInstanceUID != other.SOPInstanceUID
    kinds = [ds.SOPClassUID for ds in everything]
    assert PDF in kinds
    assert MAP in kinds
    compressed = [ds for ds in theirs.heatmaps if ds.file_meta.TransferSyntaxUID == JPEG_BASELINE]
    assert compressed
    assert {ds.LossyImageCompression for ds in compressed} == {"01"}
    plain = {str(ds.SOPInstanceUID) for ds in mine.heatmaps}
    assert plain
    assert not plain & {str(ds.SOPInstanceUID) for ds in compressed}, "other pixels are other objects"
    for one, heatmaps in ((report, mine.heatmaps), (other, compressed)):
        evidence = {
            str(ref.ReferencedSOPInstanceUID)
            for study in one.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for ref in series.ReferencedSOPSequence
        }
        assert {str(ds.SOPInstanceUID) for ds in heatmaps} <= evidence, "a report refers to the heatmaps beside it"
