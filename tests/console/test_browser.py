"""The console in a real browser: fit for everybody, worked by clicks or keys alone, deaf to what strangers wrote."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.labels import Urgency
from tests.conftest import axe
from tests.console.site import TOKEN, Site, served, site
from tests.console.studies import LIMIT, Drawn, Putter, write_manifest
from tests.dcmtk import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser import Chromium, Sheet

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
PAGES = (
    "/",
    "/studies",
    "/studies?state=attention",
    "/studies/1",
    "/studies/11",
    "/studies/13",
    "/jobs",
    "/jobs?state=waiting",
    "/jobs/{dead}",
    "/jobs/{dead}/retry",
    "/jobs/{dead}/discard",
    "/destinations",
    "/model",
    "/drift",
    "/about",
    "/nowhere",
)


def dead(made: Site) -> list[int]:
    return sorted(job.id for job in made.jobs.find(state=JobState.DEAD, kind=JobKind.ANALYSE))


def faults(sheet: Sheet) -> list[str]:
    """What axe-core finds on the page, with the element that it finds it in."""
    sheet.page.evaluate(axe())
    found: list[dict[str, Any]] = sheet.page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['impact']} {one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize(("width", "height", "colours"), [(1280, 900, "light"), (390, 844, "dark")])
def test_axe_finds_nothing_on_any_page(browser: Chromium, day: Site, width: int, height: int, colours: Any) -> None:
    number = dead(day)[0]
    with served(day) as address, browser.sheet(width=width, height=height) as sheet:
        sheet.page.emulate_media(color_scheme=colours)
        for path in PAGES:
            sheet.open(address + path.format(dead=number))
            assert faults(sheet) == [], path
            assert sheet.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert all(piece.legible for piece in sheet.pieces() if "Skip to" not in piece.text), path
        assert sheet.errors == []


def test_axe_finds_nothing_where_the_token_is_asked_for(browser: Chromium, folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made, served(made) as address, browser.sheet() as sheet:
        sheet.open(address)
        assert faults(sheet) == []
        sheet.page.get_by_label("Token").fill(TOKEN)
        sheet.page.get_by_role("button", name="Sign in").click()
        sheet.wait_for_text("Overview")
        sheet.page.get_by_role("link", name="About").click()
        sheet.page.get_by_role("button", name="Sign out").click()
        sheet.wait_for_text("Token")
        assert "Overview" not in sheet.text()


def test_a_dead_job_is_found_understood_and_retried_by_clicks_alone(browser: Chromium, day: Site) -> None:
    first, second = dead(day)
    with served(day) as address, browser.sheet() as sheet:
        page = sheet.open(address).page
        sheet.wait_for_text("2 analyses failed for good")
        page.get_by_role("link", name="Dead jobs").first.click()
        page.get_by_role("link", name=str(first), exact=True).click()
        text = sheet.text()
        assert LIMIT in text
        assert "no report of it was made" in text
        page.get_by_role("link", name="Retry").click()
        sheet.wait_for_text(f"Retry job {first}?")
        page.get_by_role("button", name=f"Retry job {first}").click()
        sheet.wait_for_text("the job waits again")
        assert sheet.errors == []
    assert dead(day) == [second]


def press_to(sheet: Sheet, role: str, words: str) -> None:
    """Press Tab until what has these words has the focus, and then Enter."""
    for _ in range(80):
        sheet.page.keyboard.press("Tab")
        found = sheet.page.evaluate("[document.activeElement.tagName, document.activeElement.innerText.trim()]")
        if found == [role, words]:
            outline = sheet.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert outline == "3px", "the focus is seen"
            with sheet.page.expect_navigation():
                sheet.page.keyboard.press("Enter")
            return
    raise AssertionError(f"no way by keys to {words}")


def test_the_same_by_keys_alone_and_all_of_one_reason_at_once(browser: Chromium, day: Site) -> None:
    with served(day) as address, browser.sheet() as sheet:
        sheet.open(address)
        sheet.page.keyboard.press("Tab")
        assert sheet.page.evaluate("document.activeElement.innerText") == "Skip to the content"
        sheet.page.keyboard.press("Enter")
        press_to(sheet, "A", "Dead jobs")
        # The deliveries come first: of two groups of two, that of the newer job.
        press_to(sheet, "A", "Discard all 2")
        press_to(sheet, "A", "Leave them as they are")
        press_to(sheet, "A", "Retry all 2")
        press_to(sheet, "BUTTON", "Retry 2 jobs")
        sheet.wait_for_text("of 2 jobs each waits again")
    assert len(dead(day)) == 2
    assert day.jobs.find(state=JobState.DEAD, kind=JobKind.DELIVER) == []


SCRIPT = "<script>window.taken = 1</script>"
NAME = f"{SCRIPT}^<b onclick=x()>"
PICTURE = '"><img src=x onerror="window.taken = 2">'


@pytest.fixture
def written(folder: Path, drawn: Drawn) -> Iterator[Site]:
    """A site to which strangers sent scripts wherever they have a word."""
    example = drawn.sick
    photographs = []
    for path in example.photographs:
        ds = dcmread(path)
        ds.PatientName = NAME
        ds.PatientID = PICTURE
        ds.StudyDescription = SCRIPT
        ds.StationName = "<svg/onload=x()>"
        ds.ManufacturerModelName = SCRIPT
        ds.save_as(folder / path.name)
        photographs.append(folder / path.name)
    hostile = replace(example, photographs=tuple(photographs))
    with site(folder, console={"show_patient": True}) as made:
        write_manifest(folder / "bundle")
        put = Putter(made, drawn, datetime.now(UTC))
        put.reported(hostile, ago=timedelta(minutes=9), urgency=Urgency.SOON, to=("viewer",), ae_title=PICTURE)
        put.deliver(ago=timedelta(minutes=8), refuses=SCRIPT + PICTURE)
        put.dead(hostile, SCRIPT, ago=timedelta(minutes=7), ae_title=SCRIPT)
        made.jobs.note_down("pacs", PICTURE, put.now, timedelta(minutes=2))
        made.jobs.record_run("retention", put.now, 0.1, succeeded=False, note=SCRIPT)
        yield made


def test_a_script_that_a_stranger_wrote_is_read_and_never_run(browser: Chromium, written: Site) -> None:
    jobs = [job.id for job in written.jobs.find(state=JobState.DEAD)]
    pages = ["/", "/studies", "/studies/1", "/studies/2", "/jobs", "/destinations", "/about"]
    pages += [f"/jobs/{number}{verb}" for number in jobs for verb in ("", "/retry", "/discard")]
    seen = ""
    with served(written) as address, browser.sheet() as sheet:
        sheet.page.on("dialog", lambda dialog: dialog.dismiss())
        for path in pages:
            sheet.open(address + path)
            assert sheet.page.evaluate("window.taken") is None, path
            assert sheet.page.locator("script, svg, [onerror], img[src=x]").count() == 0, path
            seen += sheet.page.inner_text("main")
    for words in (SCRIPT, PICTURE, NAME, "<svg/onload=x()>"):
        assert words in seen, "it is shown as it is"


@contextmanager
def evil(page: str) -> Iterator[str]:
    """Another site, with this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_another_sites_page_changes_and_shows_nothing(browser: Chromium, day: Site) -> None:
    before = dead(day)
    with served(day) as address, browser.sheet() as sheet:
        page = sheet.open(f"{address}/jobs/{before[0]}/retry").page
        seal = page.locator("input[name=seal]").first.input_value()
        form = (
            f"<form method=post action='{address}/jobs/{before[0]}/retry'><input name=seal value='{seal}'>"
            f"<button>win a prize</button></form><iframe src='{address}/'></iframe>"
            f"<img src='{address}/pictures/received/1/small'>"
        )
        with evil(form) as elsewhere:
            page.goto(elsewhere)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.querySelector('img').naturalWidth") == 0
            frames = [frame for frame in page.frames if frame != page.main_frame]
            assert all("Overview" not in frame.content() for frame in frames)
            with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
                page.get_by_role("button").click()
            assert posted.value.status == 403
    assert dead(day) == before
