"""Pages that programs make of a report, as files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ocunet_pacs.app.readable import write_readable
from tests.conftest import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.viewers.example import ExampleStudy


def dsr2html(report: Path, folder: Path) -> str:
    """The address of the page that dcmtk makes of it."""
    page = folder / "dsr2html.html"
    done = subprocess.run(
        [program("dsr2html"), "-q", "+U8", str(report), str(page)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return page.as_uri()


def our_page(study: ExampleStudy, folder: Path) -> str:
    """The address of the page that we make for people without a viewer."""
    pages = [path for path in write_readable(study.results, folder / "ours") if path.suffix == ".html"]
    assert len(pages) == 1
    return pages[0].as_uri()
