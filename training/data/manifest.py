"""One manifest for every collection: a csv file with one row a photograph.

Columns: `image` (path from the manifest's folder, or absolute), `frame` (from 1; empty for a file of one), `digest`
(sha256 of the file), `group` (patient, or whatever must stay on one side of a split), `positive` and `negative` (labels
joined by `|`; a label in neither is unknown, which is not negative), `source`, `camera`, `laterality` (R, L or empty),
`split` (train, validation, test or empty). Beside it, `NAME.unreadable.csv` lists what could not be read, and why.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from ocunet_pacs.domain.labels import LABELS
from training.data.whole import write_whole
from training.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

_JOINT: Final = "|"
_KNOWN: Final = frozenset(label.name for label in LABELS)
_SIDES: Final = ("", "R", "L")


class Split(StrEnum):
    """What a row is for. Thresholds and temperature are fitted on VALIDATION, and nothing is judged on it."""

    NONE = ""
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Row:
    """One photograph: a file, or one frame of it. See the module for what each field means."""

    image: str
    digest: str
    group: str
    positive: frozenset[str]
    negative: frozenset[str]
    source: str
    frame: int | None = None
    camera: str = ""
    laterality: str = ""
    split: Split = Split.NONE

    @property
    def key(self) -> str:
        """Names these pixels, whatever file they lie in: the digest, and the frame where there are several."""
        return self.digest if self.frame is None else f"{self.digest}-{self.frame}"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Labels of which nothing is known here, in the table's order."""
        return tuple(label.name for label in LABELS if label.name not in self.positive | self.negative)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is in no row, and why: a coded reason and a sentence, never its content."""

    image: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Rows, the folder that their paths start from, and what could not become a row."""

    rows: tuple[Row, ...]
    root: Path
    unreadable: tuple[Unreadable, ...] = ()

    def path(self, row: Row) -> Path:
        """Where the row's file lies."""
        return self.root / row.image

    def of(self, split: Split) -> list[Row]:
        """The rows of one split, in order."""
        return [row for row in self.rows if row.split is split]

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over which pixels, labels, groups and splits these are, whatever the order and the paths."""
        lines = sorted(
            f"{row.key} {row.group} {_joined(row.positive)} {_joined(row.negative)} {row.split}" for row in self.rows
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def known_labels(rows: Sequence[Row], minimum_positives: int) -> tuple[str, ...]:
    """Labels with at least that many positives and at least one negative, in the table's order."""
    names = [label.name for label in LABELS]
    values, known = targets(rows, names)
    positives = (values * known).sum(axis=0)
    negatives = known.sum(axis=0) - positives
    return tuple(n for n, p, q in zip(names, positives, negatives, strict=True) if p >= max(1, minimum_positives) and q)


def targets(rows: Sequence[Row], labels: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What is known: values in {0, 1}, float32 (rows, labels), and where they are known, bool of the same shape.

    The value of an unknown label is 0 and means nothing.
    """
    values = np.array([[label in row.positive for label in labels] for row in rows], np.float32)
    negative = np.array([[label in row.negative for label in labels] for row in rows], np.bool_)
    shape = (len(rows), len(labels))
    values, negative = values.reshape(shape), negative.reshape(shape)
    return values, negative | (values > 0)


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`. ManifestError lists every wrong row by its line."""
    records = _records(path)
    rows, problems = [], []
    for line, record in enumerate(records, 2):
        try:
            rows.append(_row(record))
        except (KeyError, ValueError) as error:
            problems.append(f"{path.name}: line {line}: {error}")
    if problems:
        raise ManifestError("\n".join(problems))
    beside = unreadable_path(path)
    unreadable = [Unreadable(r["image"], r["reason"]) for r in _records(beside)] if beside.exists() else []
    return Manifest(tuple(rows), path.parent, tuple(unreadable))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the csv, and what was unreadable beside it, each whole or not at all. ManifestError."""
    columns = [field.name for field in fields(Row)]
    records = [_record(row) for row in manifest.rows]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.resolve() != manifest.root.resolve():
            for record in records:
                record["image"] = os.path.relpath((manifest.root / record["image"]).resolve(), path.parent.resolve())
        _write(path, columns, records)
        _write(unreadable_path(path), ["image", "reason"], [asdict(entry) for entry in manifest.unreadable])
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written: {error.strerror}") from None


def unreadable_path(path: Path) -> Path:
    """Where the list of unreadable files lies, beside the manifest at `path`."""
    return path.with_suffix(".unreadable.csv")


def row_problems(row: Row) -> list[str]:
    """One line for each fault of a row: labels that nobody knows, that are both, a digest that is none."""
    problems = [f"{name!r} is not in the table of labels" for name in sorted((row.positive | row.negative) - _KNOWN)]
    problems += [f"{name} is positive and negative" for name in sorted(row.positive & row.negative)]
    if len(row.digest) != 64 or not set(row.digest) <= set("0123456789abcdef"):
        problems.append("digest is not a sha256 in hexadecimal digits")
    if not row.group:
        problems.append("group is empty")
    if row.laterality not in _SIDES:
        problems.append(f"laterality {row.laterality!r} is not R, L or empty")
    return problems


def _row(record: Mapping[str, str]) -> Row:
    row = Row(
        image=record["image"],
        digest=record["digest"],
        group=record["group"],
        positive=_split(record["positive"]),
        negative=_split(record["negative"]),
        source=record["source"],
        frame=int(record["frame"]) if record.get("frame") else None,
        camera=record.get("camera") or "",
        laterality=record.get("laterality") or "",
        split=Split(record.get("split") or ""),
    )
    if problems := row_problems(row):
        raise ValueError("; ".join(problems))
    return row


def _record(row: Row) -> dict[str, Any]:
    record = {field.name: getattr(row, field.name) for field in fields(Row)}
    frame = "" if row.frame is None else row.frame
    return record | {"positive": _joined(row.positive), "negative": _joined(row.negative), "frame": frame}


def _split(names: str) -> frozenset[str]:
    return frozenset(name for name in names.split(_JOINT) if name)


def _joined(names: Iterable[str]) -> str:
    """In the table's order, so that the same set is the same text."""
    names = set(names)
    ordered = [label.name for label in LABELS if label.name in names]
    return _JOINT.join([*ordered, *sorted(names - _KNOWN)])


def _records(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise ManifestError(f"{path}: is not a csv file in UTF-8") from None


def _write(path: Path, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(records)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))
