"""ODIR-5K: 5,000 patients of Chinese hospitals, a photograph of each eye, free keywords for each eye.

The columns N D G C A H M O are the patient's, not the eye's, so labels come from each eye's keywords; the columns are
a check. The organisers' spreadsheet is read as a csv file. A patient's eyes are one group.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.study import ReasonCode
from training.corpora.files import files_under, missing_gaps, pictures_under, stray_remarks
from training.corpora.listing import Entry, Findings, Listing, number_of, some
from training.corpora.odir_keywords import (
    CATEGORIES,
    HIDING,
    KEYWORDS,
    NO_FUNDUS,
    NORMAL_FUNDUS,
    OF_THE_PHOTOGRAPH,
    eye_findings,
    is_known,
)
from training.corpora.reading import Reading, image_of
from training.corpora.tables import read_table, refuse, yes_or_no
from training.data.manifest import Unreadable
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from training.corpora.tables import Table
    from training.data.manifest import Manifest

SOURCE: Final = "odir"
_EYES: Final = {"L": ("Left-Fundus", "Left-Diagnostic Keywords"), "R": ("Right-Fundus", "Right-Diagnostic Keywords")}
_COLUMNS: Final = frozenset({"ID", *(column for eye in _EYES.values() for column in eye)})
_COMMA: Final = re.compile("[,\uff0c\u3001;\uff1b]")
"""Keywords are parted by commas, mostly full-width ones."""
_DERIVED: Final = "preprocessed_images"
"""Where one distribution has small copies under the same names; the originals count where both are there."""


def read_odir(folder: Path, reading: Reading | None = None) -> Manifest:
    """ODIR-5K's rows; see `list_odir`."""
    return (reading or Reading())(list_odir(folder))


def list_odir(folder: Path) -> Listing:
    """What the table in `folder` (or the table itself) says of each eye; pictures lie anywhere beneath.

    CorpusError where there is no such table, or several, or one that cannot be read.
    """
    table = _table(folder)
    root = table.path.parent if folder.is_file() else folder
    eyes = _eyes(table)
    pictures = _pictures(root, {eye.image for eye in eyes})
    entries, left_out = [], []
    for eye in eyes:
        path = pictures.get(eye.image)
        if path is None:
            continue
        if NO_FUNDUS.intersection(eye.keywords):
            reason = f"{ReasonCode.NOT_FUNDUS}: the graders say that it shows none"
            left_out.append(Unreadable(image_of(path, root), reason))
            continue
        entries.append(Entry(path, SOURCE, f"{SOURCE}-{eye.patient}", eye.findings, laterality=eye.side))
    gaps = missing_gaps(table.path.name, [eye.image for eye in eyes if eye.image not in pictures])
    remarks = [*_remarks(eyes), *stray_remarks(table.path.name, list(pictures.values()))]
    return Listing(root, tuple(entries), tuple(gaps), tuple(remarks), tuple(left_out))


@dataclass(frozen=True, slots=True)
class _Eye:
    patient: str
    side: str
    image: str
    keywords: tuple[str, ...]
    findings: Findings
    contradicted: frozenset[str] = frozenset()
    """Labels that the patient's columns and the eyes' keywords say different things of."""


def _table(folder: Path) -> Table:
    if folder.is_file():
        table = read_table(folder)
        if missing := sorted(_COLUMNS - set(table.columns)):
            raise CorpusError(f"{folder}: has no column {some(missing)}")
        return table
    files = files_under(folder)
    tables = [read_table(path) for path in files if path.suffix.lower() == ".csv"]
    tables = [table for table in tables if set(table.columns) >= _COLUMNS]
    if len(tables) > 1:
        names = some([str(table.path.relative_to(folder)) for table in tables])
        raise CorpusError(f"{folder}: holds {len(tables)} tables of ODIR-5K ({names}): name the one that is meant")
    if not tables:
        sheet = next((path.name for path in files if path.suffix.lower() == ".xlsx"), "")
        hint = f": save {sheet} as csv in UTF-8" if sheet else ""
        raise CorpusError(f"{folder}: holds no csv file with the columns {', '.join(sorted(_COLUMNS))}{hint}")
    return tables[0]


def _eyes(table: Table) -> list[_Eye]:
    """Both eyes of every patient. A patient may stand in two rows, if they say the same of the same pictures."""
    eyes: dict[str, _Eye] = {}
    problems = []
    for line, cells in table.rows:
        where = f"{table.path.name}: line {line}"
        pair = [_eye(cells, side) for side in _EYES]
        try:
            pair = _checked(pair, cells)
        except ValueError as error:
            problems.append(f"{where}: {error}")
        problems += [
            f"{where}: {eye.image} stands in another row with something else said of it"
            for eye in pair
            if eye.image and eyes.setdefault(eye.image, eye) != eye
        ]
    refuse(problems)
    return list(eyes.values())


def _eye(cells: Mapping[str, str], side: str) -> _Eye:
    image, words = (cells.get(column, "") for column in _EYES[side])
    keywords = tuple(word for part in _COMMA.split(words) if (word := " ".join(part.casefold().split())))
    return _Eye(cells["ID"], side, image, keywords, eye_findings(keywords) if keywords else Findings())


def _checked(eyes: Sequence[_Eye], cells: Mapping[str, str]) -> list[_Eye]:
    """The patient's eyes, with a label unknown where the patient's column denies what the eyes' keywords say."""
    wrong = set()
    for column, label in CATEGORIES.items():
        of_patient = yes_or_no(cells.get(column, ""))
        seen = any(label in eye.findings.positive for eye in eyes)
        unsure = any(label not in eye.findings.positive | eye.findings.negative for eye in eyes)
        if of_patient is not None and of_patient != seen and not (of_patient and unsure):
            wrong.add(label)
    return [
        replace(
            eye,
            findings=Findings(eye.findings.positive - wrong, eye.findings.negative - wrong),
            contradicted=frozenset(wrong),
        )
        for eye in eyes
    ]


def _pictures(root: Path, wanted: set[str]) -> dict[str, Path]:
    """Where each picture lies. CorpusError where several have its name."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path in pictures_under(root):
        if path.name in wanted:
            places[path.name].append(path)
    for name, paths in places.items():
        originals = [path for path in paths if _DERIVED not in path.parts]
        places[name] = originals or paths
    folders = sorted({str(path.parent) for paths in places.values() if len(paths) > 1 for path in paths})
    if folders:
        raise CorpusError(f"{root}: pictures of the same names lie in {some(folders)}: keep one of these folders")
    return {name: paths[0] for name, paths in places.items()}


def _remarks(eyes: Sequence[_Eye]) -> list[str]:
    times = Counter(word for eye in eyes for word in set(eye.keywords))
    remarks = [
        f"ODIR-5K: {text}: {_counted(times, words)}"
        for text, words in (
            ("keywords that the table does not know, so that these eyes have no negatives", _strange(times)),
            ("findings without a label of ours (Disease_Risk is positive)", _unlabelled(times)),
            ("keywords about the photograph", OF_THE_PHOTOGRAPH | set(HIDING)),
        )
        if any(times[word] for word in words)
    ]
    silent = sum(not eye.keywords for eye in eyes)
    if silent:
        remarks.append(f"ODIR-5K: {number_of(silent, 'eye')} without a keyword: nothing is known of them")
    mixed = sum(NORMAL_FUNDUS in eye.keywords and any(word in KEYWORDS for word in eye.keywords) for eye in eyes)
    if mixed:
        remarks.append(
            f'ODIR-5K: {number_of(mixed, "eye")} with "normal fundus" beside a finding: NORMAL and Disease_Risk are '
            "left unknown"
        )
    denied = Counter(label for eye in eyes for label in eye.contradicted)
    if denied:
        counts = ", ".join(f"{label} {count}" for label, count in sorted(denied.items()))
        remarks.append(
            "ODIR-5K: patients' columns and their eyes' keywords differ, and the label is left unknown: "
            f"{counts} (eyes)"
        )
    return remarks


def _strange(words: Iterable[str]) -> set[str]:
    return {word for word in words if not is_known(word)}


def _unlabelled(words: Iterable[str]) -> set[str]:
    return {word for word in words if word in KEYWORDS and KEYWORDS[word].is_finding and not KEYWORDS[word].names}


def _counted(times: Counter[str], words: Iterable[str]) -> str:
    """The words and how many eyes have each, the most frequent first."""
    ordered = sorted((word for word in words if times[word]), key=lambda word: (-times[word], word))
    return some([f"{word} ({times[word]})" for word in ordered], 12)
