"""Files that are there as a whole or not at all, whenever their writer is killed."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

PARTIAL: Final = ".partial."
"""How the name begins of a file that is still being written, or that a killed writer left behind."""


def write_whole(
    path: Path, write: Callable[[IO[bytes]], object], *, mode: int = 0o644, suffix: str = "", durable: bool = True
) -> None:
    """`write` fills a temporary file beside `path`, which then takes its place. OSError; what was there is intact.

    `durable`: the file is on the disk before it has its name, and the name before this returns. Without it a power cut
    may leave the name with other content: for files that are checked when they are read, or made again.
    """
    with NamedTemporaryFile(
        "wb", dir=path.parent, prefix=f"{PARTIAL}{path.name}.", suffix=suffix, delete=False
    ) as file:
        try:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    if durable:
        _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
