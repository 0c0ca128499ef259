"""Which column of somebody's csv file means what, and what its cells say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ocunet_pacs.domain.labels import BY_NAME, LABELS
from training.corpora.listing import Findings, number_of, some
from training.corpora.tables import findings_of
from training.data.manifest import Split
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from training.corpora.tables import Table

_USUAL: Final = MappingProxyType(
    {
        "image": ("image", "file", "filename", "file_name", "path", "filepath", "image_path"),
        "group": ("group", "patient", "patient_id", "patientid"),
        "laterality": ("laterality", "eye", "side"),
        "split": ("split",),
        "camera": ("camera", "device"),
        "source": ("source", "dataset"),
        "positive": ("positive", "positives"),
        "negative": ("negative", "negatives"),
        "uid": ("sop_instance_uid", "sopinstanceuid", "uid"),
        "frame": ("frame",),
    }
)
_SIDES: Final = MappingProxyType(
    {"": "", "r": "R", "right": "R", "od": "R", "l": "L", "left": "L", "os": "L", "u": "", "unknown": ""}
)
_SPLITS: Final = MappingProxyType(
    {
        "": Split.NONE,
        **dict.fromkeys(("train", "training"), Split.TRAIN),
        **dict.fromkeys(("validation", "val", "valid"), Split.VALIDATION),
        **dict.fromkeys(("test", "testing"), Split.TEST),
    }
)
_BETWEEN: Final = re.compile(r"[|;,]")
_BY_CASE: Final = MappingProxyType({label.name.casefold(): label.name for label in LABELS})


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a table's columns; "" takes the usual one where there is one. All but the image may be absent.

    `labels` translates names of columns, and names in the lists of positives and negatives, to labels of ours; our own
    names need no translation.
    """

    image: str = ""
    group: str = ""
    laterality: str = ""
    split: str = ""
    camera: str = ""
    source: str = ""
    positive: str = ""
    negative: str = ""
    uid: str = ""
    frame: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False
    """Named for several tables, of which not all have every one."""

    def of(self, table: Table) -> Columns:
        """The same with every name that the table has filled in. CorpusError for names that it does not have."""
        absent = {name for name in (*self._named(), *self._foreign(table)) if name not in table.columns}
        problems = [] if self.is_shared else [f"{table.path}: has no column {name!r}" for name in sorted(absent)]
        strange = [(name, label) for name, label in self.labels.items() if label not in BY_NAME]
        problems += [f"{name}: {label!r} is not in the table of labels" for name, label in strange]
        if problems:
            raise CorpusError("\n".join(problems))
        usual = {name.casefold(): name for name in table.columns}
        chosen: dict[str, Any] = {
            role: getattr(self, role)
            if getattr(self, role) in table.columns
            else next((usual[name] for name in names if name in usual), "")
            for role, names in _USUAL.items()
        }
        taken = set(chosen.values())
        own = {name: _BY_CASE[name.casefold()] for name in table.columns if name.casefold() in _BY_CASE}
        labels = {name: label for name, label in (own | dict(self.labels)).items() if name not in taken}
        return replace(self, **chosen, labels=labels)

    def _named(self) -> list[str]:
        return [name for role in _USUAL if (name := getattr(self, role))]

    def _foreign(self, table: Table) -> list[str]:
        """Columns that a translation names, where no list of positives could hold the name instead."""
        has_lists = any(name.casefold() in _USUAL["positive"] for name in table.columns) or self.positive
        return [] if has_lists else list(self.labels)


class Said:
    """Reads a table's cells, and gathers what cannot be read: `problems`, a line each, and names of no label."""

    def __init__(self, table: Table, columns: Columns) -> None:
        self.problems: list[str] = []
        self._where = table.path.name
        self._columns = columns
        self._labels = {name: label for name, label in columns.labels.items() if name in table.columns}
        self._strange: Counter[str] = Counter()
        known = {*self._labels, *(getattr(columns, role) for role in _USUAL)}
        self.unused = [name for name in table.columns if name and name not in known]
        if not (self._labels or columns.positive):
            raise CorpusError(
                f"{table.path}: no column is a label, and none lists the positive ones: its columns are "
                f"{', '.join(table.columns)}; say which stands for which label"
            )

    def findings(self, line: int, cells: Mapping[str, str]) -> Findings:
        """The labels that the row's columns and lists say are there and not there."""
        where = f"{self._where}: line {line}"
        single = findings_of(cells, self._labels, self.problems, where)
        positive = single.positive | frozenset(self._listed(cells, self._columns.positive))
        negative = single.negative | frozenset(self._listed(cells, self._columns.negative))
        self.problems += [f"{where}: {label} is positive and negative" for label in sorted(positive & negative)]
        return Findings(positive, negative)

    def laterality(self, line: int, cells: Mapping[str, str]) -> str:
        """R, L or ""."""
        return self._one_of(_SIDES, line, cells, self._columns.laterality, "R, L and empty")

    def split(self, line: int, cells: Mapping[str, str]) -> Split:
        """What the row is for, where it says so."""
        return Split(self._one_of(_SPLITS, line, cells, self._columns.split, "train, validation, test and empty"))

    def gaps(self) -> list[str]:
        """A line for names in the lists that are no labels."""
        if not self._strange:
            return []
        names = some([f"{name!r} ({number_of(count, 'row')})" for name, count in self._strange.most_common()], 20)
        return [f"{self._where}: {names}: no labels of ours: say which label each stands for, or do without them"]

    def _listed(self, cells: Mapping[str, str], column: str) -> Iterator[str]:
        for given in _BETWEEN.split(cells.get(column, "")):
            name = given.strip()
            label = self._columns.labels.get(name) or _BY_CASE.get(name.casefold())
            if label:
                yield label
            elif name:
                self._strange[name] += 1

    def _one_of(self, known: Mapping[str, str], line: int, cells: Mapping[str, str], column: str, named: str) -> str:
        given = cells.get(column, "")
        if given.casefold() not in known:
            self.problems.append(f"{self._where}: line {line}: column {column}: {given!r} is none of {named}")
        return known.get(given.casefold(), "")


def unused_remark(name: str, unused: Sequence[str]) -> list[str]:
    """A line about columns that nobody reads, so that a label among them is noticed."""
    return [f"{name}: {number_of(len(unused), 'column')} not used ({some(unused, 12)})"] if unused else []
