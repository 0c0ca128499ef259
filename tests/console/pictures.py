"""Take the pictures of docs/console.md again: `python -m tests.console.pictures [FOLDER]`, docs/pictures by default.

Needs the peers (`make peers`). The eyes are drawn, the day and everything that is said of the eyes are made up.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind, JobState
from tests.browser import chromium
from tests.conftest import PROJECT
from tests.console.site import served, site
from tests.console.studies import a_day, draw, write_manifest
from tests.viewers.pictures import save

if TYPE_CHECKING:
    from tests.browser import Chromium
    from tests.console.site import Site

NOW = datetime(2026, 3, 4, 15, 20, 30, tzinfo=UTC)
HOST = "eye-clinic-1"


def take(browser: Chromium, made: Site, address: str, out: Path) -> None:
    """One picture a page; a study also as a phone shows it in the dark."""
    (dead,) = made.jobs.find(state=JobState.DEAD, kind=JobKind.DELIVER, limit=1)
    for path, name, height in (
        ("/", "overview", 1320),
        ("/studies", "studies", 980),
        ("/studies/7", "study", 1380),
        (f"/jobs/{dead.id}", "job", 800),
        ("/drift", "drift", 1000),
    ):
        with browser.sheet(height=height) as sheet:
            alive(made)
            sheet.open(address + path).page.wait_for_load_state("networkidle")
            save(sheet.picture(), out / f"console-{name}.png")
    with browser.sheet(width=390, height=844) as sheet:
        alive(made)
        sheet.page.emulate_media(color_scheme="dark")
        sheet.open(f"{address}/").page.wait_for_load_state("networkidle")
        save(sheet.picture(), out / "console-phone.png")


def alive(made: Site) -> None:
    """All roles say that they are well."""
    for role in ("listen", "work", "deliver"):
        made.metrics.set("loop_turn_timestamp_seconds", time.time(), role=role)
    made.metrics.set("model_answer_timestamp_seconds", time.time(), role="work")


def main(out: Path) -> None:
    """Take all of them."""
    out.mkdir(parents=True, exist_ok=True)
    os.environ["TZ"] = "UTC"
    time.tzset()
    socket.gethostname = lambda: HOST
    with TemporaryDirectory() as folder, chromium() as browser:
        scratch = Path(folder)
        with site(scratch, model={"bundle": str(scratch / "bundle"), "decoders": 1}) as made:
            write_manifest(scratch / "bundle")
            a_day(made, draw(scratch / "eyes"), NOW)
            made.now = lambda: NOW
            with served(made) as address:
                take(browser, made, address, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "pictures")
