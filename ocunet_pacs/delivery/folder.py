"""Objects as files into a folder of the site's: the `Sender` port for whoever watches that folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info

from ocunet_pacs.domain.errors import PeerBusy, PeerUnavailable, StoreError
from ocunet_pacs.domain.ports import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class FolderSender:
    """Puts files into one folder, whole or not at all, under names that say nothing. Threads may share it."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._folder = path

    def send(self, path: Path) -> Receipt:
        """The file is there and durable; an object that is sent again replaces its file.

        Until it has its name it is a hidden file that ends in `.part`. PeerBusy: the disk or quota is used up.
        PeerUnavailable: the folder is not there or may not be written to. StoreError.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError("an object to deliver is missing from the store or not readable") from error
        name = f"{_identity(path, content)}{_suffix(content)}"
        with self._in_our_words():
            self._put(name, content)
        return Receipt(f"written as {name}")

    def _put(self, name: str, content: bytes) -> None:
        temporary = self._folder / f".{name}-{os.getpid()}-{os.urandom(4).hex()}.part"
        # Who may read it is for the umask to say.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def probe(self) -> str:
        """Files can be put there: a hidden one was, and is gone again. Raises as `send`."""
        temporary = self._folder / f".ocunet-pacs-{os.getpid()}-{os.urandom(4).hex()}.part"
        with self._in_our_words():
            try:
                temporary.write_bytes(b"probe")
            finally:
                temporary.unlink(missing_ok=True)
        return "can be written to"

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise PeerBusy(f"{self._name}: no room left for {self._folder}; free some") from error
            raise PeerUnavailable(
                f"{self._name}: {self._folder} cannot be written to: {error.strerror}; check folder, mount and rights"
            ) from error

    def close(self) -> None:
        """Nothing is kept open."""


def _identity(path: Path, content: bytes) -> str:
    """64 hex digits that are the same for the same object: of its UID or id where it has one, else of its content."""
    named = content
    if content[128:132] == b"DICM":
        named = str(read_file_meta_info(path).MediaStorageSOPInstanceUID).encode()
    elif content[:1] == b"{":
        with suppress(ValueError):
            document = json.loads(content)
            if isinstance(document.get("id"), str):
                named = document["id"].encode()
    return hashlib.sha256(named).hexdigest()


def _suffix(content: bytes) -> str:
    if content[128:132] == b"DICM":
        return ".dcm"
    return ".pdf" if content[:5] == b"%PDF-" else ".json"
