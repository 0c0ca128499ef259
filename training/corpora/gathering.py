"""Several collections into one manifest: all of them are listed, and complained of, before a picture is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.corpora.joined import joined
from training.corpora.reading import manifest_of
from training.data.manifest import read_manifest
from training.errors import CorpusError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from training.corpora.listing import Listing
    from training.corpora.reading import Reading
    from training.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Listed:
    """What was listed, and manifests that are finished already. `files` is how many files are to be read."""

    listings: tuple[Listing, ...]
    finished: tuple[Manifest, ...]
    gaps: tuple[str, ...]

    @property
    def files(self) -> int:
        """How many files are to be read."""
        return len({entry.path for listing in self.listings for entry in listing.entries})

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know, each once."""
        return tuple(dict.fromkeys(remark for listing in self.listings for remark in listing.remarks))


@dataclass(frozen=True, slots=True)
class Gathered:
    """The whole, and how many files of each source are unreadable or were left out."""

    manifest: Manifest
    unreadable: Counter[str]


def list_all(listers: Sequence[Callable[[], Listing]], finished: Sequence[Path], *, incomplete: bool) -> Listed:
    """Every collection's listing. CorpusError with the problems of all of them, their gaps too unless `incomplete`."""
    problems: list[str] = []
    listings: list[Listing] = []
    manifests: list[Manifest] = []
    for lister in listers:
        try:
            listings.append(lister())
        except CorpusError as error:
            problems.append(str(error))
    for path in finished:
        try:
            manifests.append(read_manifest(path))
        except TrainingError as error:
            problems.append(str(error))
    gaps = [gap for listing in listings for gap in listing.gaps]
    if problems or (gaps and not incomplete):
        hint = ["--incomplete goes on without what is missing"] if gaps and not problems else []
        raise CorpusError("\n".join([*problems, *gaps, *hint]))
    return Listed(tuple(listings), tuple(manifests), tuple(gaps))


def read_all(listed: Listed, reading: Reading, root: Path) -> Gathered:
    """Read the files and join everything into a manifest whose paths start from `root`. CorpusError."""
    found = reading.files(listed.listings)
    read = [(listing, manifest_of(listing, found)) for listing in listed.listings]
    unreadable = Counter(source for listing, manifest in read for source in _sources_of_unreadable(listing, manifest))
    for manifest in listed.finished:
        unreadable["manifest"] += len(manifest.unreadable)
    manifest = joined([*(manifest for _, manifest in read), *listed.finished], root)
    return Gathered(manifest, +unreadable)


def _sources_of_unreadable(listing: Listing, manifest: Manifest) -> Iterator[str]:
    """The source of each file that is in no row; for what has no entry, the one that most entries have."""
    by_path = {entry.path: entry.source for entry in listing.entries}
    usual = Counter(by_path.values()).most_common(1)
    for entry in manifest.unreadable:
        yield by_path.get(manifest.root / entry.image) or (usual[0][0] if usual else "left out")
