"""Results as files for people without a DICOM viewer: HTML and PNG, made from the DICOM objects alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import dcmread

from ocunet_pacs.report.picture_rules import ENCAPSULATED_PDF, SECONDARY_CAPTURE
from ocunet_pacs.report.readable import as_html, as_png, as_text, heatmap_png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom.dataset import FileDataset


def write_readable(results: Sequence[Path], out: Path) -> list[Path]:
    """Render reports, heatmaps and documents (DICOM files that we made) into `out`; what was written, reports first."""
    objects = [dcmread(path) for path in results]
    reports = [ds for ds in objects if ds.Modality == "SR"]
    heatmaps = [ds for ds in objects if ds.SOPClassUID == SECONDARY_CAPTURE]
    documents = [ds for ds in objects if ds.SOPClassUID == ENCAPSULATED_PDF]
    pictures = {str(ds.SOPInstanceUID): heatmap_png(ds) for ds in heatmaps}
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for number, report in enumerate(reports, 1):
        stem = _stem("report", number, len(reports))
        for suffix, content in (
            (".html", as_html(report, pictures).encode()),
            (".png", as_png(report)),
            (".txt", as_text(report).encode()),
        ):
            written.append(_write(out / f"{stem}{suffix}", content))
    for number, heatmap in enumerate(_in_order(heatmaps), 1):
        stem = _stem("heatmap", number, len(heatmaps))
        written.append(_write(out / f"{stem}.png", pictures[str(heatmap.SOPInstanceUID)]))
    for number, document in enumerate(_in_order(documents), 1):
        content = bytes(document.EncapsulatedDocument)[: int(document.EncapsulatedDocumentLength)]
        written.append(_write(out / f"{_stem('report', number, len(documents))}.pdf", content))
    return written


def _in_order(heatmaps: Sequence[FileDataset]) -> list[FileDataset]:
    return sorted(heatmaps, key=lambda ds: int(ds.InstanceNumber))


def _stem(name: str, number: int, count: int) -> str:
    return name if count == 1 else f"{name}-{number}"


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
