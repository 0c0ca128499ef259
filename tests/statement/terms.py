"""The tree of our reports and every code in what we make: of reports that say all that reports can say."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ocunet_pacs.domain.labels import LABELS, PRIVATE_SCHEME, Code
from ocunet_pacs.domain.result import ImageResult
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.report import codes
from ocunet_pacs.report.items import Item, read_items
from tests.statement.tables import table
from tests.unit.report.made import UNTRAINED, image, mixed, read, reporter, with_heatmaps

LABEL_CODES = {(label.code.value, label.code.scheme) for label in LABELS if label.name != "NORMAL"}
MOST_VALUES = 8


def sections() -> dict[str, str]:
    return {
        "report tree": tree(),
        "private codes": private_codes(),
        "label codes": label_codes(),
        "codes": other_codes(),
    }


@dataclass
class Node:
    """A content item of some reports, with everything that they have in its place."""

    relation: str
    value_type: str
    name: str
    values: dict[str, None] = field(default_factory=dict)
    children: dict[tuple[str, str, str], Node] = field(default_factory=dict)

    def take(self, item: Item) -> None:
        if item.code is not None:
            self.values[_words(item.code)] = None
        if item.unit is not None:
            self.values[f"in {_words(item.unit)}"] = None
        for child in item.children:
            key = (child.relation, child.value_type, _words(child.name))
            self.children.setdefault(key, Node(*key)).take(child)

    def rows(self, depth: int = 0) -> Iterator[tuple[str, str, str, str]]:
        values = list(self.values) if len(self.values) <= MOST_VALUES else ["one of many codes"]
        yield f"{'&gt;' * depth} {self.name}".strip(), self.value_type, self.relation, "<br>".join(values)
        for child in self.children.values():
            yield from child.rows(depth + 1)


def _words(code: Code | None) -> str:
    if code is None:
        return ""
    if (code.value, code.scheme) in LABEL_CODES:
        return "the label's code"
    return f"({code.value}, {code.scheme}, {code.meaning})"


def tree() -> str:
    root: Node | None = None
    for item in _reports():
        root = root or Node("", item.value_type, _words(item.name))
        root.take(item)
    assert root is not None
    return table(("concept", "value type", "relationship", "values"), root.rows())


def _reports() -> Iterator[Item]:
    """Both eyes and one that nobody knows, contradictions, refusals, caveats, gates that are open, no weights."""
    everything = reporter(include_below_threshold=True)
    with tempfile.TemporaryDirectory() as folder:
        result, sources, pictures, _ = mixed(Path(folder), everything, UNTRAINED)
        result = replace(result, patient_conflict=True)
        yield read_items(read(everything.report(result, sources, pictures)))
    ungradable = (Reason(ReasonCode.UNGRADABLE, "out of focus"),)
    cases: tuple[list[ImageResult], ...] = (
        [image(1, "R", **{label.name: 0.9 for label in LABELS if label.name != "NORMAL"})],
        [image(1, "L", NORMAL=0.9)],
        [replace(image(1, "R", MH=0.9, PT=0.9), despite=ungradable)],
        [replace(image(1, "R"), scores=(), reasons=ungradable)],
        [image(1, "R", frame=1, DR=0.9), image(1, "R", frame=2)],
        *([image(1, "L", **{label.name: 0.9})] for label in {label.urgency: label for label in LABELS}.values()),
    )
    for images in cases:
        yield _report(images)
    for modality in codes.MODALITIES:
        yield _report([image(1, "R")], Modality=modality)


def _report(images: list[ImageResult], **photographed: str) -> Item:
    with tempfile.TemporaryDirectory() as folder:
        result, sources, pictures, _ = with_heatmaps(Path(folder), reporter(), images, **photographed)
        return read_items(read(reporter().report(result, sources, pictures)))


def private_codes() -> str:
    rows = [(value, meaning) for (scheme, value), meaning in codes.meanings().items() if scheme == PRIVATE_SCHEME]
    return table(("code value", "code meaning"), sorted(rows))


def label_codes() -> str:
    rows = ((label.name, label.display, _plain(label.code), _plain(label.site), label.kind) for label in LABELS)
    return table(("label", "shown as", "finding", "finding site", "kind"), rows)


def _plain(code: Code) -> str:
    return f"({code.value}, {code.scheme}, {code.meaning})"


def other_codes() -> str:
    of_labels = {(code.scheme, code.value) for label in LABELS for code in (label.code, label.site)}
    rows = [
        (scheme, value, meaning)
        for (scheme, value), meaning in codes.meanings().items()
        if scheme != PRIVATE_SCHEME and (scheme, value) not in of_labels
    ]
    return table(("coding scheme", "code value", "code meaning"), sorted(rows))
