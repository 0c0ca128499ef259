"""What a reader would find in the PACS, and what must hold of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom import dcmread

from tests.conftest import program

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.orthanc import Orthanc


def destination(orthanc: Orthanc) -> dict[str, Any]:
    """The entry of `destinations` that sends to it."""
    return {"name": "pacs", "ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.dicom_port}


def download(orthanc: Orthanc, folder: Path) -> list[Path]:
    """Everything that it holds, as files named by Orthanc's own ids."""
    folder.mkdir()
    paths = []
    for instance in orthanc.instances():
        path = folder / f"{instance}.dcm"
        path.write_bytes(orthanc.file(instance))
        paths.append(path)
    return paths


@dataclass(frozen=True)
class Contents:
    """The objects of a PACS, read back."""

    reports: list[Dataset]
    heatmaps: list[Dataset]

    @classmethod
    def read(cls, files: Iterable[Path]) -> Contents:
        objects = [dcmread(path) for path in files]
        return cls([ds for ds in objects if ds.Modality == "SR"], [ds for ds in objects if "SourceImageSequence" in ds])

    def current_reports(self) -> list[Dataset]:
        """Those that no other report replaces."""
        replaced = {
            instance.ReferencedSOPInstanceUID
            for report in self.reports
            for study in report.get("PredecessorDocumentsSequence", [])
            for series in study.ReferencedSeriesSequence
            for instance in series.ReferencedSOPSequence
        }
        return [report for report in self.reports if report.SOPInstanceUID not in replaced]

    def heatmap_sources(self) -> list[str]:
        """SOP Instance UID of the photograph of each heatmap."""
        return [str(ds.SourceImageSequence[0].ReferencedSOPInstanceUID) for ds in self.heatmaps]


def photographs_of(report: Dataset) -> list[str]:
    """SOP Instance UIDs of the photographs in the report's image library."""
    found: list[str] = []

    def walk(item: Dataset, *, inside: bool) -> None:
        named = item.get("ConceptNameCodeSequence")
        inside = inside or (named is not None and named[0].CodeValue == "111028")
        if inside and item.get("ValueType") == "IMAGE":
            found.append(str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
        for child in item.get("ContentSequence", []):
            walk(child, inside=inside)

    walk(report, inside=False)
    return found


def assert_valid(files: Sequence[Path]) -> None:
    """dciodvfy finds no error, and every report prints with dsrdump and reads as HTML."""
    for path in files:
        said = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if "Error" in line]
        assert not errors, errors
        if dcmread(path, stop_before_pixels=True).Modality == "SR":
            subprocess.run([program("dsrdump"), "+Pt", "+Pc", str(path)], capture_output=True, check=True)
            html = subprocess.run([program("dsr2html"), str(path)], capture_output=True, check=True).stdout.decode()
            assert "Probability" in html or "not assessed" in html.lower()
