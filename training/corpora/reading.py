"""A listing's files, read: rows for what can be decoded, a reason for what cannot."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from training.data.inspection import inspect_files
from training.data.manifest import Manifest, Row, Unreadable
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from training.corpora.listing import Entry, Listing
    from training.data.inspection import Inspected


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: in how many processes (0: in this one), and whether their pixels are tried.

    `incomplete` goes on in spite of a listing's gaps. `progress` is called with how many more files are done.
    """

    workers: int = 0
    decode: bool = True
    incomplete: bool = False
    progress: Callable[[int], object] = field(default=lambda _done: None, repr=False)

    def __call__(self, listing: Listing) -> Manifest:
        """The manifest, its rows in the listing's order. CorpusError with every gap, unless `incomplete`."""
        if listing.gaps and not self.incomplete:
            raise CorpusError("\n".join(listing.gaps))
        return manifest_of(listing, self.files([listing]))

    def files(self, listings: Sequence[Listing]) -> dict[Path, Inspected]:
        """The facts of every file of the listings, each read once."""
        paths = list(dict.fromkeys(entry.path for listing in listings for entry in listing.entries))
        inspected = inspect_files(paths, workers=self.workers, decode=self.decode, progress=self.progress)
        return dict(zip(paths, inspected, strict=True))


def manifest_of(listing: Listing, found: Mapping[Path, Inspected]) -> Manifest:
    """The rows of a listing whose files were read, and what could not become a row."""
    rows = [row for entry in listing.entries for row in _rows(entry, found[entry.path], listing.root)]
    paths = dict.fromkeys(entry.path for entry in listing.entries)
    refused = [Unreadable(image_of(path, listing.root), reason) for path in paths if (reason := found[path].reason)]
    return Manifest(tuple(rows), listing.root, (*listing.left_out, *refused, *_absent(listing, found)))


def image_of(path: Path, root: Path) -> str:
    """How a manifest in `root` names the file: from there where it lies beneath, else absolute."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return os.path.abspath(path)  # noqa: PTH100 -- links stay as they were named


def _rows(entry: Entry, facts: Inspected, root: Path) -> Iterator[Row]:
    for frame in facts.frames:
        if entry.frame is not None and entry.frame != (frame or 1):
            continue
        yield Row(
            image=image_of(entry.path, root),
            digest=facts.digest,
            group=entry.group,
            positive=entry.findings.positive,
            negative=entry.findings.negative,
            source=entry.source,
            frame=frame,
            camera=entry.camera or facts.camera,
            laterality=entry.laterality or facts.laterality(frame),
            split=entry.split,
        )


def _absent(listing: Listing, found: Mapping[Path, Inspected]) -> Iterator[Unreadable]:
    """Frames that are described and that a readable file does not have."""
    for entry in listing.entries:
        facts = found[entry.path]
        if entry.frame is not None and not facts.reason and entry.frame not in {frame or 1 for frame in facts.frames}:
            yield Unreadable(image_of(entry.path, listing.root), f"no_such_frame: there is no frame {entry.frame}")
