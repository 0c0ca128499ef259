"""Take the pictures of docs/viewers.md again: `python -m tests.viewers.pictures [FOLDER]`, docs/pictures by default.

Needs the peers (`make peers`). The eyes are drawn and the probabilities made up; see `tests.viewers.example`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.browser import Chromium, Sheet, chromium
from tests.conftest import PROJECT, plugin
from tests.orthanc import Orthanc, orthanc
from tests.viewers.example import ExampleStudy, make_study
from tests.viewers.ohif_server import ohif_over
from tests.viewers.orthanc_pages import explorer, instances_of, series_of, web_viewer
from tests.viewers.pages import dsr2html, our_page

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 400_000
"""Bytes of a picture in the repository."""


def save(picture: NDArray[np.uint8], path: Path) -> None:
    """A PNG under the limit: with as many levels of each colour as fit, scaled down where 32 are too many.

    A palette would spend its colours on the black around and leave few for the heatmap's own.
    """
    image, step = Image.fromarray(picture), 1
    while True:
        levels = np.minimum((np.asarray(image).astype(np.int16) + step // 2) // step * step, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(levels).save(content, "PNG", optimize=True)
        if content.tell() <= LIMIT:
            break
        if step < 8:
            step *= 2
        else:
            image, step = image.resize((image.width * 9 // 10, image.height * 9 // 10), Image.Resampling.LANCZOS), 1
    path.write_bytes(content.getvalue())
    sys.stdout.write(f"{path}: {image.width} x {image.height}, {256 // step} levels, {content.tell() // 1000} kB\n")


def pages(browser: Chromium, study: ExampleStudy, scratch: Path, out: Path) -> None:
    """The pages that need no server."""
    with browser.sheet(width=1000, height=1300) as sheet:
        save(sheet.open(dsr2html(study.report, scratch)).picture(), out / "report-dsr2html.png")
    with browser.sheet(width=1000) as sheet:
        save(sheet.open(our_page(study, scratch)).picture(whole=True), out / "report-html.png")


def orthancs(browser: Chromium, pacs: Orthanc, out: Path) -> None:
    """Orthanc's explorer and web viewer."""
    heatmaps = series_of(pacs, "OT")
    with browser.sheet(width=1400, height=720) as sheet:
        sheet.open(explorer(pacs, "series", heatmaps)).wait_for_text("ImageComments")
        save(sheet.picture(), out / "orthanc-explorer.png")
    with browser.sheet(width=1400, height=1000) as sheet:
        sheet.open(web_viewer(pacs, heatmaps)).wait_for_text("Zoom")
        sheet.page.wait_for_timeout(5000)
        save(sheet.picture(), out / "orthanc-web-viewer.png")


def ohifs(browser: Chromium, pacs: Orthanc, study: ExampleStudy, out: Path) -> None:
    """OHIF with the report under the title that it shows the text of."""
    (usual,) = instances_of(pacs, series_of(pacs, "SR"))
    pacs.delete(f"/instances/{usual}")
    pacs.upload(study.text_report)
    with ohif_over(pacs) as address, browser.sheet(width=1400, height=1000) as sheet:
        sheet.open(f"{address}/viewer?StudyInstanceUIDs={study.result.study_instance_uid}")
        sheet.page.get_by_text("Skip all").click()
        _show(sheet, "OcuNet AI heatmaps", out / "ohif-heatmap.png")
        _show(sheet, "OcuNet AI report", out / "ohif-report.png")


def _show(sheet: Sheet, series: str, path: Path) -> None:
    sheet.page.get_by_text(series).first.dblclick()
    sheet.page.wait_for_timeout(5000)
    save(sheet.picture(), path)


def main(out: Path) -> None:
    """Take all of them."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, chromium() as browser:
        scratch = Path(folder)
        study = make_study(scratch / "study", size=(1600, 1200))
        pages(browser, study, scratch, out)
        plugins = [plugin("libOrthancDicomWeb.so"), plugin("libOrthancWebViewer.so")]
        with orthanc(scratch / "orthanc", Plugins=plugins, Name="Clinic") as pacs:
            for path in study.files:
                pacs.upload(path)
            orthancs(browser, pacs, out)
            ohifs(browser, pacs, study, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "pictures")
