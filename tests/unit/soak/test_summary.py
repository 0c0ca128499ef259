"""The soak's summary: recoveries, and a page whose other parts stay."""

from __future__ import annotations

from pathlib import Path

from tests.soak.faults import Happened
from tests.soak.summary import BEGIN, END, recovery, write_section


def test_recovery_is_the_time_from_a_faults_end_to_the_next_report() -> None:
    happened = [
        Happened("database away", "", 10.0, 60.0),
        Happened("worker killed", "", 20.0, 20.0),
        Happened("database away", "", 80.0, 99.0),
    ]
    assert recovery(happened, [5.0, 63.5, 30.0]) == {"database away": [3.5], "worker killed": [10.0]}


def test_a_section_is_replaced_and_the_page_around_it_stays(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    page.write_text(f"# Soak\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    for text in ("new\n", "newer\n"):
        write_section(page, text)
        assert page.read_text() == f"# Soak\n\n{BEGIN}\n{text}{END}\n\nAfter.\n"
