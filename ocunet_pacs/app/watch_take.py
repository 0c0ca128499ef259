"""One file of a watched folder: read or wrapped, received like any other object, and what becomes of it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.intake.admission import UNEXPECTED, Status
from ocunet_pacs.intake.arriving import ArrivingFile, Sender
from ocunet_pacs.intake.watch import NO_FACTS, read_name, taken_at, uids_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ocunet_pacs.imaging.wrapping import Wrapping
    from ocunet_pacs.intake.access import SourceRule
    from ocunet_pacs.intake.reception import Reception
    from ocunet_pacs.intake.watch import Facts
    from ocunet_pacs.settings.intake import WatchFolder

MAX_BYTES = 512 << 20
"""Larger files are no photographs; the whole content is in memory while it is wrapped."""
_PIECE = 1 << 20
_RIGHTS = "let the daemon's user read and write the folder and its files"
_PREFIX = slice(128, 132)
_FOR_NOW = frozenset({Status.OUT_OF_RESOURCES, Status.PROCESSING_FAILURE})
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What JPEG, PNG and TIFF files begin with."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is received, now or before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It never will be. The reason is for a person and holds nothing of the file's name or content.

    `code` is for the count; "" where the reception has counted it.
    """

    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing is wrong with the file, but with us: it stays where it is. What, and what to do about it.

    `only_this` where other files may fare better.
    """

    problem: str
    remedy: str
    only_this: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that nobody foresaw: it may be us, or the file."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """It is still being written, or gone again."""


Verdict = Done | Refused | Later | Failed | NotYet


class Taker:
    """Takes in the files of one folder, one at a time. `scratch` is a folder on the store's own file system."""

    def __init__(
        self, folder: WatchFolder, reception: Reception, wrapping: Wrapping, source: SourceRule, *, scratch: Path
    ) -> None:
        self._folder = folder
        self._reception = reception
        self._wrapping = wrapping
        self._scratch = scratch
        self._sender = Sender("watch", source, folder.name.upper()[:16])

    def take(self, name: str) -> Verdict:
        """Take in the file of that name. Never raises for what a file can be."""
        try:
            with self._opened(name) as file:
                verdict = self._look(file, name)
        except _Verdict as early:
            verdict = early.verdict
        except BadInput as error:
            verdict = Refused(_sentence(error), error.reason.code)
        except FileNotFoundError:
            verdict = NotYet()
        except PermissionError:
            verdict = Later("a file may not be read", _RIGHTS, only_this=True)
        except OSError as error:
            what = f"a file could not be read: {os.strerror(error.errno or 0)}"
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            verdict = Later(what, "see to the disk or the share", only_this=not full)
        except OcunetError as error:
            verdict = Later(str(error), "see to what is said to be wrong")
        return verdict

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        """The file, which is one, is complete, and does not change while it is open."""
        path = self._folder.path / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO, errno.EOPNOTSUPP}:
                raise _Verdict(NO_FILE) from None
            raise
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _Verdict(NO_FILE)
            if found.st_size == 0:
                raise _Verdict(Refused("The file is empty.", "empty"))
            if found.st_size > MAX_BYTES:
                raise _Verdict(Refused("The file is too large for a photograph.", ReasonCode.TOO_LARGE))
            if _is_being_written(descriptor):
                raise _Verdict(NotYet())
            yield file

    def _look(self, file: BinaryIO, name: str) -> Verdict:
        self._reception.require_room()
        before = os.fstat(file.fileno())

        def require_unchanged() -> None:
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise _Verdict(NotYet())

        start = file.read(_PREFIX.stop)
        file.seek(0)
        if start[_PREFIX] == b"DICM":
            return self._receive(file, require_unchanged)
        if not start.startswith(_PICTURES):
            return Refused("The file is neither DICOM nor a JPEG, PNG or TIFF picture.", ReasonCode.NOT_DICOM)
        facts = read_name(self._folder.pattern, name)
        if facts is None and self._folder.unnamed == "refuse":
            return Refused("The file's name does not fit the pattern in the settings.", "name")
        return self._wrap(file, facts or NO_FACTS, require_unchanged)

    def _wrap(self, file: BinaryIO, facts: Facts, require_unchanged: Callable[[], None]) -> Verdict:
        """A picture becomes a DICOM file that nobody else sees, and is received like one that came as such."""
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC).astimezone()
        moment, time_is_known = taken_at(facts, self._wrapping.taken_at(file.fileno()), written)
        uids = uids_for(self._folder.name, facts, moment.date(), digest.hexdigest())
        fields = {
            # The offset of that day, which summer time may have made another than the file's.
            "taken": moment.replace(tzinfo=None).astimezone().isoformat(),
            "time_is_known": time_is_known,
            "laterality": facts.laterality.value,
            "patient_id": facts.patient_id,
            "patient_name": facts.patient_name,
            "accession_number": facts.accession,
            "study_instance_uid": uids.study,
            "series_instance_uid": uids.series,
            "sop_instance_uid": uids.instance,
        }
        with tempfile.TemporaryFile(dir=self._scratch) as out:
            self._wrapping.wrap(file.fileno(), out.fileno(), fields)
            out.seek(0)
            return self._receive(out, require_unchanged)

    def _receive(self, file: BinaryIO, require_unchanged: Callable[[], None]) -> Verdict:
        """Hand it over. What was read of a file that changed meanwhile must not get in."""
        arriving = ArrivingFile(self._reception, self._sender)
        try:
            while piece := file.read(_PIECE):
                arriving.write(piece)
            require_unchanged()
        except BaseException:
            arriving.abandon()
            raise
        refusal = arriving.finish().refusal
        if refusal is None:
            return Done()
        if refusal is UNEXPECTED:
            return Failed()
        if refusal.status in _FOR_NOW:
            return Later(refusal.comment, "files are taken in again once that is over")
        return Refused(f"{refusal.comment}.", "")


class _Verdict(Exception):
    """The verdict is clear before the file was looked into."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__()


NO_FILE = Refused("It is no ordinary file, and links are not followed.", "no_file")


def _is_being_written(descriptor: int) -> bool:
    """Whether a process of this machine has the file open for writing, where the kernel tells (fcntl(2), leases)."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # not ours, or a file system without leases: the time without change has to do
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _sentence(error: BadInput) -> str:
    detail = error.reason.detail
    return f"The picture cannot be used: {detail}."
