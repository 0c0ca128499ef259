"""RFMiD: 3,200 photographs, each judged for 45 findings by two experts (Pachade et al., Data 2021, 6, 14).

Every column was judged of every picture, so 0 is a known negative. There is no column for a normal eye, nor for what
the experts were not asked (glaucoma, cataract, detachment): those stay unknown. The publisher's splits are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from ocunet_pacs.domain.labels import BY_NAME
from training.corpora.files import by_folder, files_under, missing_gaps, pictures_under, stray_remarks
from training.corpora.listing import ABNORMAL, NORMAL, Entry, Findings, Listing, number_of, some
from training.corpora.reading import Reading
from training.corpora.tables import findings_of, read_table, refuse
from training.data.manifest import Split
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from training.corpora.tables import Table
    from training.data.manifest import Manifest

SOURCE: Final = "rfmid"
_TABLE: Final = re.compile(r"(?:[abc]\. )?RFMiD_(training|validation|testing)_labels\.csv", re.IGNORECASE)
_SPLITS: Final = {"training": Split.TRAIN, "validation": Split.VALIDATION, "testing": Split.TEST}
_WORDS: Final = {
    Split.TRAIN: frozenset({"training", "train"}),
    Split.VALIDATION: frozenset({"validation", "evaluation", "val"}),
    Split.TEST: frozenset({"testing", "test"}),
}


def read_rfmid(folder: Path, reading: Reading | None = None, *, normal: bool = False) -> Manifest:
    """RFMiD's rows; see `list_rfmid`."""
    return (reading or Reading())(list_rfmid(folder, normal=normal))


def list_rfmid(folder: Path, *, normal: bool = False) -> Listing:
    """What RFMiD's tables say of the pictures in `folder`, in the nested layout, the publisher's own, or a flat one.

    With `normal` a picture without any finding is NORMAL and one with a finding is not; without, NORMAL is unknown.
    CorpusError where there is no table, or one that cannot be read.
    """
    tables = [(match[1].lower(), path) for path in files_under(folder) if (match := _TABLE.fullmatch(path.name))]
    if not tables:
        raise CorpusError(f"{folder}: holds no RFMiD_Training_Labels.csv (nor Validation, nor Testing) at any depth")
    times = Counter(kind for kind, _ in tables)
    refuse(f"{folder}: holds {count} tables of the {kind} set: keep one" for kind, count in times.items() if count > 1)
    pictures = by_folder(pictures_under(folder))
    parts = [
        _part(read_table(path), _SPLITS[kind], folder, pictures, normal=normal)
        for kind, path in sorted(tables, key=_order)
    ]
    return Listing(
        folder,
        tuple(entry for part in parts for entry in part.entries),
        tuple(gap for part in parts for gap in part.gaps),
        tuple(dict.fromkeys(remark for part in parts for remark in part.remarks)),
    )


def _order(table: tuple[str, Path]) -> int:
    return list(_SPLITS).index(table[0])


class _Part(NamedTuple):
    entries: list[Entry]
    gaps: list[str]
    remarks: list[str]


def _part(table: Table, split: Split, folder: Path, pictures: Mapping[Path, list[Path]], *, normal: bool) -> _Part:
    """One table's rows. CorpusError with everything in it that cannot be read."""
    name = table.path.name
    labels = {column: column for column in table.columns if column in BY_NAME and column != NORMAL}
    others = {column: column for column in table.columns if column not in BY_NAME and column not in ("", "ID")}
    if "ID" not in table.columns or not labels:
        raise CorpusError(f"{table.path}: has no column ID beside columns of labels")
    problems: list[str] = []
    ids = Counter(cells["ID"] for _, cells in table.rows)
    problems += [f"{name}: ID {one} stands in {times} rows: keep one" for one, times in ids.items() if times > 1]
    judged = []
    for line, cells in table.rows:
        where = f"{name}: line {line}"
        known = findings_of(cells, labels, problems, where)
        judged.append((cells["ID"], known, findings_of(cells, others, problems, where)))
    refuse(problems)
    found = _pictures(table, split, folder, pictures, set(ids))
    entries = [
        Entry(found[one], SOURCE, f"{SOURCE}-{split}-{one}", _findings(known, other, normal=normal), split=split)
        for one, known, other in judged
        if one in found
    ]
    gaps = missing_gaps(name, [one for one in ids if one not in found])
    contradicted = [one for one, known, other in judged if _contradicts(known, other)]
    remarks = [*_remarks(name, list(others), contradicted), *stray_remarks(name, list(found.values()))]
    return _Part(entries, gaps, remarks)


def _remarks(name: str, others: Sequence[str], contradicted: Sequence[str]) -> list[str]:
    remarks = []
    if others:
        remarks.append(
            f"RFMiD: {number_of(len(others), 'column')} of findings that are no labels of ours ({some(others, 50)}): "
            "a picture with only such a finding has Disease_Risk and nothing else"
        )
    if contradicted:
        remarks.append(
            f"{name}: {number_of(len(contradicted), 'row')} with a finding and Disease_Risk 0 ({some(contradicted)}): "
            "Disease_Risk is left unknown there"
        )
    return remarks


def _contradicts(known: Findings, other: Findings) -> bool:
    return ABNORMAL in known.negative and bool(known.positive or other.positive)


def _findings(known: Findings, other: Findings, *, normal: bool) -> Findings:
    if _contradicts(known, other):
        return Findings(known.positive, known.negative - {ABNORMAL})
    if normal and ABNORMAL in known.negative:
        return Findings(known.positive | {NORMAL}, known.negative)
    if normal and ABNORMAL in known.positive:
        return Findings(known.positive, known.negative | {NORMAL})
    return known


def _pictures(
    table: Table, split: Split, folder: Path, pictures: Mapping[Path, list[Path]], ids: set[str]
) -> dict[str, Path]:
    """The picture of each ID: numbers start again in each set, so it is looked for in the set's own folder.

    That is the folder whose path names the set, or else the table's own. CorpusError where several would do.
    """
    named = {where: files for where, files in pictures.items() if _names(where.relative_to(folder).parts, split)}
    own = {where: files for where, files in pictures.items() if where == table.path.parent}
    holding = {
        where: {path.stem: path for path in files if path.stem in ids} for where, files in (named or own).items()
    }
    holding = {where: files for where, files in holding.items() if files}
    if len(holding) > 1:
        raise CorpusError(
            f"{table.path.name}: its pictures lie in {len(holding)} folders "
            f"({some([str(where.relative_to(folder)) for where in sorted(holding)])}): keep one"
        )
    return next(iter(holding.values()), {})


def _names(parts: Sequence[str], split: Split) -> bool:
    """Whether the innermost folder that names any set names this one."""
    for part in reversed(parts):
        words = set(re.split(r"[^a-z]+", part.lower()))
        sets = [one for one, names in _WORDS.items() if words & names]
        if sets:
            return sets == [split]
    return False
