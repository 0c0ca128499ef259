"""The pictures in a folder, by name; none is opened."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ocunet_pacs.imaging.anyfile import PHOTOGRAPH_SUFFIXES
from training.corpora.listing import number_of, some
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

PICTURE_SUFFIXES: Final = PHOTOGRAPH_SUFFIXES | {".bmp", ".gif", ".jfif", ".jp2", ".ppm", ".webp", ".dcm"}
"""Of files that somebody meant as pictures. Those that we cannot read are listed as unreadable, not passed over."""
_IGNORED: Final = frozenset({"__MACOSX", "@eaDir"})


def files_under(folder: Path) -> list[Path]:
    """Every file beneath the folder, in the order of their paths; nothing hidden. CorpusError where it is none."""
    if not folder.is_dir():
        raise CorpusError(f"{folder}: there is no such folder")
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _IGNORED]
        found += [Path(where, name) for name in names if not name.startswith(".")]
    return sorted(found)


def pictures_under(folder: Path) -> list[Path]:
    """Every picture beneath the folder, by its name, in order. CorpusError as for `files_under`."""
    return [path for path in files_under(folder) if path.suffix.lower() in PICTURE_SUFFIXES]


def found_image(folder: Path, name: str) -> Path | None:
    """The picture that a table in `folder` names: beside it or in `images`, its suffix perhaps left out."""
    for start in (folder, folder / "images"):
        path = start / name
        if path.is_file():
            return path
        if path.suffix.lower() in PICTURE_SUFFIXES or not name:
            continue
        for suffix in sorted(PICTURE_SUFFIXES):
            if (named := path.with_name(path.name + suffix)).is_file():
                return named
    return None


def table_gaps(where: str, missing: Sequence[str], named: Collection[Path]) -> list[str]:
    """A gap for the rows of a table (`where`) without a picture, and one for pictures beside others without a row."""
    gaps = []
    if missing:
        rows = number_of(len(missing), "row")
        gaps.append(f"{where}: {rows} without a picture ({some(missing)}): fetch what is missing, or delete the rows")
    known = set(named)
    beside = [path for folder in sorted({path.parent for path in known}) for path in sorted(folder.iterdir())]
    strays = [path for path in beside if path.suffix.lower() in PICTURE_SUFFIXES and path not in known]
    if strays:
        pictures = f"{number_of(len(strays), 'picture')} without a row ({some([path.name for path in strays])})"
        gaps.append(f"{where}: {pictures}: add rows, or move them elsewhere")
    return gaps


def by_folder(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """The files of each folder."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    return dict(folders)
