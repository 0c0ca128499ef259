"""Photographs by C-STORE in, FHIR resources in the record system, and in the folder of an integration engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fhir.resources.R4B.bundle import Bundle
from pydicom import dcmread

from tests.acceptance.conftest import wrap_study
from tests.daemon import Daemon, wait_until
from tests.dcmtk import storescu
from tests.integration.record_system import record_system

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


def test_a_study_reaches_the_record_system_and_a_late_image_names_its_report(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study", patient="P7")
    folder = tmp_path / "engine"
    folder.mkdir()
    with record_system() as system:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [])
        tree = yaml.safe_load(daemon.config.read_text())
        tree["records"] = [
            {"name": "record", "url": system.url, "patient_system": "urn:example:patients"},
            {"name": "engine", "folder": str(folder), "patient_name": True},
        ]
        daemon.config.write_text(yaml.safe_dump(tree))
        daemon.start()
        try:
            daemon.wait_for_listener()
            for number, file in enumerate(files, start=1):
                assert storescu(daemon.port, file, options=("-R", "-xy")).status == 0
                wait_until(lambda n=number: len(system.of("DiagnosticReport")) == n, "the report at the endpoint", 300)
                wait_until(lambda n=number: len(list(folder.glob("*.json"))) == n, "the report in the folder", 300)
        finally:
            statuses = daemon.stop()
        assert statuses == [0]
        log = daemon.log_text()

    first, second = system.of("DiagnosticReport")
    assert first["subject"] == {"type": "Patient", "identifier": {"system": "urn:example:patients", "value": "P7"}}
    study = f"urn:oid:{dcmread(files[0]).StudyInstanceUID}"
    assert [r["imagingStudy"][0]["identifier"]["value"] for r in (first, second)] == [study, study]
    (extension,) = second["extension"]
    assert extension["url"].endswith("diagnosticReport-replaces")
    assert extension["valueReference"]["identifier"] in first["identifier"]
    assert len(system.of("Device")) == 1
    assert "Marked" not in json.dumps(system.kept)
    assert "Marked" not in log

    written = [file.read_bytes() for file in folder.glob("*.json")]
    for content in written:
        Bundle.model_validate_json(content)
    reports: list[dict[str, Any]] = [json.loads(content)["entry"][-1]["resource"] for content in written]
    assert {r["identifier"][0]["value"] for r in reports} == {r["identifier"][0]["value"] for r in (first, second)}
    assert {r["subject"]["display"] for r in reports} == {"Marked P7"}
