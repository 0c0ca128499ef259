"""Files that are done with leave a watched folder for its subfolders `done` and `refused`; nothing is ever overwritten.

Works on shares that know no hard links, and where the subfolders lie on another file system than the folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DONE = "done"
REFUSED = "refused"
REASON_SUFFIX = ".reason.txt"
_LONGEST_NAME = 255


class SetAside:
    """The two subfolders of one watched folder. Every call may raise OSError, and may then be done again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the subfolders where they are missing, open to whoever the folder is open to."""
        mode = stat.S_IMODE(self._folder.stat().st_mode)
        for name in (DONE, REFUSED):
            path = self._folder / name
            try:
                path.mkdir()
            except FileExistsError:
                continue
            path.chmod(mode)

    def done(self, name: str) -> None:
        """Move a file to `done`."""
        _move(self._folder / name, _reserve(self._folder / DONE, name))

    def refused(self, name: str, reason: str) -> None:
        """Move a file to `refused`, with a file beside it that says why.

        The reason is written first: a file is never found there without it.
        """
        source = self._folder / name
        mode = stat.S_IMODE(source.lstat().st_mode) & 0o666
        target = _reserve(self._folder / REFUSED, name, _LONGEST_NAME - len(REASON_SUFFIX))
        note = target.with_name(target.name + REASON_SUFFIX)
        note.write_text(reason + "\n", encoding="utf-8")
        if not source.is_symlink():
            note.chmod(mode | 0o600)
        _move(source, target)


def _reserve(folder: Path, name: str, room: int = _LONGEST_NAME) -> Path:
    """A name in the folder, of at most `room` bytes, that is nobody else's.

    It is held by an empty file until the real one takes its place. An empty file that is there already is what a crash
    left of such a place, or holds nothing to lose.
    """
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, dot + suffix) if stem else (name, "")
    number = 1
    while True:
        path = folder / _shortened(stem, suffix if number == 1 else f"-{number}{suffix}", room)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            there = path.lstat()
            if not stat.S_ISREG(there.st_mode) or there.st_size:
                number += 1
                continue
        return path


def _move(source: Path, target: Path) -> None:
    """Put `source` in the place that is reserved."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            target.unlink(missing_ok=True)
            raise
        _copy_over(source, target)
        source.unlink()


def _copy_over(source: Path, target: Path) -> None:
    """Onto another file system: whole and durable under a hidden name, then into its place."""
    temporary = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        shutil.copy2(source, temporary, follow_symlinks=False)
        if not temporary.is_symlink():
            descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise


def _shortened(stem: str, ending: str, room: int) -> str:
    """The name with its ending, cut where file systems would not take it."""
    ending = os.fsdecode(os.fsencode(ending)[-room:])
    return os.fsdecode(os.fsencode(stem)[: room - len(os.fsencode(ending))]) + ending
