"""The measures that the other tests of this folder trust."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser import ALIKE, Chromium, likeness

pytestmark = pytest.mark.peers

PAGE = """
<p>plain</p><p style='font-size:8px'>tiny</p><p style='color:#ddd'>faint</p><p hidden>hidden</p>
<p style='opacity:0'>clear</p><div style='height:0;overflow:hidden'>cut</div>
<div style='height:40px;overflow:auto'><p style='margin-top:200px'>scrolled to</p></div>
"""


def test_small_faint_hidden_or_cut_letters_do_not_count_as_read(browser: Chromium) -> None:
    with browser.sheet() as sheet:
        sheet.page.set_content(PAGE)
        assert sheet.text() == "plain scrolled to"


def test_a_page_that_asks_for_another_machine_is_found_out(browser: Chromium) -> None:
    with pytest.raises(AssertionError, match="not on this machine"), browser.sheet() as sheet:
        sheet.page.set_content("<img src='http://192.0.2.1/a.png'>")


def test_only_the_same_picture_is_alike() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    screen = np.zeros((60, 120, 3), np.uint8)
    screen[:, 20:100] = picture
    assert likeness(screen, picture) > ALIKE
    assert likeness(screen, picture[:, ::-1]) < 0.5
    assert likeness(np.zeros_like(screen), picture) == 0.0
