"""Csv files as people save them: rows with their line numbers, and what stands in a cell."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.corpora.listing import Findings, some
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_DELIMITERS: Final = (",", ";", "\t")
_YES: Final = frozenset({"1", "1.0", "true", "yes", "positive"})
_NO: Final = frozenset({"0", "0.0", "false", "no", "negative"})


@dataclass(frozen=True, slots=True)
class Table:
    """A csv file: its columns in order, and (line, cells by column) of each row; no cell has space around it."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]


def read_table(path: Path) -> Table:
    """A csv file in UTF-8 with a row of names, its cells parted by comma, semicolon or tab. CorpusError."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: is not in UTF-8: save it as csv in UTF-8") from None
    first = content.partition("\n")[0]
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=max(_DELIMITERS, key=first.count))
    try:
        records = [(reader.line_num, [cell.strip() for cell in record]) for record in reader]
    except csv.Error:
        raise CorpusError(f"{path}: is not a csv file") from None
    if not records:
        raise CorpusError(f"{path}: is empty; it needs a row with the names of its columns")
    columns = tuple(records[0][1])
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise CorpusError(f"{path}: two columns are named {some(twice)}: rename one")
    rows = [(line, dict(zip(columns, cells, strict=False))) for line, cells in records[1:] if any(cells)]
    return Table(path, columns, tuple(rows))


def yes_or_no(cell: str) -> bool | None:
    """True, False, or None for an empty cell. ValueError for anything else."""
    said = cell.casefold()
    if said in _YES:
        return True
    if said in _NO:
        return False
    if said:
        raise ValueError(f"{cell!r} is none of 1, 0 and empty")
    return None


def findings_of(cells: Mapping[str, str], labels: Mapping[str, str], problems: list[str], where: str) -> Findings:
    """What the columns say, by column and the label that it stands for. What cannot be read goes to `problems`."""
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for column, label in labels.items():
        try:
            value = yes_or_no(cells.get(column, ""))
        except ValueError as error:
            problems.append(f"{where}: column {column}: {error}")
        else:
            if value is not None:
                said[value].add(label)
    return Findings(frozenset(said[True]), frozenset(said[False]))


def refuse(problems: Iterable[str], most: int = 50) -> None:
    """CorpusError with all problems, a line each, or the first of very many."""
    lines: Sequence[str] = list(problems)
    if len(lines) > most:
        lines = [*lines[:most], f"and {len(lines) - most:,} more problems of this kind"]
    if lines:
        raise CorpusError("\n".join(lines))
