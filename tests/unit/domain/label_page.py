"""The table of labels in docs/model-card.md, made from the code. `python -m tests.unit.domain.label_page` writes it."""

from __future__ import annotations

from ocunet_pacs.domain.labels import LABELS, Label
from tests.conftest import PROJECT
from tests.unit.report.report_page import written

PAGE = PROJECT / "docs" / "model-card.md"


def sections() -> dict[str, str]:
    """The generated part of the page by name."""
    head = ["| output | label | what a report calls it | code | urgency | caveat |", "|---|---|---|---|---|---|"]
    return {"labels": "\n".join([*head, *(_row(number, label) for number, label in enumerate(LABELS))])}


def _row(number: int, label: Label) -> str:
    urgency = label.urgency.value.replace("_", " ")
    return (
        f"| {number} | `{label.name}` | {label.display} | {label.code.value} ({label.code.scheme}) "
        f"| {urgency} | {label.caveat} |"
    )


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections()), encoding="utf-8")
