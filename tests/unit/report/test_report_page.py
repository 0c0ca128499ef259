from __future__ import annotations

from ocunet_pacs.domain.labels import LABELS
from tests.conformance.reports.cases import cases
from tests.unit.report.report_page import PAGE, sections, written


def test_the_page_shows_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, sections()) == page, "python -m tests.unit.report.report_page writes it anew"


def test_the_table_of_urgencies_is_the_labels_and_gives_a_basis_for_each() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("| label | shown as | default | basis |\n|---|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[:3] for row in rows] == [[label.name, label.display, label.urgency.value] for label in LABELS]
    assert all(row[3] for row in rows)


def test_the_page_counts_the_matrix() -> None:
    assert f"makes {len(cases())} studies" in " ".join(PAGE.read_text(encoding="utf-8").split())
