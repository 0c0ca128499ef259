"""What docs/report.md shows, made from the code. `python -m tests.unit.report.report_page` writes it anew."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.report.items import Item, read_items
from ocunet_pacs.report.picture_rules import SECONDARY_CAPTURE
from ocunet_pacs.report.readable import as_text
from ocunet_pacs.report.rules_general import GENERAL
from ocunet_pacs.report.rules_ours import OURS
from ocunet_pacs.report.validate import RULES
from tests.conftest import PROJECT
from tests.unit.report.made import image, read, reporter, with_heatmaps

PAGE = PROJECT / "docs" / "report.md"
HEADINGS = {
    OutputKind.REPORT: "The report",
    OutputKind.HEATMAP: "Heatmaps",
    OutputKind.MAP: "Maps",
    OutputKind.PDF: "Documents",
}


def sections() -> dict[str, str]:
    """The generated parts of the page by name."""
    with tempfile.TemporaryDirectory() as folder:
        reports = reporter()
        images = [
            replace(one, quality=(("brightness", 86.0),))
            for one in (image(1, "R", CRVO=0.62, DR=0.83, Disease_Risk=0.9), image(2, "L", NORMAL=0.8))
        ]
        result, sources, heatmaps, _ = with_heatmaps(Path(folder), reports, images)
        text = as_text(read(reports.report(result, sources, heatmaps)))
    with tempfile.TemporaryDirectory() as folder:
        result, sources, heatmaps, _ = with_heatmaps(Path(folder), reports, [image(1, "R", CRVO=0.62)])
        tree = "\n".join(lines_of(read_items(read(reports.report(result, sources, heatmaps)))))
    return {"text": f"```\n{text}```", "tree": f"```\n{tree}\n```", "rules": rules()}


def lines_of(item: Item, depth: int = 0) -> list[str]:
    """The tree, an item a line."""
    name = f"({item.name.value}, {item.name.scheme}, {item.name.meaning})" if item.name else ""
    line = f"{'  ' * depth}{item.value_type} {name}{_value(item)}"
    return [line, *(below for child in item.children for below in lines_of(child, depth + 1))]


def _value(item: Item) -> str:
    if item.code is not None:
        return f" = ({item.code.value}, {item.code.scheme}, {item.code.meaning})"
    if item.number is not None and item.unit is not None:
        return f" = {item.number:g} {item.unit.value}"
    if item.text:
        return f' = "{item.text if len(item.text) <= 60 else item.text[:57] + "..."}"'
    if item.uid:
        return f" = {item.uid[:12]}..."
    if item.reference is not None:
        return " -> the heatmap" if item.reference.sop_class == SECONDARY_CAPTURE else " -> the photograph"
    return ""


def rules() -> str:
    """The rules, a table a kind of object; those that several kinds share are told once."""
    told: set[str] = set()
    parts = []
    tables = (("Any DICOM object", GENERAL), ("All of our objects", OURS), *((HEADINGS[k], RULES[k]) for k in RULES))
    for heading, rows in tables:
        fresh = [rule for rule in rows if rule.id not in told]
        told.update(rule.id for rule in fresh)
        lines = [f"| {rule.id} | {rule.says} | {rule.basis} |" for rule in fresh]
        parts.append("\n".join([f"### {heading}", "", "| rule | what must hold | why |", "|---|---|---|", *lines]))
    return "\n\n".join(parts)


def written(page: str, found: dict[str, str]) -> str:
    """The page with its generated parts as `found` has them."""
    for name, text in found.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        assert pattern.search(page), name
        page = pattern.sub(lambda _, b=begin, t=text, e=end: f"{b}\n{t}\n{e}", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections()), encoding="utf-8")
