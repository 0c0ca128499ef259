"""Messages that wait to be sent, in order, in files that outlive the process.

A spool is one file, locked by the process that writes it: a head of fixed length (how far it is sent, and whose it is
while that process runs) and messages, each with its length before it. When everything is sent it is cut back to its
head. What a process that was killed left behind is taken over by the next one that starts.
"""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING

from ocunet_pacs.audit.syslog import framed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD_BYTES = 64
_MOST_SPOOLS = 1000
_LENGTH_DIGITS = 9
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")


class Spool:
    """For one thread. Every method: OSError."""

    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        self._descriptor = descriptor
        self._limit = limit_bytes
        sent, self.left_by = _read_head(os.pread(descriptor, HEAD_BYTES, 0))
        """`left_by`: the role of a process that ended without saying so; "": none did."""
        self._size = max(os.fstat(descriptor).st_size, HEAD_BYTES)
        self._sent = sent if HEAD_BYTES <= sent <= self._size else HEAD_BYTES
        self._next = self._sent

    @property
    def is_empty(self) -> bool:
        """Whether everything in it is sent."""
        return self._sent >= self._size

    @property
    def waiting_bytes(self) -> int:
        """How much of it is not sent."""
        return self._size - self._sent

    def belongs_to(self, role: str) -> None:
        """Write down who runs with it; "": nobody does any more."""
        self.left_by = role
        self._write_head()

    def append(self, messages: Sequence[bytes]) -> int:
        """Keep them; how many there is no room for: the first that does not fit, and those after it."""
        kept: list[bytes] = []
        size = self._size
        for message in messages:
            frame = framed(message)
            if size + len(frame) > self._limit:
                break
            kept.append(frame)
            size += len(frame)
        data = b"".join(kept)
        if os.pwrite(self._descriptor, data, self._size) < len(data):
            os.ftruncate(self._descriptor, self._size)
            raise OSError("the disk is full")
        self._size = size
        return len(messages) - len(kept)

    def waiting(self, most: int, most_bytes: int) -> list[bytes]:
        """The next messages to send; `sent` says that they are. A damaged rest is cut off."""
        block = os.pread(self._descriptor, min(most_bytes, self._size - self._sent), self._sent)
        messages: list[bytes] = []
        at = 0
        while len(messages) < most:
            digits, space, _ = block[at : at + _LENGTH_DIGITS + 1].partition(b" ")
            begin = at + len(digits) + 1
            if not space or not digits.isdigit() or begin + int(digits) > len(block):
                break
            messages.append(block[begin : begin + int(digits)])
            at = begin + int(digits)
        self._next = self._sent + at
        if not messages and not self.is_empty:
            # What a power cut tore, or one message beyond all measure: nothing behind it can be found.
            self._next = self._size
            self.sent()
        return messages

    def sent(self) -> None:
        """What `waiting` gave last is sent."""
        self._sent = self._next
        if self.is_empty:
            os.ftruncate(self._descriptor, HEAD_BYTES)
            self._sent = self._size = self._next = HEAD_BYTES
        self._write_head()

    def sync(self) -> None:
        """To the disk, for what will wait longer."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of it: another process may take it."""
        os.close(self._descriptor)

    def _write_head(self) -> None:
        head = f"{self._sent:020d} {self.left_by[:42]:<42}\n"
        os.pwrite(self._descriptor, head.encode("ascii", "replace"), 0)


def take_spools(folder: Path, host: str, limit_bytes: int) -> list[Spool]:
    """A spool for this process, and behind it all that processes on this host left behind unsent, or unsaid. OSError.

    Names hold the host's, because a lock may not reach to other hosts that share the store.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found: list[Spool] = []
    for number in range(_MOST_SPOOLS):
        path = folder / f"{file_name(host)}-{number}.spool"
        if found and not path.exists():
            break
        spool = _taken(path, limit_bytes)
        if spool is None:
            continue
        if not found or not spool.is_empty or spool.left_by:
            found.append(spool)
        else:
            spool.close()
    if not found:
        raise OSError(f"no spool is free in {folder}")
    return found


def file_name(host: str) -> str:
    """What names of files begin with that belong to a host."""
    return _NOT_IN_NAMES.sub("-", host)[:64]


def _taken(path: Path, limit_bytes: int) -> Spool | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Spool(descriptor, limit_bytes)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise


def _read_head(head: bytes) -> tuple[int, str]:
    """How far it is sent, and whose it is; (0, "") of what is none."""
    digits, name = head[:20], head[21:63]
    if len(head) < HEAD_BYTES or not digits.isdigit():
        return 0, ""
    return int(digits), name.decode("ascii", "replace").strip(" \0")
