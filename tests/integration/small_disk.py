"""A file system of a few megabytes, and a ballast that leaves as much room on it as is wanted."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 16


class SmallDisk:
    """`root` is an empty folder on the file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def leave(self, free: int) -> None:
        """Fill it up but for `free` bytes, as near as its blocks allow."""
        self.empty()
        with self._ballast.open("wb", buffering=0) as file:
            status = os.statvfs(self.root)
            os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - free))

    def empty(self) -> None:
        """Give all the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounted on `folder`. Without the right to mount: a failure with REQUIRE_PEERS=1, a skip otherwise."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode != 0:
        message = "a small file system cannot be mounted here (root may)"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
