"""A csv file with a row a picture: anybody's, or the project's own lists of positive and negative labels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from training.corpora.columns import Columns, Said, unused_remark
from training.corpora.files import found_image, missing_gaps, stray_remarks
from training.corpora.listing import Entry, Listing, number_of
from training.corpora.reading import Reading
from training.corpora.tables import read_table, refuse
from training.data.inspection import patient_group
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from training.corpora.tables import Table
    from training.data.manifest import Manifest

_TERMS: Final = ("licence", "license", "terms")
_PARTIAL: Final = frozenset({"image", "dataset", "positive"})


def read_csv(
    path: Path, reading: Reading | None = None, *, key: bytes, columns: Columns | None = None, source: str = ""
) -> Manifest:
    """A labelled csv file's rows; see `list_csv`."""
    return (reading or Reading())(list_csv(path, key=key, columns=columns, source=source))


def read_partial(path: Path, reading: Reading | None = None) -> Manifest:
    """The rows of the project's own csv; see `list_partial`."""
    return (reading or Reading())(list_partial(path))


def list_csv(path: Path, *, key: bytes, columns: Columns | None = None, source: str = "") -> Listing:
    """The pictures of a csv file, beside it or in its folder `images`, one column a label or lists of labels.

    A group is what stands in its column under the site's secret `key`, since that may well be a patient's number;
    without such a column every picture is its own. `source` names the collection, unless `columns` names a column for
    that. CorpusError with everything that cannot be read.
    """
    table = read_table(path)
    asked = columns or Columns()
    chosen = asked.of(table)
    named = source if source and not asked.source else ""
    collection = source or path.stem

    def group(cells: Mapping[str, str]) -> str:
        # Of the whole file: a patient may have pictures of several sources in it.
        return f"{collection}-{patient_group(f'{collection} {cells.get(chosen.group) or cells[chosen.image]}', key)}"

    def source_of(cells: Mapping[str, str]) -> str:
        return named or cells.get(chosen.source) or collection

    listing = _listing(table, chosen, source_of, group)
    if chosen.group:
        return listing
    alone = f"{path.name}: no column says whose pictures they are, so each is its own group: a patient's eyes may part"
    return Listing(listing.root, listing.entries, listing.gaps, (*listing.remarks, alone))


def list_partial(path: Path) -> Listing:
    """The project's own csv (or `manifest.csv` in a folder): image, dataset, group, positive and negative labels.

    The groups there name nobody, and stay as they are. A label in neither list is unknown.
    """
    table = read_table(path / "manifest.csv" if path.is_dir() else path)
    if missing := sorted(_PARTIAL - set(table.columns)):
        raise CorpusError(f"{table.path}: has no column {', '.join(missing)}")
    chosen = Columns().of(table)

    def group(cells: Mapping[str, str]) -> str:
        return cells.get("group") or f"{cells['dataset']}-{cells['image']}"

    return _listing(table, chosen, lambda cells: cells["dataset"], group)


def _listing(
    table: Table,
    columns: Columns,
    source_of: Callable[[Mapping[str, str]], str],
    group_of: Callable[[Mapping[str, str]], str],
) -> Listing:
    if not columns.image:
        raise CorpusError(f"{table.path}: no column names the pictures: its columns are {', '.join(table.columns)}")
    said = Said(table, columns)
    root = table.path.parent
    entries: dict[Path, Entry] = {}
    missing = []
    for line, cells in table.rows:
        findings = said.findings(line, cells)
        side, split = said.laterality(line, cells), said.split(line, cells)
        path = found_image(root, cells.get(columns.image, ""))
        if path is None:
            missing.append(cells.get(columns.image, "") or f"line {line}")
            continue
        if path in entries:
            said.problems.append(f"{table.path.name}: line {line}: {path.name} stands in a row above: keep one")
        camera = cells.get(columns.camera, "")
        entries[path] = Entry(
            path, source_of(cells), group_of(cells), findings, camera=camera, laterality=side, split=split
        )
    refuse(said.problems)
    gaps = [*said.gaps(), *missing_gaps(table.path.name, missing)]
    remarks = [*_remarks(table, said), *stray_remarks(table.path.name, list(entries))]
    return Listing(root, tuple(entries.values()), tuple(gaps), tuple(remarks))


def _remarks(table: Table, said: Said) -> list[str]:
    terms = next((name for name in table.columns if name.casefold() in _TERMS), "")
    remarks = unused_remark(table.path.name, [name for name in said.unused if name != terms])
    if terms:
        counts = Counter(cells.get(terms, "") or "none stated" for _, cells in table.rows)
        listed = "; ".join(f"{name} ({number_of(count, 'picture')})" for name, count in counts.most_common())
        remarks.append(f"{table.path.name}: terms of use: {listed}")
    return remarks
