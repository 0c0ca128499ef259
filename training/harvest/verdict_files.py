"""Verdicts in csv files, as a grading sheet or a database gives them.

One row a photograph (`sop_instance_uid`, and `frame` where it has several) or an eye (`study_instance_uid` and
`laterality`, R or L). What is said stands in `positive` and `negative` (labels joined by `|`), or in one column a
label: 1 there, 0 not there, empty not said.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.labels import BY_NAME
from training.errors import CorpusError
from training.harvest.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SUBJECT: Final = frozenset({"sop_instance_uid", "frame", "study_instance_uid", "laterality", "positive", "negative"})
_IGNORED: Final = frozenset({"comment", "reader", "date"})
_UID: Final = re.compile(r"[0-9.]{1,64}")
_SIDES: Final = {"R": "R", "OD": "R", "L": "L", "OS": "L", "": ""}
_VALUES: Final = {"1": True, "0": False}


def read_verdicts(path: Path) -> list[Verdict]:
    """The verdicts in a csv file in UTF-8. CorpusError lists every row that cannot be understood, by its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, records = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise CorpusError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise CorpusError(f"{path.name}: is not a csv file in UTF-8") from None
    strange = [name for name in columns if name not in _SUBJECT | _IGNORED | BY_NAME.keys()]
    if strange:
        raise CorpusError(
            f"{path.name}: no column is called {', '.join(map(repr, strange))}: a column is a label's name, or one of "
            f"{', '.join(sorted(_SUBJECT | _IGNORED))}"
        )
    verdicts, problems = [], []
    for line, record in enumerate(records, 2):
        try:
            verdicts.append(_verdict(record, f"{path.name} line {line}"))
        except ValueError as error:
            problems.append(f"{path.name}: line {line}: {error}")
    if problems:
        raise CorpusError("\n".join(problems))
    return verdicts


def _verdict(record: Mapping[str, str | None], origin: str) -> Verdict:
    cells = {name: (value or "").strip() for name, value in record.items() if isinstance(value, str | None)}
    positive, negative = (set(_labels(cells.get(name, ""))) for name in ("positive", "negative"))
    for name in BY_NAME.keys() & cells.keys():
        if cells[name] and cells[name] not in _VALUES:
            raise ValueError(f"{name} is not 1, 0 or empty")
        if cells[name]:
            (positive if _VALUES[cells[name]] else negative).add(name)
    if both := positive & negative:
        raise ValueError(f"{', '.join(sorted(both))} is there and not there")
    instance, study = cells.get("sop_instance_uid", ""), cells.get("study_instance_uid", "")
    laterality = _SIDES.get(cells.get("laterality", "").upper())
    if laterality is None:
        raise ValueError("laterality is not R, L, OD or OS")
    if not instance and not (study and laterality):
        raise ValueError("names neither a photograph (sop_instance_uid) nor an eye (study_instance_uid, laterality)")
    if not all(_UID.fullmatch(uid) for uid in (instance, study) if uid):
        raise ValueError("its UID is none: digits and dots, 64 at most")
    frame = cells.get("frame", "")
    if frame and not (frame.isdecimal() and int(frame) > 0):
        raise ValueError("frame is not a number from 1")
    return Verdict(
        frozenset(positive),
        frozenset(negative),
        origin,
        sop_instance_uid=instance,
        frame=int(frame) if frame else None,
        study_instance_uid=study,
        laterality=laterality,
    )


def _labels(cell: str) -> list[str]:
    names = [name.strip() for name in cell.split("|") if name.strip()]
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(f"{', '.join(map(repr, unknown))}: no such label")
    return names
