"""Several collections as one manifest."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.corpora.listing import some
from training.data.manifest import Manifest
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Sequence


def joined(manifests: Sequence[Manifest], root: Path) -> Manifest:
    """All rows and all that was unreadable, their paths from `root`. CorpusError where a picture would be in twice."""
    rows = [
        replace(row, image=_moved(row.image, manifest.root, root)) for manifest in manifests for row in manifest.rows
    ]
    unreadable = [
        replace(entry, image=_moved(entry.image, manifest.root, root))
        for manifest in manifests
        for entry in manifest.unreadable
    ]
    times = Counter((row.image, row.frame) for row in rows)
    if twice := sorted({image for (image, _), count in times.items() if count > 1}):
        raise CorpusError(f"{some(twice)}: named by two collections: give each picture to one of them")
    return Manifest(tuple(rows), root, tuple(unreadable))


def _moved(image: str, old: Path, new: Path) -> str:
    """The path from the new folder; absolute paths stay so."""
    if Path(image).is_absolute():
        return image
    # Not resolved: a collection may be a folder of links, and its own names are those that people know.
    return Path(os.path.relpath(old / image, new)).as_posix()
