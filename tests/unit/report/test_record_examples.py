"""The documents in docs are what the product makes."""

from __future__ import annotations

import json
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.report.fhir_terms import ICD_10_CLASSES, PRIVATE_SYSTEM
from ocunet_pacs.report.ordering import COMPOSITE, NORMAL
from tests.unit.report.record_examples import FOLDER, examples

WORDS = {"text", "div", "conclusion", "display", "disclaimer"}


def without_words(value: Any) -> Any:
    """What a program reads: the sentences may be improved without anybody's having to read docs again."""
    if isinstance(value, dict):
        return {key: without_words(inner) for key, inner in value.items() if key not in WORDS}
    return [without_words(inner) for inner in value] if isinstance(value, list) else value


def test_the_documents_in_docs_are_what_is_made() -> None:
    for name, content in examples().items():
        shown = (FOLDER / name).read_bytes()
        assert without_words(json.loads(shown)) == without_words(json.loads(content)), (
            "run python -m tests.unit.report.record_examples"
        )
    Bundle.model_validate_json((FOLDER / "fhir-bundle.json").read_bytes())


def test_the_page_says_how_each_finding_is_coded() -> None:
    page = (FOLDER.parent / "record-systems.md").read_text(encoding="utf-8")
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    for label in LABELS:
        if label.name not in {COMPOSITE, NORMAL}:
            words = rows[label.name]
            assert f" {label.code.value} |" in words
            assert label.display in words
            assert (f"| {ICD_10_CLASSES[label.name].value} |" if label.name in ICD_10_CLASSES else "|  |") in words
    assert PRIVATE_SYSTEM in page


def test_the_page_shows_the_notice() -> None:
    page = (FOLDER.parent / "notifications.md").read_text(encoding="utf-8")
    assert (FOLDER / "notice.json").read_text(encoding="utf-8") in page
