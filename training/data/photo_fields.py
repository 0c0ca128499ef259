"""The fields and hashes of all photographs of a manifest, read in processes and kept for the next time."""

from __future__ import annotations

import zipfile
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ReasonCode
from training.data.field import SIDE, TURNS, green_field, hashes
from training.data.manifest import Unreadable
from training.data.pixels import read_pixels
from training.data.processes import pool
from training.data.whole import write_whole
from training.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data.manifest import Manifest, Row

    Progress = Callable[[str, int, int], object]
    """Is told what is being done, how much of it is done, and how much it is in all."""

_VERSION: Final = 1
"""Raise it when a field or a hash becomes another one: what was kept is then made anew."""
_A_TASK: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """For each of `keys` (of rows, no two equal) its field, uint8 (n, SIDE, SIDE), and hashes, uint64 (n, turns)."""

    keys: tuple[str, ...]
    green: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """What a process found: a field with its hashes, or the reason why there is none."""

    green: NDArray[np.uint8] | None = None
    hashes: NDArray[np.uint64] | None = None
    reason: str = ""


def read_fields(manifest: Manifest, *, workers: int, progress: Progress, cache: Path | None = None) -> Fields:
    """The fields of the manifest's photographs, from `workers` processes (0: this one), each photograph once.

    What `cache`, a file, holds is not read again; what is read is added to it, and nothing ever removed: it may be
    deleted. A photograph that cannot be read is listed as unreadable and has no field. ManifestError where the cache
    cannot be written.
    """
    rows = {row.key: row for row in manifest.rows}
    kept = _kept(cache) if cache else {}
    missing = [row for key, row in rows.items() if key not in kept]
    unreadable = []
    for done, (row, read) in enumerate(_read_all(manifest, missing, workers), 1):
        if read.green is None or read.hashes is None:
            unreadable.append(Unreadable(row.image, read.reason))
        else:
            kept[row.key] = (read.green, read.hashes)
        progress("reading photographs", done, len(missing))
    found = _fields([key for key in rows if key in kept], kept, unreadable)
    if cache and len(missing) > len(unreadable):
        _keep(cache, _fields(sorted(kept), kept, ()))
    return found


def fields_path(manifest: Path) -> Path:
    """Where the fields for all manifests of that one's folder are kept."""
    return manifest.parent / "photographs.fields.npz"


def _fields(
    keys: Sequence[str],
    kept: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint64]]],
    unreadable: Sequence[Unreadable],
) -> Fields:
    green = np.array([kept[key][0] for key in keys], np.uint8).reshape(-1, SIDE, SIDE)
    hashed = np.array([kept[key][1] for key in keys], np.uint64).reshape(-1, len(TURNS))
    return Fields(tuple(keys), green, hashed, tuple(sorted(unreadable, key=lambda one: one.image)))


def _read_all(manifest: Manifest, rows: Sequence[Row], workers: int) -> Iterator[tuple[Row, _Read]]:
    """As they are done. A photograph that ends its process costs a process, and is listed."""
    if not workers:
        for row in rows:
            yield row, _read(manifest.path(row), row.frame)
        return
    waiting = [rows[first : first + _A_TASK] for first in range(0, len(rows), _A_TASK)]
    done: set[int] = set()
    with pool(min(workers, len(waiting) or 1)) as processes, suppress(BrokenProcessPool):
        tasks = {
            processes.submit(_read_some, [(manifest.path(row), row.frame) for row in some]): n
            for n, some in enumerate(waiting)
        }
        for task in as_completed(tasks):
            yield from zip(waiting[tasks[task]], task.result(), strict=True)
            done.add(tasks[task])
    for row in (row for n, some in enumerate(waiting) if n not in done for row in some):
        with pool(1) as process:
            try:
                yield row, process.submit(_read, manifest.path(row), row.frame).result()
            except BrokenProcessPool:
                yield row, _Read(reason=f"{ReasonCode.DECODER_FAILED}: it ended its decoder")


def _read_some(places: Sequence[tuple[Path, int | None]]) -> list[_Read]:
    return [_read(path, frame) for path, frame in places]


def _read(path: Path, frame: int | None) -> _Read:
    try:
        green = green_field(read_pixels(path, frame))
    except BadInput as error:
        return _Read(reason=str(error.reason))
    except OSError as error:
        return _Read(reason=f"{ReasonCode.FILE_MISSING}: {error.strerror or 'it cannot be read'}")
    return _Read(green, hashes(green))


def _kept(cache: Path) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint64]]]:
    """What the cache holds; nothing where it is missing, damaged or of another version."""
    try:
        with cache.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            if int(file["version"]) != _VERSION:
                return {}
            keys, green, hashed = file["keys"].tolist(), file["green"], file["hashes"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return {}
    if green.shape != (len(keys), SIDE, SIDE) or hashed.shape != (len(keys), len(TURNS)):
        return {}
    return {key: (green[n], hashed[n]) for n, key in enumerate(keys)}


def _keep(cache: Path, fields: Fields) -> None:
    keys, version = np.array(fields.keys, np.str_), np.array(_VERSION)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(
            cache,
            lambda file: np.savez_compressed(
                file, version=version, keys=keys, green=fields.green, hashes=fields.hashes
            ),
            mode=0o600,  # it holds small pictures of eyes
        )
    except OSError as error:
        raise ManifestError(f"{cache}: cannot be written: {error.strerror}") from None
