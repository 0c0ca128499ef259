"""A file while it is being received, and the words for what the operating system refuses."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer

_WRITE_BEHIND = 1 << 20
"""Bytes after which the kernel is asked to begin writing to the disk, so that less is left for the fsync at the end."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Incoming:
    """A file being written piece by piece, with its size and sha256. Used by one thread at a time.

    It has no name in the store until the store adopts `path`; until then `discard` makes it vanish.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._on_its_way = 0
        self._digest = hashlib.sha256()
        with as_store_error("open an incoming file"):
            self._descriptor: int | None = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was written so far."""
        return self._digest.hexdigest()

    def write(self, data: ReadableBuffer) -> None:
        """Append all of `data`. StoreFull or StoreError; the file is then good for nothing but `discard`."""
        if self._descriptor is None:
            raise StoreError("the incoming file is closed")
        with as_store_error("write an incoming file"):
            write_all(self._descriptor, data)
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        if self.size - self._on_its_way >= _WRITE_BEHIND:
            # POSIX knows no word for it, but this is what Linux does first with pages that it may forget.
            with suppress(OSError):
                size = self.size - self._on_its_way
                os.posix_fadvise(self._descriptor, self._on_its_way, size, os.POSIX_FADV_DONTNEED)
            self._on_its_way = self.size

    def close(self) -> None:
        """Finish writing. Some file systems report a full disk only here."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with as_store_error("close an incoming file"):
                os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the file; nothing happens when it was adopted or discarded before."""
        try:
            self.close()
        finally:
            self.path.unlink(missing_ok=True)


def write_all(descriptor: int, data: ReadableBuffer) -> None:
    """Write every byte: a single write may take only a part, the last one before a full disk above all."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def as_store_error(what: str) -> Iterator[None]:
    """Turn an OSError into StoreFull (no space, no quota) or StoreError; the message never holds a path."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        kind = StoreFull if error.errno in _NO_ROOM else StoreError
        raise kind(f"could not {what}: {reason}") from error
