"""Folders as `doctor` sees them: the store, and the folders that cameras export to."""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.app.doctor_checks import Check, fault, ok, together, warning
from ocunet_pacs.intake.set_aside import DONE, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_PARTS = ("incoming", "instances", "results", "quarantine")


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that this user may still write, and what the settings ask for: `needed`, below which nothing is taken in,
    and `kept`, below which the oldest files are removed early.
    """

    free: int
    needed: int
    kept: int


def folder_checks(settings: Settings) -> Iterator[Check]:
    """One of the store, and one of each watched folder."""
    yield Check("store", lambda: look_at_store(settings))
    for folder in settings.watch:
        yield Check(f"watch {folder.name}", lambda path=folder.path: look_at_watched(path))  # type: ignore[misc]


def look_at_store(settings: Settings) -> Verdict:
    """There, ours, closed to others, writable, with room, and all parts on one file system."""
    root = settings.store.path
    if not root.is_dir():
        return _not_there(root)
    there = root.stat()
    known = next((part for part in (root / "incoming", root) if part.is_dir()), root)
    status = os.statvfs(root)
    room = Room(status.f_bavail * status.f_frsize, settings.store.min_free, settings.retention.keep_free)
    parts = {part: (root / part).stat().st_dev for part in _PARTS if (root / part).is_dir()}
    verdicts = (
        judge_owner(root, there.st_uid, os.geteuid()),
        judge_mode(root, there.st_mode),
        look_at_writing(known),
        judge_parts(root, parts),
        judge_room(room),
    )
    return together(verdicts)


def judge_owner(folder: Path, owner: int, ourselves: int) -> Verdict:
    """User ids: of the folder, and of this process."""
    if owner == ourselves:
        return ok(f"{folder}")
    return warning(
        f"{folder} belongs to {_user(owner)}, and this is {_user(ourselves)}",
        f"run doctor as the daemon's user; if it is {_user(ourselves)}, give the folder to it (chown -R)",
    )


def judge_mode(folder: Path, mode: int) -> Verdict:
    """`mode`: the folder's, as stat gives it."""
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warning(
            f"{folder} holds patient data and is open to other users ({stat.filemode(mode)})", f"chmod 700 {folder}"
        )
    return ok("closed to other users")


def judge_room(room: Room) -> Verdict:
    """Whether anything is taken in, and whether retention has to hurry."""
    has = f"{room.free / 2**30:.1f} GiB free"
    if room.free < room.needed:
        return fault(
            f"{has}, less than store.min_free ({room.needed / 2**30:.1f} GiB): C-STORE answers 0xA700",
            "make room, or give the store a larger disk",
        )
    if room.free < room.kept:
        return warning(
            f"{has}, less than retention.keep_free ({room.kept / 2**30:.1f} GiB): the oldest files go early",
            "give the store a larger disk, or set a shorter retention.keep",
        )
    return ok(has)


def judge_parts(root: Path, devices: dict[str, int]) -> Verdict:
    """`devices`: the file system that each part of the store lies on. A file moves between them by a rename."""
    if len(set(devices.values())) > 1:
        return fault(
            f"{', '.join(devices)} in {root} lie on different file systems, so that no file can be taken in",
            f"mount one file system at {root}, and none below it",
        )
    return ok("one file system")


def look_at_writing(folder: Path) -> Verdict:
    """Write a hidden file, make it durable, and remove it."""
    trial = folder / f".doctor-{os.getpid()}-{os.urandom(4).hex()}.part"
    try:
        descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"doctor")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return fault(
            f"{folder} cannot be written to: {error.strerror}",
            f"give it to the daemon's user ({_user(os.geteuid())} asked), and see that it is mounted read-write",
        )
    finally:
        with suppress(OSError):
            trial.unlink()
    return ok("can be written to")


def look_at_watched(folder: Path) -> Verdict:
    """Can be listed, and files can be moved to its subfolders."""
    try:
        waiting = sum(1 for entry in os.scandir(folder) if entry.is_file())
    except OSError as error:
        return fault(
            f"{folder} cannot be read: {error.strerror}", "see that it is there, mounted, and readable for the daemon"
        )
    places = [folder, *(folder / name for name in (DONE, REFUSED) if (folder / name).is_dir())]
    return together([*map(look_at_writing, places), ok(f"{folder}: {waiting} files in it")])


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())


def _not_there(root: Path) -> Verdict:
    above = nearest(root)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return ok(f"{root} is not there yet; the daemon makes it when it starts")
    return fault(
        f"{root} is not there, and {above} may not be written to", f"make {root} and give it to the daemon's user"
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
