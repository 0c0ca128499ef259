"""A folder for each class: the four-class set, the ten-folder set with its augmented copies, and whatever is mapped."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from training.corpora.files import pictures_under
from training.corpora.listing import Entry, Listing, number_of, some
from training.corpora.mappings import folder_name, shipped
from training.corpora.names import named
from training.corpora.reading import Reading, image_of
from training.data.manifest import Unreadable
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from training.corpora.mappings import ClassMapping
    from training.data.manifest import Manifest

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


def read_folders(folder: Path, reading: Reading | None = None, *, mapping: ClassMapping | None = None) -> Manifest:
    """A folder-per-class set's rows; see `list_folders`."""
    return (reading or Reading())(list_folders(folder, mapping))


def list_folders(
    folder: Path, mapping: ClassMapping | None = None, *, known: Sequence[ClassMapping] | None = None, source: str = ""
) -> Listing:
    """The pictures beneath `folder`, each of the class that the innermost mapped folder above it names.

    Without a mapping it is the one of `known` (those that ship) that has a name for every picture. Groups come from
    the files' names: a patient's eyes, an original and its copies. CorpusError where no mapping fits, or several.
    """
    pictures = pictures_under(folder)
    if not pictures:
        raise CorpusError(f"{folder}: holds no pictures")
    mapping = mapping or _recognised(folder, pictures, shipped() if known is None else known)
    source = source or mapping.name
    found = _Found()
    for path in pictures:
        name = _class_of(path, folder, mapping)
        if name is None:
            found.unmapped[str(path.parent.relative_to(folder))].append(path)
        elif why := mapping.classes[name].left_out:
            found.left_out.append(Unreadable(image_of(path, folder), f"left_out: {why}"))
        else:
            given = named(path.stem)
            # A patient's two eyes may be of two classes; other names are numbered anew in each.
            group = given.original if given.is_patient else f"{name}-{given.original}"
            findings = mapping.findings(name)
            found.entries.append(Entry(path, source, f"{source}-{group}", findings, laterality=given.laterality))
    remarks = _remarks(found, source, {part for path in pictures for part in path.relative_to(folder).parts[:-1]})
    gaps = found.gaps(folder, mapping)
    return Listing(folder, tuple(found.entries), tuple(gaps), tuple(remarks), tuple(found.left_out))


@dataclass(slots=True)
class _Found:
    entries: list[Entry] = field(default_factory=list)
    left_out: list[Unreadable] = field(default_factory=list)
    unmapped: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def gaps(self, folder: Path, mapping: ClassMapping) -> list[str]:
        """A line for each folder that the mapping has no name for."""
        return [
            f"{folder}: {number_of(len(paths), 'picture')} in {name!r}, which mapping {mapping.name} does not name: "
            "map it (a label, a list of labels, or leave out), or move it elsewhere"
            for name, paths in self.unmapped.items()
        ]


def _class_of(path: Path, folder: Path, mapping: ClassMapping) -> str | None:
    for part in reversed(path.relative_to(folder).parts[:-1]):
        if (name := folder_name(part)) in mapping.classes:
            return name
    return None


def _recognised(folder: Path, pictures: Sequence[Path], known: Sequence[ClassMapping]) -> ClassMapping:
    whole = [mapping for mapping in known if all(_class_of(path, folder, mapping) for path in pictures)]
    if len(whole) == 1:
        return whole[0]
    names = some(sorted({str(path.parent.relative_to(folder)) for path in pictures}), 12)
    options = ", ".join(mapping.name for mapping in known)
    what = "each of several mappings names" if whole else "no mapping names"
    raise CorpusError(
        f"{folder}: {what} all of its folders ({names}): say which mapping is meant ({options}), or write one: "
        "`name` and `folders` in a YAML file, with a label, a list of labels or `leave out` for each"
    )


def _remarks(found: _Found, source: str, folders: Collection[str]) -> list[str]:
    reasons = Counter(entry.reason.partition(": ")[2] for entry in found.left_out)
    remarks = [f"{source}: {number_of(count, 'picture')} left out: {why}" for why, count in reasons.items()]
    joined = [count for count in Counter(entry.group for entry in found.entries).values() if count > 1]
    remarks.append(
        f"{source}: names join {number_of(sum(joined), 'picture')} into {number_of(len(joined), 'group')}; look for "
        "duplicates before you split, because the others may be copies too"
    )
    if splits := sorted(name for name in folders if folder_name(name) in _SPLITS):
        remarks.append(f"{source}: folders named {some(splits)} are not taken for splits, which copies often straddle")
    return remarks
