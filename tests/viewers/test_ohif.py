"""The report and the heatmaps in OHIF, a viewer that many archives offer, over Orthanc's DICOMweb."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from tests.browser import ALIKE, Chromium, Sheet, likeness
from tests.viewers import expected
from tests.viewers.ohif_server import ohif_over
from tests.viewers.orthanc_pages import instances_of, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.orthanc import Orthanc
    from tests.viewers.example import ExampleStudy

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def viewer(browser: Chromium, pacs: Orthanc, both_eyes: ExampleStudy) -> Iterator[Sheet]:
    """OHIF with the study open, as an archive with OHIF gets it, its introduction closed."""
    (usual,) = instances_of(pacs, series_of(pacs, "SR"))
    pacs.delete(f"/instances/{usual}")
    for_ohif = pacs.upload(both_eyes.text_report)
    with ohif_over(pacs) as address, browser.sheet(width=1600, height=1000) as sheet:
        sheet.open(f"{address}/viewer?StudyInstanceUIDs={both_eyes.result.study_instance_uid}")
        sheet.page.get_by_text("Skip all").click()
        yield sheet
    pacs.delete(f"/instances/{for_ohif}")
    pacs.upload(both_eyes.report)


def test_the_list_of_series_names_ours(viewer: Sheet) -> None:
    viewer.wait_for_text("OcuNet AI report")
    viewer.wait_for_text("OcuNet AI heatmaps")
    viewer.wait_for_text("Colour fundus photographs")


def test_the_heatmap_opens(viewer: Sheet, both_eyes: ExampleStudy) -> None:
    viewer.page.get_by_text("OcuNet AI heatmaps").first.dblclick()
    canvas = viewer.page.locator("canvas.cornerstone-canvas").first
    ours = dcmread(both_eyes.heatmaps[0]).pixel_array
    assert viewer.settles(lambda: likeness(viewer.picture(canvas), ours) > ALIKE)


def test_the_rows_of_the_report_appear(viewer: Sheet) -> None:
    viewer.page.get_by_text("OcuNet AI report").first.dblclick()
    viewer.wait_for_text("Probability")
    text = viewer.text()
    assert {float(n) for n in re.findall(r"Probability ?: (\d+\.\d+) ?%", text)} >= {91.32, 78.45, 81.27, 66.54}
    assert expected.missing(text) == []
    for words in (expected.DISCLAIMER, expected.NOT_VERIFIED, expected.NOT_LISTED, *expected.CAVEATS):
        assert re.search(words, text)
    assert re.search(expected.CONCLUSIONS, text)
