"""What a power cut leaves on disk: a process's system calls, recorded by strace, replayed as strictly as POSIX allows.

Nothing is durable but what fsync made so: a file's bytes once it was synchronised itself, a name (of a new, renamed or
removed file or folder) once its folder was. Real file systems keep more; what survives here survives on all of them.
The database's writes are system calls like all others, so the write-ahead log and its checkpoints are in it too.

An answer to the network counts from the moment at which it begins to be sent; a synchronisation covers what was
finished before it began.
"""

from __future__ import annotations

import random
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRACE = (
    *("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", str(1 << 24), "-e", "signal=none", "-e"),
    "trace=openat,creat,write,pwrite64,writev,pwritev,sendto,mmap,ftruncate,truncate,fallocate,fsync,fdatasync,"  # noqa: ISC004
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir",
)
"""Run the listener under this, with `-o FILE`: a line a call, strings whole and in hexadecimal."""

PAGE = 4096
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"\(\d+<((?:\\x[0-9a-f]{2})*)>")
_UNKNOWN = frozenset({"creat", "writev", "pwritev", "renameat", "renameat2", "truncate", "fallocate", "link", "linkat"})
"""Calls that change files and that this replay does not know: it fails where it meets one, rather than being wrong."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that succeeded: the positions in the record at which it began and ended, name, arguments."""

    begun: int
    ended: int
    name: str
    arguments: str

    @property
    def path(self) -> str:
        """Of the descriptor that it was called with; "" where that is no first argument or no file."""
        descriptor = _DESCRIPTOR.match(self.arguments)
        return _decoded(descriptor[1]) if descriptor else ""


def _decoded(path: str) -> str:
    return bytes.fromhex(path.replace("\\x", "")).decode()


def read_calls(trace: Path) -> Iterator[Call]:
    """In the order in which they ended. A `sendto` that never ended is there too: its bytes may have left."""
    begun: dict[str, tuple[int, str]] = {}
    with trace.open() as lines:
        for position, line in enumerate(lines):
            thread, _, text = line.rstrip("\n").partition(" ")
            text = text.lstrip()
            start = position
            if text.endswith("<unfinished ...>"):
                begun[thread] = position, text.removesuffix("<unfinished ...>")
                continue
            if text.startswith("<... "):
                start, beginning = begun.pop(thread)
                text = beginning + text.partition(" resumed>")[2]
            name, _, rest = text.partition("(")
            arguments, _, result = rest.rpartition(" = ")
            if not result.startswith(("-1", "?")):
                yield Call(start, position, name, "(" + arguments + " = " + result)
    for start, text in begun.values():
        if text.startswith("sendto("):
            yield Call(start, start, "sendto", text[len("sendto") :])


@dataclass(slots=True)
class Node:
    """A file or a folder: as it is, as it is on disk, and the changes in between with when they were made."""

    folder: bool = False
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    names: dict[str, Node] = field(default_factory=dict)
    durable_names: dict[str, Node] = field(default_factory=dict)
    pending: list[tuple[int, tuple[int, bytes] | int | tuple[str, Node | None]]] = field(default_factory=list)

    def change(self, when: int, change: tuple[int, bytes] | int | tuple[str, Node | None]) -> None:
        """(offset, bytes) written, a size it was cut to, or (name, what it names now)."""
        _apply(self.content, self.names, change)
        self.pending.append((when, change))

    def synchronise(self, before: int) -> None:
        """Make durable what was changed before."""
        kept = []
        for when, change in self.pending:
            if when < before:
                _apply(self.durable, self.durable_names, change)
            else:
                kept.append((when, change))
        self.pending = kept

    def after_cut(self, dice: random.Random | None) -> tuple[bytes, dict[str, Node]]:
        """Content and names on disk: the durable ones alone, or by chance some of the other changes with them."""
        content, names = bytearray(self.durable), dict(self.durable_names)
        for _, change in self.pending if dice else []:
            for piece in _pages(change):
                if dice is not None and dice.random() < 0.5:
                    _apply(content, names, piece)
        return bytes(content), names


def _apply(
    content: bytearray, names: dict[str, Node], change: tuple[int, bytes] | int | tuple[str, Node | None]
) -> None:
    match change:
        case int(size):
            del content[size:]
            content.extend(bytes(size - len(content)))
        case (int(offset), bytes(data)):
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
        case (str(name), None):
            names.pop(name, None)
        case (str(name), Node() as node):
            names[name] = node


def _pages(
    change: tuple[int, bytes] | int | tuple[str, Node | None],
) -> Iterator[tuple[int, bytes] | int | tuple[str, Node | None]]:
    match change:
        case (int(offset), bytes(data)):
            for start in range(0, len(data), PAGE):
                yield offset + start, data[start : start + PAGE]
        case _:
            yield change


class Disk:
    """What lies below one folder, which is there and empty at the beginning."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._top = Node(folder=True)
        self.answered: dict[str, int] = {}
        """SOP Instance UID to the status of its (last) C-STORE response."""

    def replay(self, call: Call) -> None:
        """One more call."""
        strings = [bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(call.arguments)]
        if call.name == "sendto":
            self._answer(strings[0])
            return
        place = call.path
        if call.name == "mmap":
            # SQLite maps its shared memory, which no recovery reads; a shared, writable map of anything else is a
            # write that cannot be seen here.
            path = re.search(r", \d+<((?:\\x[0-9a-f]{2})*)>", call.arguments)
            where = _decoded(path[1]) if path else ""
            hidden = "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments and self._ours(where)
            assert not hidden or where.endswith("-shm"), where
            return
        if call.name in ("openat", "mkdir", "mkdirat", "rename", "unlink", "unlinkat", "rmdir"):
            self._change_names(call, [string.decode() for string in strings])
        elif self._ours(place) and not place.endswith(" (deleted)"):
            self._change_content(call, self._find(place), strings)

    def _ours(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root + "/")

    def _find(self, path: str) -> Node:
        node = self._top
        for name in path[len(self._root) :].split("/")[1:]:
            node = node.names[name]
        return node

    def _folder_of(self, path: str) -> tuple[Node, str]:
        parent, _, name = path.rpartition("/")
        return self._find(parent), name

    def _change_names(self, call: Call, paths: list[str]) -> None:
        if not self._ours(paths[0]) or paths[0] == self._root:
            return
        folder, name = self._folder_of(paths[0])
        match call.name:
            case "openat" if "O_CREAT" in call.arguments and name not in folder.names:
                folder.change(call.ended, (name, Node()))
            case "openat":
                if "O_TRUNC" in call.arguments:
                    folder.names[name].change(call.ended, 0)
            case "mkdir":
                folder.change(call.ended, (name, Node(folder=True)))
            case "rename":
                target, new = self._folder_of(paths[1])
                target.change(call.ended, (new, folder.names[name]))
                folder.change(call.ended, (name, None))
            case "unlink" | "rmdir":
                folder.change(call.ended, (name, None))
            case _:
                raise NotImplementedError(call.name)

    def _change_content(self, call: Call, node: Node, strings: list[bytes]) -> None:
        match call.name:
            case "write":
                # The store writes its files from beginning to end; SQLite uses pwrite64.
                node.change(call.ended, (len(node.content), strings[0]))
            case "pwrite64":
                offset = re.search(r", (\d+) *\) ", call.arguments[call.arguments.rindex('"') :])
                assert offset is not None
                node.change(call.ended, (int(offset[1]), strings[0]))
            case "ftruncate":
                size = re.search(r", (\d+) *\) ", call.arguments)
                assert size is not None
                node.change(call.ended, int(size[1]))
            case "fsync" | "fdatasync":
                node.synchronise(call.begun)
            case _:
                raise NotImplementedError(call.name)

    def _answer(self, sent: bytes) -> None:
        """Note a C-STORE response (PS3.7 section 9.3.1.2) if that is what was sent."""
        if sent[:1] != b"\x04":
            return
        elements, position = {}, 12
        while position + 8 <= len(sent):
            group, element, length = struct.unpack_from("<HHL", sent, position)
            elements[group, element] = sent[position + 8 : position + 8 + length]
            position += 8 + length
        if elements.get((0, 0x0100)) == b"\x01\x80":
            uid = elements[0, 0x1000].decode().strip("\0 ")
            self.answered[uid] = struct.unpack("<H", elements[0, 0x0900])[0]

    def after_cut(self, dice: random.Random | None = None) -> dict[str, bytes]:
        """The files that are there when the power comes back, by their path below the root."""
        return dict(_files(self._top, "", dice))


def _files(node: Node, path: str, dice: random.Random | None) -> Iterator[tuple[str, bytes]]:
    content, names = node.after_cut(dice)
    if not node.folder:
        yield path, content
    for name, child in names.items():
        yield from _files(child, f"{path}/{name}" if path else name, dice)
