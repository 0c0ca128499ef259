"""Results as files for people without a DICOM viewer: HTML and PNG beside the DICOM objects."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pydicom import dcmread
from PIL import Image

from ocunet_pacs.report.readable import as_html, as_png, heatmap_png

if TYPE_CHECKING:
    from pathlib import Path


def write_readable(source: Path, out: Path) -> list[Path]:
    """Render every report and heatmap under `source` (DICOM files) into `out`; the files, DICOM included."""
    raise NotImplementedError
