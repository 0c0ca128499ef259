"""The documents that the pages under docs show, of a patient who does not exist.

`python -m tests.unit.report.record_examples` writes them again.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.report.fhir import build_fhir
from ocunet_pacs.report.fhir_settings import FhirSettings
from ocunet_pacs.report.notice import build_notice
from ocunet_pacs.report.report_settings import ReportSettings
from tests.conftest import PROJECT
from tests.unit.report.made import TRAINED, image, photograph, read, reporter, study

FOLDER = PROJECT / "docs" / "examples"
NOW = datetime(2026, 3, 1, 9, 20, 31, tzinfo=UTC)


def examples() -> dict[str, bytes]:
    """Content of each file by its name."""
    blurred = replace(image(3, "L"), scores=(), reasons=(Reason(ReasonCode.UNGRADABLE, "too blurred to assess"),))
    result = study(image(1, "R", DR=0.8754, Disease_Risk=0.91), image(2, "L", NORMAL=0.82), blurred, bundle=TRAINED)
    with tempfile.TemporaryDirectory() as folder:
        sources = {
            one.sop_instance_uid: photograph(
                Path(folder) / f"{one.ordinal}.dcm",
                one.ordinal,
                ImageLaterality=one.laterality.value,
                PatientName="Drawn^Dora",
                PatientID="D-0001",
                IssuerOfPatientID="Example clinic",
                TimezoneOffsetFromUTC="+0100",
                StationName="CAMERA-2",
            )
            for one in result.images
        }
        report = read(reporter().report(result, sources, {}))
    settings = ReportSettings()
    site = FhirSettings(patient_system="https://clinic.example/patients")
    return {
        "fhir-bundle.json": build_fhir(result, report, settings=site, report_settings=settings, now=NOW),
        "notice.json": build_notice(
            result,
            str(report.SOPInstanceUID),
            study_header=report,
            include=("accession_number",),
            settings=settings,
            now=NOW,
            software_version="1.2.3",
        ),
    }


if __name__ == "__main__":
    for name, content in examples().items():
        (FOLDER / name).write_bytes(content)
