"""The site's secret under which patients become groups: a file of 32 random bytes, as the daemon's store has one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY_BYTES: Final = 32


def site_key(path: Path, make: Callable[[int], bytes]) -> tuple[bytes, bool]:
    """The key in the file, and whether it is new: where there is none, `make` (random bytes) makes it. CorpusError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path), False
    except OSError as error:
        raise CorpusError(f"{path}: no key can be made there: {error.strerror}") from None
    key = make(KEY_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(descriptor)
    return key, True


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise CorpusError(f"{path}: is no key: {KEY_BYTES} bytes are expected; restore it, or name another with --key")
    return key
