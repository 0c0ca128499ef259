"""The model card names every label as reports do."""

from __future__ import annotations

from tests.unit.domain.label_page import PAGE, sections
from tests.unit.report.report_page import written


def test_the_page_shows_the_labels_that_reports_use() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page, sections()), "run `python -m tests.unit.domain.label_page`"
