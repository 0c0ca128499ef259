"""docs/setup-orthanc.md, as an administrator follows it: its settings, its script, a study sent round."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, destination, download
from tests.conftest import PROJECT
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import HOST, free_port, storescu
from tests.orthanc import orthanc

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

PAGE = (PROJECT / "docs" / "setup-orthanc.md").read_text(encoding="utf-8")
CAMERA = "CAMERA"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def orthancs_settings(folder: Path, our_port: int) -> dict[str, Any]:
    """The page's, for this machine: other addresses, ports and paths, and a camera that may store."""
    settings: dict[str, Any] = json.loads(block("json"))
    script = folder / "to-ocunet.lua"
    script.write_text(block("lua"))
    settings["LuaScripts"] = [str(script)]
    settings["DicomModalities"]["ocunet"] |= {"Host": HOST, "Port": our_port}
    camera = {"AET": CAMERA, "Host": HOST, "Port": free_port(), "AllowStore": True}
    settings["DicomModalities"]["camera"] = camera
    return settings


def our_settings(daemon: Daemon, orthanc_port: int) -> None:
    tree = yaml.safe_load(daemon.config.read_text())
    page = yaml.safe_load(block("yaml").replace("10.0.0.5", HOST).replace("4242", str(orthanc_port)))
    page["dicom"] = tree["dicom"] | page["dicom"] | {"port": daemon.port}
    daemon.config.write_text(yaml.safe_dump(tree | page))


def test_a_study_goes_round(untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study")
    port, orthanc_port = free_port(), free_port()
    settings = orthancs_settings(tmp_path, port)
    settings.pop("DicomPort")
    with orthanc(tmp_path / "orthanc", dicom_port=orthanc_port, **settings) as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)], port=port)
        our_settings(daemon, orthanc_port)
        assert cli("config", "check", "--config", daemon.config).returncode == 0
        assert cli("echo", "pacs", "--config", daemon.config).returncode == 0
        daemon.start()
        try:
            wait_until(lambda: daemon.status()["ready"], "the daemon to be ready")
            assert pacs.post("/modalities/ocunet/echo", {}) == {}

            sent = storescu(orthanc_port, *files, options=("-R", "-xy"), called="ORTHANC", calling=CAMERA)
            assert sent.status == 0, sent.text
            done = daemon.wait_until_idle(1)
            assert done["deliveries"]["done"] >= 2, "each is done when Orthanc has committed to it"
            contents = Contents.read(download(pacs, tmp_path / "pacs"))
            assert len(contents.reports) == 1
            assert contents.heatmaps
            commitments = [job for job in pacs.get("/jobs?expand") if job["Type"] == "StorageCommitmentScp"]
            assert commitments
            assert all(job["State"] == "Success" for job in commitments)
            came = re.findall(r"instance_(?:stored|repeated)", daemon.log_text())
            assert len(came) == len(files), "each photograph once, and nothing that we made"

            said = cli("backfill", "--from", "past", "--date", "2020..", "--dry-run", "--config", daemon.config)
            assert said.returncode == 0, said.stderr
        finally:
            daemon.stop()


def test_a_stranger_may_not_store(tmp_path: Path, drawn_photographs: list[Path]) -> None:
    files = wrap_study(drawn_photographs[:1], tmp_path / "study")
    orthanc_port = free_port()
    settings = orthancs_settings(tmp_path, free_port())
    settings.pop("DicomPort")
    with orthanc(tmp_path / "orthanc", dicom_port=orthanc_port, **settings) as pacs:
        refused = storescu(orthanc_port, *files, options=("-R", "-xy"), called="ORTHANC", calling="STRANGER")
        assert refused.status != 0
        assert not pacs.instances()
