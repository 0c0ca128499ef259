"""Our own page of a report, in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.browser import ALIKE, Chromium, likeness
from tests.viewers import expected
from tests.viewers.example import ExampleStudy
from tests.viewers.pages import our_page

pytestmark = pytest.mark.peers


def test_everything_is_read_and_the_heatmaps_are_drawn(
    browser: Chromium, both_eyes: ExampleStudy, tmp_path: Path
) -> None:
    with browser.sheet() as sheet:
        sheet.open(our_page(both_eyes, tmp_path))
        text = sheet.text()
        drawn = [sheet.picture(image) for image in sheet.page.locator("img").all()]
    assert expected.missing(text) == []
    for words in (expected.DISCLAIMER, expected.NOT_VERIFIED, expected.NOT_LISTED):
        assert re.search(words, text)
    heatmaps = [dcmread(path).pixel_array for path in both_eyes.heatmaps]
    assert len(drawn) == len(heatmaps)
    assert all(max(likeness(one, heatmap) for one in drawn) > ALIKE for heatmap in heatmaps)
