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
    """Every file beneath the folder, in the order of their paths; links are followed, hidden names are passed over.

    CorpusError where there is no such folder, and for names that no manifest can hold.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: there is no such folder")
    found: list[Path] = []
    seen: set[str] = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED)
        if (real := os.path.realpath(where)) in seen:
            folders.clear()  # a link to a folder above would go round for ever
            continue
        seen.add(real)
        found += [Path(where, name) for name in names if not name.startswith(".")]
    if nameless := [path for path in found if not _is_text(str(path))]:
        raise CorpusError(f"{folder}: {number_of(len(nameless), 'file')} with a name that is not UTF-8: rename them")
    return sorted(found)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def missing_gaps(where: str, missing: Sequence[str]) -> list[str]:
    """A gap for the rows of a table that name pictures which are not there."""
    if not missing:
        return []
    rows = number_of(len(missing), "row")
    return [f"{where}: {rows} without a picture ({some(missing)}): fetch what is missing, or delete the rows"]


def stray_remarks(where: str, named: Collection[Path]) -> list[str]:
    """A remark about pictures that lie beside those that a table names, and that it does not name."""
    known = set(named)
    beside = [path for folder in sorted({path.parent for path in known}) for path in sorted(folder.iterdir())]
    strays = [path.name for path in beside if path.suffix.lower() in PICTURE_SUFFIXES and path not in known]
    if not strays:
        return []
    pictures = number_of(len(strays), "picture")
    return [f"{where}: {pictures} beside its own without a row, and so left out ({some(strays)}): add rows to use them"]


def by_folder(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """The files of each folder."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    return dict(folders)
