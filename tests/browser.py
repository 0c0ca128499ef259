"""Debian's Chromium, headless: opens pages of this machine, says what a person could read on them, takes pictures.

Driven by Playwright's library with no browser of its own. Nothing leaves the machine: a request to another host fails,
and is noted. WebGL is drawn in software, for viewers that want a graphics card.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from tests.conftest import program
from tests.dcmtk import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Locator, Page, Route

PATIENCE = 60_000
"""Milliseconds to wait for something to appear before it counts as absent: machines that run tests can be slow."""
_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
MINIMUM_SIZE = 10.0
MINIMUM_CONTRAST = 4.5
"""Letters in CSS pixels, and the contrast of WCAG 2 (AA) of letters against what is behind them."""
ALIKE = 0.98
"""A likeness that only the same picture has: those of a patient's two eyes reach 0.96."""

# Walks the visible text in the order of the document. Each piece: its text, the height of its letters, the contrast to
# the nearest painted background, and whether it is drawn at all.
_PIECES = """
() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const colour = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  // A gradient counts as its first colour: what is behind a letter is never guessed from an image.
  const painted = style => {
    const gradient = /gradient/.test(style.backgroundImage) && style.backgroundImage.match(/rgba?\\([^)]*\\)/);
    return colour(gradient ? gradient[0] : style.backgroundColor);
  };
  // What an element has from its ancestors: the colour behind it, and the box that they leave it. What can be scrolled
  // to is not cut off.
  const known = new Map([[null, {behind: [255, 255, 255, 1], edges: [-Infinity, -Infinity, Infinity, Infinity]}]]);
  const around = element => {
    if (known.has(element)) return known.get(element);
    const outer = around(element.parentElement), style = getComputedStyle(element), own = painted(style);
    let [left, top, right, bottom] = outer.edges;
    if (element !== document.documentElement && /hidden|clip/.test(style.overflow)) {
      const box = element.getBoundingClientRect();
      if (/hidden|clip/.test(style.overflowX)) { left = Math.max(left, box.left); right = Math.min(right, box.right); }
      if (/hidden|clip/.test(style.overflowY)) { top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom); }
    }
    if (/auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth) {
      [left, right] = [-Infinity, Infinity];
    }
    if (/auto|scroll/.test(style.overflowY) && element.scrollHeight > element.clientHeight) {
      [top, bottom] = [-Infinity, Infinity];
    }
    const found = {behind: own[3] > 0.5 ? own : outer.behind, edges: [left, top, right, bottom]};
    known.set(element, found);
    return found;
  };
  const shown = (box, [left, top, right, bottom]) =>
    Math.max(0, Math.min(right, box.right) - Math.max(left, box.left)) *
    Math.max(0, Math.min(bottom, box.bottom) - Math.max(top, box.top)) / (box.width * box.height);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pieces = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.replace(/\\s+/g, ' ');
    const element = node.parentElement;
    if (!text.trim() || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 1 || box.height < 1 || shown(box, around(element).edges) < 0.9) continue;
    const style = getComputedStyle(element);
    const fore = luminance(colour(element instanceof SVGElement ? style.fill : style.color));
    const back = luminance(around(element).behind);
    const contrast = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    pieces.push({text, size: parseFloat(style.fontSize), contrast});
  }
  return pieces;
}
"""


@dataclass(frozen=True)
class Piece:
    """A run of text that is drawn: its letters' size in CSS pixels and their contrast to what is behind."""

    text: str
    size: float
    contrast: float

    @property
    def legible(self) -> bool:
        return self.size >= MINIMUM_SIZE and self.contrast >= MINIMUM_CONTRAST


class Sheet:
    """A page in the browser."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.refused: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.route("**/*", self._only_here)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _only_here(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname != HOST:
            self.refused.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def open(self, url: str) -> Sheet:
        self.page.goto(url)
        return self

    def pieces(self) -> list[Piece]:
        """All visible text, in the order of the document."""
        return [Piece(**piece) for piece in self.page.evaluate(_PIECES)]

    def text(self) -> str:
        """All visible and legible text in one line: what is too small or too faint to be read is left out."""
        return re.sub(r"\s+", " ", " ".join(p.text for p in self.pieces() if p.legible)).strip()

    def wait_for_text(self, words: str) -> None:
        self.page.wait_for_function("words => document.body?.innerText.includes(words)", arg=words)

    def settles(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds within the time that things may take to appear."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not holds():
            if time.monotonic() > deadline:
                return False
            self.page.wait_for_timeout(250)
        return True

    def picture(self, of: Locator | None = None, *, whole: bool = False) -> NDArray[np.uint8]:
        """A screenshot, RGB: of one element, of the whole page however long, or of the window."""
        png = of.screenshot() if of is not None else self.page.screenshot(full_page=whole)
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


class Chromium:
    """A running browser."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @property
    def version(self) -> str:
        return self._browser.version

    @contextmanager
    def sheet(self, *, width: int = 1280, height: int = 900) -> Iterator[Sheet]:
        """A page without memory of others; afterwards nothing that it asked for may have been on another host."""
        context = self._browser.new_context(viewport={"width": width, "height": height}, service_workers="block")
        try:
            sheet = Sheet(context.new_page())
            yield sheet
            assert sheet.refused == [], "the page asked for things that are not on this machine"
        finally:
            context.close()


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Run the browser until the block ends. One at a time, and no asyncio loop may run in this thread."""
    executable = program("chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def likeness(shown: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """How alike `shown` is to `picture` fitted into its middle, as a viewer fits it: correlation, 1 for the same.

    Only what the picture covers is compared, small and blurred: that forgives another way of resampling and half a
    pixel, not another picture.
    """
    height, width = shown.shape[:2]
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    small = (200, round(200 * size[1] / size[0]))

    def reduced(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return cv2.GaussianBlur(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), (0, 0), 1).astype(np.float64)

    there = reduced(shown[top : top + size[1], left : left + size[0]])
    return float(np.corrcoef(there.ravel(), reduced(picture).ravel())[0, 1]) if there.std() > 0 else 0.0
