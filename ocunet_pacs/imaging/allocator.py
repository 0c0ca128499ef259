"""glibc's malloc, told to use one heap, and to keep the large buffers that pictures and layers are made of.

By default it gives threads heaps of their own, up to eight a processor, and each heap keeps the most that it ever
needed: a worker with twenty threads grew for half an hour before it had all of that, and a listener with it. One heap
for all of them is as large as what is needed at once.

It also maps each buffer above 32 MB (at first above 128 KB) from the kernel and gives it back. The kernel then
clears each page anew: a sixth of a decoder's time, and two thirds of torch's speed on a CPU. ONNX Runtime keeps its
layers' memory itself, so that a worker which runs on it need not, and gives back what a bundle took that has left.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

EVERYTHING: Final = 2**31 - 1
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8


def share_one_heap() -> bool:
    """Let all threads of this process that are still to come use its first heap; whether that was possible."""
    return _ask((_M_ARENA_MAX, 1))


def settle_allocator(keep_bytes: int = EVERYTHING) -> bool:
    """Keep freed memory in this process, in one heap; whether that was possible (it is with glibc only).

    What is free at the heap's end beyond `keep_bytes` (at most EVERYTHING) still goes back to the kernel. For processes
    that do one large thing after another for long.
    """
    return _ask((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, keep_bytes))


def give_back() -> None:
    """Let the kernel have every page that is free: after something large that will not come again soon, or seldom.

    A heap with the room of what has left is touched here and there, until it is as large in memory as it ever was.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _ask(*asked: tuple[int, int]) -> bool:
    if not _is_glibc():
        return False
    c = ctypes.CDLL(None)
    done = [c.mallopt(what, value) == 1 for what, value in asked]
    return all(done)


def _is_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError):
        return False
