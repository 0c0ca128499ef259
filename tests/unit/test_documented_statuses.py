"""The tables of statuses that pages explain in words say what the code does."""

from __future__ import annotations

import re

import pytest

from ocunet_pacs.delivery.judgement import judge
from ocunet_pacs.domain.errors import PeerBusy, PeerRefused
from tests.conftest import PROJECT
from tests.statement.page import PAGE
from tests.statement.statuses import stow_answers

INTAKE = PROJECT / "ocunet_pacs" / "intake"


def rows(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    (table,) = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[:1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def outcome(status: int) -> str:
    try:
        judge("x", status)
    except PeerBusy:
        return "busy"
    except PeerRefused:
        return "refused"
    return "delivered"


@pytest.mark.parametrize("row", rows("delivery.md", "### C-STORE statuses"), ids=lambda row: row[0][:20])
def test_what_a_c_store_status_leads_to(row: list[str]) -> None:
    for first, last in re.findall(r"\b([0-9ABCF]{4})(?:-([0-9ABCF]{4}))?\b", row[0]):
        for status in range(int(first, 16), int(last or first, 16) + 1):
            assert row[1].startswith(outcome(status)), f"{status:04X}"
    for family in re.findall(r"\b([AC][0-9x]xx)\b", row[0]):
        for status in (int(family.replace("x", "0"), 16), int(family.replace("x", "F"), 16)):
            assert row[1].startswith(outcome(status)), f"{status:04X}"


def test_every_status_that_a_web_sender_is_answered_with_is_explained() -> None:
    source = (INTAKE / "stow.py").read_text() + (INTAKE / "stow_guard.py").read_text()
    answered = {int(status) for status in re.findall(r"refused\(request, (\d{3})", source)}
    answered |= {int(status) for status in re.findall(r"status_code=(\d{3})", source)}
    looked_into = {int(status) for status in re.findall(r"\| (\d{3}) \|", stow_answers())}
    assert {int(row[0]) for row in rows("web-intake.md", "## Answers")} == answered | looked_into
    (others,) = re.findall(r"^([\d, and]+) are answered to requests", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(status) for status in re.findall(r"\d{3}", others)} == answered - looked_into
