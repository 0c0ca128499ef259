"""Many files to prepared pixels, in processes that may die of a picture: a bad one is listed, and costs no other."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, cast

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.imaging.pool import PreparingPool
from training.data.manifest import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from training.data.manifest import Manifest, Row

    Taker = Callable[[Row, RgbImage], None]

_WORKER: Final = "training.data.filling_worker"
_TIMEOUT: Final = timedelta(seconds=60)
_MEMORY_BYTES: Final = 3 << 30
"""As in the daemon: a picture that takes longer, or more, is given up with a reason."""
_CHANGED: Final = "is not the file that the manifest means: its sha256 differs"


class Progress(Protocol):
    """Is told, in the caller's thread, how many photographs are done of how many."""

    def __call__(self, done: int, total: int, /) -> None:
        """`done` of `total`, the unreadable ones included; how fast is for the teller to see."""


def prepare_files(
    manifest: Manifest,
    rows: Sequence[Row],
    spec: PreprocessSpec,
    take: Taker,
    *,
    workers: int,
    progress: Progress | None = None,
    worker_module: str = _WORKER,
) -> list[Unreadable]:
    """Give each row's pixels, uint8 (side, side, 3), to `take`, in any order and from several threads.

    A file is opened once for all of its rows. Returned, in the rows' order, are those whose file cannot be read or
    decoded, kills its decoder, or is not the one that the manifest means (by its sha256). What `take` raises ends all.
    """
    if not rows:
        return []
    files: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        files[row.image].append(row)
    workers = max(1, min(workers, len(files)))
    reasons: dict[str, str] = {}
    done = 0
    with PreparingPool(
        spec, workers=workers, timeout=_TIMEOUT, memory_bytes=_MEMORY_BYTES, worker_module=worker_module
    ) as pool:
        threads = ThreadPoolExecutor(workers)
        try:
            running = {threads.submit(_prepare, manifest, of_file, pool, take): of_file for of_file in files.values()}
            for one in as_completed(running):
                reasons |= one.result()
                done += len(running[one])
                if progress is not None:
                    progress(done, len(rows))
        except BaseException:
            pool.close()  # whatever is under way fails at once
            raise
        finally:
            threads.shutdown(cancel_futures=True)
    return [Unreadable(row.image, reasons[row.key]) for row in rows if row.key in reasons]


def _prepare(manifest: Manifest, rows: Sequence[Row], pool: PreparingPool, take: Taker) -> dict[str, str]:
    """Prepare the rows of one file; why not, by the key of each that could not be."""
    path = manifest.path(rows[0])
    reasons: dict[str, str] = {}
    left = list(rows)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        reasons = {row.key: _CHANGED for row in rows if row.digest != digest}
        left = [row for row in rows if row.key not in reasons]
        last = max(map(_number, left), default=0)
        # Closed whatever `take` raises: a generator that is left open keeps its decoder.
        with closing(cast("Generator[Photograph]", pool.photographs(path))) as photographs:
            for number, photograph in enumerate(islice(photographs, last), 1):
                for row in [row for row in left if _number(row) == number]:
                    take(row, photograph.pixels)
                    left.remove(row)
        why = "unreadable_pixels: it has no such frame"
    except BadInput as error:
        why = str(error.reason)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    return reasons | {row.key: why for row in left}


def _number(row: Row) -> int:
    """Of the row's frame, from 1."""
    return row.frame or 1
