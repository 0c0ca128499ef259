"""The file store: durable before a file has a name, opaque names fanned out over folders.

    root/incoming/               files being written; nothing here was promised to anybody
    root/instances/ab/<hex>.dcm  what was received, under a name that says nothing
    root/results/ab/<hex>.dcm    what we made, under a name of its own each time: its row says which one counts
    root/quarantine/<hex>.dcm    what lay in `instances` and could not be read; a person looks
    root/patient.key             see pseudonyms.py; back it up with the rest
    root/usage.json              see usage.py; nobody misses it

`incoming` lies on the same file system as the rest, so a finished file moves into place by a rename.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.store.incoming import Incoming, as_store_error, write_all
from ocunet_pacs.store.pseudonyms import pseudonym, shared_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

STORE_PARTS = ("instances", "results")
"""The folders of files that have a name."""
_FOLDER_MODE = 0o700
_KEY = re.compile(r"(?:instances|results)(?:/[0-9A-Za-z_-][0-9A-Za-z._-]*)+")


class Files:
    """The `FileStore` port on a folder. Makes the folder and its parts when they are missing.

    Safe for several threads and processes on one folder. Every call raises StoreFull when the disk or quota is used
    up and StoreError for every other refusal of the operating system.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self._durable: set[str] = set()
        self._key: bytes | None = None
        with as_store_error("make the store's folders"):
            _make_folder(root)
            self._ensure(self.incoming)

    def put(self, key: str, content: bytes) -> None:
        """Write atomically and durably; a file that is there already is replaced as a whole."""
        target = self.path(key)
        # Threads and processes of one store may put the same key at once: each writes a temporary file of its own.
        temporary = self.incoming / f"{os.getpid()}-{os.urandom(8).hex()}.part"
        try:
            with as_store_error("write a file"):
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    write_all(descriptor, content)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                self._ensure(target.parent)
                temporary.replace(target)
                _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def open_incoming(self, token: str) -> Incoming:
        """A new, empty file in `incoming`. `token` is an unused id of letters and digits."""
        if not token.isalnum():
            raise StoreError("an id for an incoming file must be letters and digits")
        return Incoming(self.incoming / f"{token}.part")

    def adopt(self, temporary: Path, key: str) -> None:
        """Give a finished file of `incoming` its name, durably. On failure it has no name and is still `temporary`."""
        target = self.path(key)
        if temporary.parent != self.incoming:
            raise StoreError("only a file of the store's incoming folder can be adopted")
        with as_store_error("adopt a received file"):
            descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._ensure(target.parent)
            temporary.rename(target)
            try:
                _sync_folder(target.parent)
            except OSError:
                # The name may not survive a power cut, and nobody will be told that it does.
                target.rename(temporary)
                raise

    def _ensure(self, folder: Path) -> None:
        """Have the folder below the root, durable in its parent: once for each folder and process.

        Also where it is there: whoever made it a moment ago, a thread or another process, may not have synchronised
        its parent yet, and the power may fail before that.
        """
        name = str(folder)
        if folder == self.root or name in self._durable:
            return
        self._ensure(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _sync_folder(folder.parent)
        self._durable.add(name)

    def path(self, key: str) -> Path:
        """Where the file lies, whether or not it exists. StoreError for a key that the store did not make."""
        if _KEY.fullmatch(key) is None or len(key) > 255:
            raise StoreError("not a key of this store")
        return self.root / key

    def remove(self, key: str) -> None:
        """Remove the file; nothing happens when there is none."""
        with as_store_error("remove a file"):
            self.path(key).unlink(missing_ok=True)

    def has(self, key: str) -> bool:
        """Whether there is a file of that name."""
        with as_store_error("look for a file"):
            return self.path(key).is_file()

    def put_aside(self, key: str) -> None:
        """Move a file to `quarantine`, where nothing but a person looks for it."""
        quarantine = self.root / "quarantine"
        with as_store_error("put a file aside"):
            self._ensure(quarantine)
            self.path(key).rename(quarantine / Path(key).name)
            _sync_folder(quarantine)

    def put_aside_count(self) -> int:
        """How many files lie in `quarantine`."""
        with as_store_error("read the quarantine folder"):
            quarantine = self.root / "quarantine"
            return sum(1 for _ in os.scandir(quarantine)) if quarantine.is_dir() else 0

    def pseudonym(self, identity: str) -> str:
        """What stands in the database for a patient; the same in every process that shares this store."""
        if self._key is None:
            self._key = shared_key(self.root / "patient.key")
        return pseudonym(self._key, identity)

    def free_bytes(self) -> int:
        """Room that this process may use on the store's file system."""
        with as_store_error("read the free space"):
            status = os.statvfs(self.root)
            return status.f_bavail * status.f_frsize

    def used_bytes(self, parts: Sequence[str] = STORE_PARTS) -> int:
        """Sum of the sizes of all files that have a name. Walks the whole store: for housekeeping, not per file."""
        return sum(status.st_size for part in parts for _, status in self.named(part))

    def try_writing(self) -> None:
        """Write a byte to `incoming` and remove it, as whoever receives would."""
        temporary = self.incoming / f"{os.getpid()}-{os.urandom(8).hex()}.probe"
        with as_store_error("write a file"):
            try:
                temporary.write_bytes(b".")
            finally:
                temporary.unlink(missing_ok=True)

    def named(self, part: str) -> Iterator[tuple[str, os.stat_result]]:
        """Key and status of every file in `instances` or `results`, folder by folder: a million need no memory."""
        for folder, _, names in os.walk(self.root / part):
            place = Path(folder).relative_to(self.root).as_posix()
            for name in names:
                try:
                    yield f"{place}/{name}", Path(folder, name).stat()
                except FileNotFoundError:
                    continue

    def now(self) -> datetime:
        """What the store's file system takes for the time, aware, UTC: the one to compare its files' ages with.

        On a store that several hosts share it is neither this host's time nor the database's.
        """
        temporary = self.incoming / f"{os.getpid()}-{os.urandom(8).hex()}.probe"
        with as_store_error("read the time of the file system"):
            try:
                temporary.touch(mode=0o600, exist_ok=False)
                return datetime.fromtimestamp(temporary.stat().st_mtime, UTC)
            finally:
                temporary.unlink(missing_ok=True)

    def clean_incoming(self, age: timedelta) -> int:
        """Remove what lies in `incoming` and was last written longer ago than `age`; how many files that were.

        Other listeners may be receiving into the same folder: `age` is far longer than they go without writing.
        """
        removed = 0
        before = self.now() - age
        with as_store_error("clean the incoming folder"):
            for entry in os.scandir(self.incoming):
                try:
                    if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                        Path(entry.path).unlink()
                        removed += 1
                except FileNotFoundError:
                    continue
        return removed

    @staticmethod
    def new_instance_key(token: str) -> str:
        """Key for a received file. `token`: at least eight hexadecimal digits that were never used before."""
        return f"instances/{_place(token)}.dcm"

    @staticmethod
    def new_result_key(token: str, suffix: str = "dcm") -> str:
        """Key for an object that we made; `token` as for `new_instance_key`.

        Not made of its UID: a worker that lost its job and does not know would replace the result of another.
        """
        return f"results/{_place(token)}.{suffix}"


def _place(token: str) -> str:
    """Folder and name. One level: 256 folders are soon all there, and each that is missing costs its parent's fsync."""
    if re.fullmatch(r"[0-9a-f]{8,64}", token) is None:
        raise StoreError("a token for a key must be 8 to 64 hexadecimal digits")
    return f"{token[:2]}/{token}"


def _make_folder(folder: Path) -> None:
    """Make the folder and its missing parents, each durable in its own parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
