"""The attributes of everything that we make: whether they are always there, and where their values come from.

Nothing of this is claimed: it is read off the objects of `makings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ocunet_pacs.report.header import OPTIONAL, REQUIRED
from tests.statement.makings import KINDS, made
from tests.statement.tables import name_of, table, tag_of

Path = tuple[str, ...]
"""Keywords from the outermost sequence to the element."""
Values = Mapping[Path, tuple[str, ...]]
"""Every value of an object's elements; of items in the order in which they stand."""
Row = tuple[str, str, str, str, str]

COPIED = frozenset({"StudyInstanceUID", *REQUIRED, *OPTIONAL})
CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
TREE = "ContentSequence"
HEAD = ("attribute", "tag", "presence", "source", "value")
_CODED_TERMS = frozenset({"AnatomicRegionModifierSequence"})
_SAID_IN_WORDS = frozenset({"SeriesDescription", "DocumentTitle", "DerivationDescription", "ContributionDescription"})


def sections() -> dict[str, str]:
    """One table of what all kinds share, and one for each kind of what it has besides; of JPEG what differs."""
    rows = {kind: list(rows_of(kind)) for kind in KINDS}
    common = set.intersection(*(set(of_kind) for of_kind in rows.values()))
    shared = dict.fromkeys(KINDS, common) | {"jpeg heatmap attributes": set(rows["heatmap attributes"])}
    tables = {kind: table(HEAD, [row for row in of_kind if row not in shared[kind]]) for kind, of_kind in rows.items()}
    first = next(iter(rows.values()))
    return {"common attributes": table(HEAD, [row for row in first if row in common]), **tables}


def rows_of(kind: str) -> Iterator[Row]:
    *usual, site = [flat(one.objects[kind]) for one in made()]
    photographs = [flat(one.photograph) for one in made()[:-1]]
    paths = {path for one in (*usual, site) for path in one}
    for path in sorted(paths, key=lambda path: [int(Tag(keyword)) for keyword in path]):
        source, value = _origin(path, usual, photographs, site)
        depth = len(path) - 1
        name = f"{'&gt;' * depth}{' ' * bool(depth)}{name_of(path[-1])}"
        yield name, tag_of(path[-1]), _presence(path, usual), source, value


def flat(ds: Dataset, above: Path = ()) -> Values:
    """The tree of a report is left out, and a code is one value of its sequence."""
    found: dict[Path, list[str]] = {}
    for element in ds:
        if not element.tag.is_private:
            path = (*above, element.keyword)
            found.setdefault(path, []).append(_value(element))
            for below, values in _within(element, path):
                found.setdefault(below, []).extend(values)
    return {path: tuple(values) for path, values in found.items()}


def _within(element: DataElement, path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    if element.VR != "SQ" or element.keyword == TREE:
        return
    for item in element.value:
        for below, values in flat(item, path).items():
            if not (CODE[0] in item and below[-1] in CODE and len(below) == len(path) + 1):
                yield below, values


def _value(element: DataElement) -> str:
    if element.VR == "SQ":
        return "; ".join(_code(item) for item in element.value)
    if element.VR in {"OB", "OW"}:
        return "bytes"
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join("" if value is None else str(value) for value in values)


def _code(item: Dataset) -> str:
    return f"({', '.join(str(item[keyword].value) for keyword in CODE)})" if CODE[0] in item else "item"


def _presence(path: Path, objects: list[Values]) -> str:
    """In the words of PS3.2. Of an element in a sequence: where the sequence has items."""
    found = [one.get(path) for one in objects if len(path) == 1 or any(one.get(path[:-1], ()))]
    if any(values is None for values in found):
        return "ANAP"
    full = [bool(value) for values in found for value in values or ()]
    return "ALWAYS" if all(full) else "VNAP" if any(full) else "EMPTY"


def _origin(path: Path, usual: list[Values], photographs: list[Values], site: Values) -> tuple[str, str]:
    """(source, value): COPY from a photograph, CONFIG by the site, FIXED for all objects, AUTO made for this one."""
    values = {value for one in usual for value in one.get(path, ())}
    top = path[:1]
    as_photographed = all(
        set(one.get(top, ())) <= {*photo.get(top, ("",)), ""} for one, photo in zip(usual, photographs, strict=True)
    )
    if path[0] in COPIED or (as_photographed and len({one.get(top, ()) for one in usual}) > 1):
        return "COPY", ""
    if values == {""}:
        return "FIXED", "empty"
    shown = _shown(path, values)
    here = set(usual[0].get(path, ()))
    if len(values) == 1 and shown and here != set(site.get(path, ())):
        return "CONFIG", f"{shown} by default"
    # The first making and the site's differ in nothing but the settings.
    return ("FIXED" if len(values) == 1 and shown else "AUTO"), shown


def _shown(path: Path, values: set[str]) -> str:
    """What stands for the values: they themselves where they are terms of the standard, or one in all objects."""
    keyword = path[-1]
    is_term = dictionary_VR(Tag(keyword)) == "CS" or keyword in _SAID_IN_WORDS or keyword in _CODED_TERMS
    invented = any(value in {"bytes", "item"} or value.startswith("2.25.") or "item" in value for value in values)
    if invented or not (is_term or len(values) == 1):
        return ""
    return "<br>".join(sorted(value for value in values if value))
