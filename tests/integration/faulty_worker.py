"""A worker of the decoding pool whose decoder fails as the file's name says."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from ocunet_pacs.imaging import pool_worker
from ocunet_pacs.imaging.decode import frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage


def segfault(_path: Path) -> None:
    ctypes.string_at(8)


def abort(_path: Path) -> None:
    os.abort()


def loop(_path: Path) -> None:
    ctypes.PyDLL(None).pause()  # native code that never comes back and never lets go of the interpreter


def allocate(_path: Path) -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x") * (1 << 26))


def quote(_path: Path) -> None:
    raise RuntimeError("Drawn^Eye")


def once(path: Path) -> None:
    """Crash at the first attempt only."""
    if not (seen := path.with_suffix(".seen")).exists():
        seen.touch()
        os.abort()


FAULTS = {fault.__name__: fault for fault in (segfault, abort, loop, allocate, quote, once)}


def faulty(path: Path) -> Iterator[RgbImage]:
    """The frames of the file; `FAULT.dcm` fails before its first, `FAULT-after-first.dcm` after it."""
    name, _, after_first = path.stem.partition("-after-")
    fault = FAULTS.get(name)
    if fault is not None and not after_first:
        fault(path)
    for frame in frames(path):
        yield frame
        if fault is not None and after_first:
            fault(path)


if __name__ == "__main__":
    pool_worker.frames = faulty
    pool_worker.main()
