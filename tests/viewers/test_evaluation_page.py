"""The page of an evaluation in a browser: on a desk, on a phone, in the dark, on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.unit.training.evaluation.judgements import make_random, make_summary
from training.evaluation.mistakes import Pictures
from training.evaluation.overlay import jpeg_uri
from training.evaluation.page import write_page

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from tests.browser import Chromium

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    judgement = make_random()
    summary = make_summary(judgement)
    grey = jpeg_uri(np.full((60, 80, 3), 90, np.uint8))
    pictures = {(one.row, one.label): Pictures(grey, grey) for one in summary.mistakes}
    page: Path = write_page(tmp_path_factory.mktemp("page"), summary, judgement.judged, pictures)
    return page.as_uri()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_can_be_read(browser: Chromium, address: str, width: int, scheme: Literal["light", "dark"]) -> None:
    with browser.sheet(width=width) as sheet:
        sheet.page.emulate_media(color_scheme=scheme)
        sheet.open(address)
        assert [piece for piece in sheet.pieces() if piece.text.strip() != "undefined" and not piece.legible] == []
        text = sheet.text()
        # Wide tables scroll within themselves, the page does not.
        assert sheet.page.evaluate("document.documentElement.scrollWidth") <= width
        assert sheet.page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
        assert sheet.errors == []
    for words in ("Mean average precision", "Sensitivity with refused", "AUROC within sources", "Worst mistakes"):
        assert words in text


def test_charts_turn_dark_with_the_page(browser: Chromium, address: str) -> None:
    brightness = {}
    with browser.sheet() as sheet:
        for scheme in ("light", "dark"):
            sheet.page.emulate_media(color_scheme=scheme)
            sheet.open(address)
            brightness[scheme] = sheet.picture(sheet.page.locator(".charts img").first).mean()
    assert brightness["light"] > 200
    assert brightness["dark"] < 60


def test_on_paper_nothing_scrolls(browser: Chromium, address: str) -> None:
    with browser.sheet(width=720) as sheet:
        sheet.page.emulate_media(media="print")
        sheet.open(address)
        for table in sheet.page.locator(".scroll").all():
            assert table.evaluate("one => getComputedStyle(one).overflowX") == "visible"
        assert not sheet.page.locator("nav").is_visible()
        assert sheet.page.pdf(format="A4").startswith(b"%PDF")
