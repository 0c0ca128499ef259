"""What Orthanc's own explorer and web viewer show of a study that we reported on."""

from __future__ import annotations

import re

import pytest
from pydicom import dcmread

from tests.browser import ALIKE, Chromium, Sheet, likeness
from tests.orthanc import Orthanc
from tests.viewers import expected
from tests.viewers.example import ExampleStudy
from tests.viewers.orthanc_pages import explorer, instances_of, series_of, web_viewer

pytestmark = pytest.mark.peers


def open_tags(sheet: Sheet, pacs: Orthanc, instance: str) -> str:
    """What is read on an instance's page with the whole tree of tags opened, as a person would click it open."""
    sheet.open(explorer(pacs, "instance", instance))
    sheet.wait_for_text("SOPClassUID")
    sheet.page.evaluate("document.querySelectorAll('#dicom-tree a.toggler.closed').forEach(e => e.click())")
    sheet.page.wait_for_function("!document.querySelector('#dicom-tree a.toggler.closed')")
    return sheet.text()


def test_the_study_lists_the_report_and_the_heatmaps_by_name(browser: Chromium, pacs: Orthanc) -> None:
    (study,) = pacs.get("/studies")
    with browser.sheet() as sheet:
        sheet.open(explorer(pacs, "study", study))
        sheet.wait_for_text("OcuNet")
        text = sheet.text()
    assert re.search(r"OcuNet AI report.*?Modality: SR", text)
    assert re.search(r"OcuNet AI heatmaps.*?Modality: OT", text)
    assert re.search(r"Colour fundus photographs \(drawn\).*?Modality: OP", text)


def test_the_list_of_heatmaps_says_eye_label_and_probability(browser: Chromium, pacs: Orthanc) -> None:
    with browser.sheet(width=1900) as sheet:
        sheet.open(explorer(pacs, "series", series_of(pacs, "OT")))
        sheet.wait_for_text("ImageComments")
        text = sheet.text()
    assert expected.missing(text) == []


def test_the_tags_of_the_report_can_be_read(browser: Chromium, pacs: Orthanc) -> None:
    (report,) = instances_of(pacs, series_of(pacs, "SR"))
    with browser.sheet() as sheet:
        text = open_tags(sheet, pacs, report)
    numbers = re.findall(r"\bProbability .{1,900}?NumericValue \) : ([\d.]+)", text)
    assert {float(n) for n in numbers} >= {91.32, 78.45, 81.27, 66.54}
    assert re.search(r"MeasurementUnitsCodeSequence .{1,120}?CodeValue \) : %", text)
    for words in ("Retinopathy due to diabetes mellitus", "Glaucoma", "Right", "Left", "Laterality"):
        assert words in text
    assert expected.missing(text) == []
    for words in (expected.DISCLAIMER, expected.NOT_VERIFIED, expected.NOT_LISTED):
        assert re.search(words, text)


def test_the_tags_of_each_heatmap_say_the_eye(browser: Chromium, pacs: Orthanc) -> None:
    with browser.sheet() as sheet:
        for instance, eye in zip(instances_of(pacs, series_of(pacs, "OT")), "RL", strict=True):
            text = open_tags(sheet, pacs, instance)
            assert re.search(rf"ImageLaterality \) : {eye}\b", text)
            assert "RESEARCH" in text


def test_the_preview_is_our_picture(browser: Chromium, pacs: Orthanc, both_eyes: ExampleStudy) -> None:
    previewed = []
    for instance in instances_of(pacs, series_of(pacs, "OT")):
        with browser.sheet() as sheet:
            sheet.open(f"{pacs.url}/instances/{instance}/preview")
            previewed.append(sheet.picture(sheet.page.locator("img")))
    ours = [dcmread(path).pixel_array for path in both_eyes.heatmaps]
    assert likeness(previewed[0], ours[0]) > ALIKE
    assert likeness(previewed[1], ours[1]) > ALIKE
    assert likeness(previewed[0], ours[1]) < ALIKE


def test_the_web_viewer_draws_our_picture(browser: Chromium, pacs: Orthanc, both_eyes: ExampleStudy) -> None:
    with browser.sheet() as sheet:
        sheet.open(web_viewer(pacs, series_of(pacs, "OT")))
        sheet.wait_for_text("OcuNet AI heatmaps")
        canvas = sheet.page.locator("canvas").first
        ours = dcmread(both_eyes.heatmaps[0]).pixel_array
        assert sheet.settles(lambda: likeness(sheet.picture(canvas), ours) > ALIKE)
